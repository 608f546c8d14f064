"""Speaks up where azure-identity-broker was installed over this distribution.

Its ``__init__.py`` then lies in the place of ours and imports its module ``_browser``. A package
goes before a module of the same name, so this is what it gets.
"""

from azure.identity.broker._conflict import OTHER, refuse

refuse(f"{OTHER} was installed over the files of another distribution.")
