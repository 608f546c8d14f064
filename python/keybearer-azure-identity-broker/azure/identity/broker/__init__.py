"""Keybearer's credential under the import name of Microsoft's azure-identity-broker.

This module imports nothing from azure-core, azure-identity or msal. If azure-identity is installed,
Python imports it first, because it is the parent package of this one.
"""

from __future__ import annotations

from azure.identity.broker._conflict import refuse_if_found

refuse_if_found()

from keybearer import (  # noqa: E402 - not before the check above
    InteractiveBrowserBrokerCredential,
    PopTokenRequestOptions,
    __version__,  # noqa: F401 - as in Microsoft's module
)

__all__ = ["InteractiveBrowserBrokerCredential", "PopTokenRequestOptions"]
