"""The credential for asyncio. Waiting for a token uses no thread and no executor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keybearer import _native
from keybearer.aio._waiter import Waiter

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from azure.core.credentials import AccessToken, AccessTokenInfo, TokenRequestOptions
    from typing_extensions import Self

__all__ = ["InteractiveBrowserBrokerCredential"]


class InteractiveBrowserBrokerCredential:
    """Gets tokens through the operating system's authentication broker, for asyncio.

    Returns a token without prompting if the broker already has the account. Otherwise a browser or
    the system's dialog asks the person to sign in, once for all programs.

    A credential can be shared by tasks and event loops. Cancelling a task cancels its request. The
    keywords and exceptions are those of :class:`keybearer.InteractiveBrowserBrokerCredential`.
    """

    def __init__(self, **kwargs: Any) -> None:
        """Make the credential. Neither contacts the broker nor prompts.

        :keyword kwargs: The keywords of :class:`keybearer.InteractiveBrowserBrokerCredential`.
        :raises ValueError: A keyword has an invalid value.
        :raises TypeError: A keyword has a wrong type.
        """
        self._credential = _native.InteractiveBrowserBrokerCredential(**kwargs)

    async def get_token(
        self,
        *scopes: str,
        claims: str | None = None,
        tenant_id: str | None = None,
        enable_cae: bool = False,
        **kwargs: Any,
    ) -> AccessToken:
        """Get an access token for the scopes; Azure clients call this method.

        :param str scopes: One or more scopes of one resource, such as
            ``"https://storage.azure.com/.default"``.
        :keyword str claims: Claims challenge that a resource returned, as decoded JSON.
        :keyword str tenant_id: Tenant to use instead of the credential's own. It must be one of
            ``additionally_allowed_tenants``.
        :keyword bool enable_cae: Whether the caller handles claims challenges (continuous access
            evaluation). Default: False.
        :returns: The token, with its expiry in seconds since 1970.
        :rtype: ~azure.core.credentials.AccessToken
        :raises CredentialUnavailableError: No broker, network or way to prompt is available, or
            ``disable_interactive_fallback`` forbids the prompt that is needed.
        :raises AuthenticationRequiredError: Sign-in is required, but
            ``disable_automatic_authentication`` forbids the prompt.
        :raises AuthenticationError: The request failed, was cancelled or timed out; its ``kind``
            is the reason. It is a ``ClientAuthenticationError`` of azure-core.
        :raises ValueError: No scope was given.
        """
        options = {**kwargs, "claims": claims, "tenant_id": tenant_id, "enable_cae": enable_cae}
        token = await self._token("get_token", scopes, options)
        return token._access_token()

    async def get_token_info(
        self, *scopes: str, options: TokenRequestOptions | None = None
    ) -> AccessTokenInfo:
        """Get an access token with its type and refresh time; newer Azure clients call this method.

        :param str scopes: One or more scopes of one resource.
        :keyword options: ``claims``, ``tenant_id`` and ``enable_cae`` as for ``get_token``, and
            ``pop`` as in ``PopTokenRequestOptions``. Other options are ignored.
        :paramtype options: ~azure.core.credentials.TokenRequestOptions
        :returns: The token, with its expiry and refresh time in seconds since 1970.
        :rtype: ~azure.core.credentials.AccessTokenInfo
        :raises: The exceptions of ``get_token``, and ValueError if ``pop`` is not supported.
        """
        token = await self._token("get_token_info", scopes, dict(options or {}))
        return token._access_token_info()

    async def acquire(
        self,
        *scopes: str,
        claims: str | None = None,
        tenant_id: str | None = None,
        enable_cae: bool = False,
    ) -> _native.Token:
        """Get an access token with its account, granted scopes and source.

        :param str scopes: One or more scopes of one resource.
        :keyword str claims: As for ``get_token``.
        :keyword str tenant_id: As for ``get_token``.
        :keyword bool enable_cae: As for ``get_token``.
        :returns: The token.
        :rtype: ~keybearer.Token
        :raises: The exceptions of ``get_token``.
        """
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
        """Prompt a person to sign in or to pick a connected account.

        :keyword scopes: Iterable of scopes of one resource. Default: Azure Resource Manager of the
            authority's cloud.
        :keyword str claims: As for ``get_token``, such as ``claims`` of an
            ``AuthenticationRequiredError``.
        :keyword str tenant_id: As for ``get_token``.
        :keyword bool enable_cae: As for ``get_token``.
        :returns: The account that signed in.
        :rtype: ~keybearer.AuthenticationRecord
        :raises: The exceptions of ``get_token``.
        """
        options = {"claims": claims, "tenant_id": tenant_id, "enable_cae": enable_cae}
        request = _native.Request.sign_in(self._credential, scopes, options)
        record: _native.AuthenticationRecord = await _result(request)
        return record

    async def close(self) -> None:
        """Do nothing. Azure credentials have this method; this one holds nothing to close."""

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
        request = _native.Request(self._credential, name, scopes, options)
        token: _native.Token = await _result(request)
        return token


async def _result(request: _native.Request) -> Any:
    """Return the result of the request; at once if the credential's cache has the token."""
    result = request.result()
    return await Waiter.of_running_loop().wait(request) if result is None else result
