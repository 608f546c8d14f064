"""Raises ImportError if azure-identity-broker was installed over this distribution.

Microsoft's ``__init__.py`` has then overwritten Keybearer's and imports the module ``_browser``.
Python prefers a package to a module of the same name, so it imports this package instead.
"""

from azure.identity.broker._conflict import OTHER, refuse

refuse(f"{OTHER} was installed over the files of another distribution.")
