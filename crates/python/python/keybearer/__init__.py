"""Brokered authentication for Azure: sign in once, every app gets tokens.

    import keybearer
    from azure.storage.blob import BlobServiceClient

    credential = keybearer.InteractiveBrowserBrokerCredential()
    service = BlobServiceClient(account_url, credential=credential)

If azure-core is installed, tokens are its classes and exceptions derive from its classes; otherwise
they have the same shape. azure-core is imported with the first token or exception, not with this
package. msal and azure-identity are never imported.
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
    """Options of ``get_token_info`` for proof-of-possession tokens.

    ``pop`` is a mapping with the method and the URL of one HTTP request, as
    ``resource_request_method`` and ``resource_request_url``, and the resource's ``nonce`` if it
    sent one. The token is valid for that request only; send it as ``Authorization: PoP <token>``.
    With ``False`` the token is a bearer token. ``True`` is not supported and raises ValueError.
    """

    pop: bool | Mapping[str, str]


CONSOLE_WINDOW_HANDLE: Final = object()
"""A value of ``parent_window_handle``: the window of the console in which this program runs."""


def install_msal_runtime() -> None:
    """Make MSAL Python use this machine's broker, on Linux, in programs that enable the broker.

    Call this before MSAL is first used with a broker. A second call does nothing. It imports
    nothing from msal or azure and contacts no broker. See :mod:`keybearer.msal_runtime`.

    :raises RuntimeError: Microsoft's runtime is already loaded.
    :raises ImportError: This is not Linux.
    """
    from keybearer import msal_runtime  # noqa: PLC0415 - only programs that call this need it

    msal_runtime.install()


def __getattr__(name: str) -> object:
    """Import the exceptions on first use, because that imports their base classes of azure-core."""
    if name in __all__:
        from keybearer import _exceptions  # noqa: PLC0415 - see above

        return getattr(_exceptions, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
