"""Brokered authentication for Azure: sign in once, every app gets tokens.

    import keybearer
    from azure.storage.blob import BlobServiceClient

    credential = keybearer.InteractiveBrowserBrokerCredential()
    service = BlobServiceClient(account_url, credential=credential)

Tokens and exceptions are azure-core's where it is installed, and of the same shape where it is
not. It is imported when the first token or exception is made, not with this package; msal and
azure-identity are never imported.
"""

from __future__ import annotations

from keybearer._native import (
    AuthenticationRecord,
    InteractiveBrowserBrokerCredential,
    Token,
    __version__,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from azure.core.credentials import TokenRequestOptions as _TokenRequestOptions

    from keybearer._exceptions import (
        AuthenticationError,
        AuthenticationRequiredError,
        CredentialUnavailableError,
    )
else:
    _TokenRequestOptions = dict

__all__ = [
    "CONSOLE_WINDOW_HANDLE",
    "AuthenticationError",
    "AuthenticationRecord",
    "AuthenticationRequiredError",
    "CredentialUnavailableError",
    "InteractiveBrowserBrokerCredential",
    "PopTokenRequestOptions",
    "Token",
    "__version__",
    "install_msal_runtime",
]


class PopTokenRequestOptions(_TokenRequestOptions):
    """Options of ``get_token_info`` with the key ``pop``.

    ``False`` for a bearer token, or a mapping with ``resource_request_method``,
    ``resource_request_url`` and perhaps the resource's ``nonce``: the token is then a signed HTTP
    request, good for that request only, to be sent as ``Authorization: PoP <token>``.
    """

    pop: bool | Mapping[str, str]


CONSOLE_WINDOW_HANDLE: Final = object()
"""As ``parent_window_handle``: the window of the console this program runs in."""


def install_msal_runtime() -> None:
    """Have programs of MSAL Python that opt in to a broker use this machine's, on Linux.

    Call it before MSAL is first used with a broker; once more does nothing. Nothing of msal or
    azure is imported, and nobody contacted. See :mod:`keybearer.msal_runtime`.

    Raises RuntimeError if Microsoft's runtime is loaded already, and ImportError where there is no
    such module, which is everywhere but on Linux.
    """
    from keybearer import msal_runtime  # noqa: PLC0415 - for programs that want it

    msal_runtime.install()


def __getattr__(name: str) -> object:
    """Makes the exceptions when somebody asks for them: their base classes are azure-core's."""
    if name in __all__:
        from keybearer import _exceptions  # noqa: PLC0415 - see above

        return getattr(_exceptions, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
