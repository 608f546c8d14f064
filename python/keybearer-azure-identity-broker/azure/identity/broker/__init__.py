"""The names of azure-identity-broker, from Keybearer.

Nothing of azure-core, azure-identity or msal is imported here. Where azure-identity is installed,
Python itself imports it, as the package this one lies in.
"""

from __future__ import annotations

from azure.identity.broker._conflict import refuse_if_found

refuse_if_found()

from keybearer import (  # noqa: E402 - nothing is loaded where it is refused
    InteractiveBrowserBrokerCredential,
    PopTokenRequestOptions,
    __version__,  # noqa: F401 - as in the module this stands for
)

__all__ = ["InteractiveBrowserBrokerCredential", "PopTokenRequestOptions"]
