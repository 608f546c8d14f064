"""The credential for asyncio. Waiting for a token takes no thread and no executor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keybearer import _native
from keybearer.aio._waiter import Lookout

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from azure.core.credentials import AccessToken, AccessTokenInfo, TokenRequestOptions
    from typing_extensions import Self

__all__ = ["InteractiveBrowserBrokerCredential"]


class InteractiveBrowserBrokerCredential:
    """Signs a person in through the operating system's authentication broker.

    Takes the keywords of :class:`keybearer.InteractiveBrowserBrokerCredential`, raises what it
    raises, and may be shared by tasks and event loops. Cancelling a task ends its request.
    """

    def __init__(self, **kwargs: Any) -> None:
        """Make the credential; nothing is contacted and nobody asked before the first token."""
        self._credential = _native.InteractiveBrowserBrokerCredential(**kwargs)

    async def get_token(
        self,
        *scopes: str,
        claims: str | None = None,
        tenant_id: str | None = None,
        enable_cae: bool = False,
        **kwargs: Any,
    ) -> AccessToken:
        """See :meth:`keybearer.InteractiveBrowserBrokerCredential.get_token`."""
        options = {**kwargs, "claims": claims, "tenant_id": tenant_id, "enable_cae": enable_cae}
        token = await self._token("get_token", scopes, options)
        return token._access_token()

    async def get_token_info(
        self, *scopes: str, options: TokenRequestOptions | None = None
    ) -> AccessTokenInfo:
        """See :meth:`keybearer.InteractiveBrowserBrokerCredential.get_token_info`."""
        token = await self._token("get_token_info", scopes, dict(options or {}))
        return token._access_token_info()

    async def acquire(
        self,
        *scopes: str,
        claims: str | None = None,
        tenant_id: str | None = None,
        enable_cae: bool = False,
    ) -> _native.Token:
        """See :meth:`keybearer.InteractiveBrowserBrokerCredential.acquire`."""
        options = {"claims": claims, "tenant_id": tenant_id, "enable_cae": enable_cae}
        return await self._token("acquire", scopes, options)

    async def authenticate(
        self,
        *,
        scopes: Iterable[str] | None = None,
        claims: str | None = None,
        tenant_id: str | None = None,
        enable_cae: bool = False,
        **_kwargs: Any,
    ) -> _native.AuthenticationRecord:
        """See :meth:`keybearer.InteractiveBrowserBrokerCredential.authenticate`."""
        options = {"claims": claims, "tenant_id": tenant_id, "enable_cae": enable_cae}
        request = _native.Request.sign_in(self._credential, scopes, options)
        record: _native.AuthenticationRecord = await _done(request)
        return record

    async def close(self) -> None:
        """Do nothing: there is nothing to close; Azure credentials have this method."""

    async def __aenter__(self) -> Self:
        """Return the credential itself."""
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        """Close the credential."""
        await self.close()

    async def _token(
        self, name: str, scopes: tuple[str, ...], options: dict[str, Any]
    ) -> _native.Token:
        token: _native.Token = await _done(_native.Request(self._credential, name, scopes, options))
        return token


async def _done(request: _native.Request) -> Any:
    """What the request ends with; at once if the credential still has a token."""
    result = request.result()
    return await Lookout.of_this_loop().wait(request) if result is None else result
