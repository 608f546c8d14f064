from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Final, final

from azure.core.credentials import AccessToken, AccessTokenInfo, TokenRequestOptions
from typing_extensions import Protocol, Self

from keybearer.msal_runtime import Response_Status

__version__: Final[str]
ERROR_KINDS: Final[list[str]]

class _AuthenticationRecord(Protocol):
    @property
    def home_account_id(self) -> str: ...

class InteractiveBrowserBrokerCredential:
    """Gets tokens through the operating system's authentication broker.

    Returns a token without prompting if the broker already has the account. Otherwise a browser or
    the system's dialog asks the person to sign in, once for all programs. The constructor neither
    contacts the broker nor prompts.

    A credential can be shared by threads and used after a fork. While one thread waits for a token,
    other threads run, and Ctrl-C ends the wait. A copy shares the tokens of the original. A pickle
    contains the keywords and the attributes, but no token.

    All keywords are optional; None means the default.

    :keyword str authority: Host of the Microsoft Entra authority, with or without ``https://``.
        Default: the environment variable ``AZURE_AUTHORITY_HOST``, else
        ``login.microsoftonline.com``.
    :keyword str tenant_id: Tenant to sign in to: a GUID, a domain name, ``organizations`` (the
        default), ``common`` or ``consumers``.
    :keyword str client_id: Client ID of the app registration. Default: Microsoft's public client
        for developer tools.
    :keyword str login_hint: User principal name of the account to use. No other account is used without
        a prompt; at a prompt, the person may pick another one.
    :keyword float timeout: Seconds that one request may take in all, including a sign-in. Default:
        300. With 0, every request times out that the credential's own cache cannot answer.
    :keyword str redirect_uri: Redirect URI of the app registration. Default: ``http://localhost``
        on any free port.
    :keyword bool use_default_broker_account: If several accounts are connected, use the one that
        signed in last instead of showing an account picker. Default: False.
    :keyword bool disable_automatic_authentication: Raise ``AuthenticationRequiredError`` instead of
        prompting; the program calls ``authenticate`` to prompt. Default: False.
    :keyword bool disable_interactive_fallback: Raise ``CredentialUnavailableError`` instead of
        prompting, so that a chain tries its next credential. Default: False.
    :keyword bool disable_instance_discovery: Trust the authority without asking Microsoft whether
        it exists, for private clouds. This affects only requests that this process sends itself.
        Default: False.
    :keyword additionally_allowed_tenants: Iterable of tenants that ``tenant_id`` of a method may
        name besides the credential's own. ``"*"`` allows any. Default: none.
    :keyword authentication_record: An ``AuthenticationRecord``, Keybearer's or azure-identity's.
        Its account is used, and its client ID and authority take precedence over the keywords.
    :keyword parent_window_handle: Handle of the window to which the sign-in dialog belongs on
        Windows, or ``CONSOLE_WINDOW_HANDLE``. Default: chosen automatically. Ignored on Linux.
    :keyword str broker: ``"auto"`` (the default) asks the broker and signs in from this process if
        there is no broker or it cannot serve the request. ``"required"`` raises instead.
        ``"never"`` always signs in from this process.
    :keyword bool enable_msa_passthrough: Accept personal Microsoft accounts for an app of an
        organization. Supported only for some of Microsoft's own apps. Default: False.
    :keyword bool enable_support_logging: Include names of accounts, tenants and apps in the lines
        of the logger ``keybearer``. Secrets are never logged. Default: False.
    :keyword cache_persistence_options: Ignored, because the broker keeps the tokens. Keywords of
        azure-core's transports and pipelines are ignored too.
    :raises ValueError: A keyword has an invalid value.
    :raises TypeError: A keyword has a wrong type.
    """

    def __init__(
        self,
        *,
        authority: str | None = None,
        tenant_id: str | None = None,
        client_id: str | None = None,
        login_hint: str | None = None,
        timeout: float | None = None,
        redirect_uri: str | None = None,
        parent_window_handle: object = None,
        use_default_broker_account: bool = False,
        disable_automatic_authentication: bool = False,
        disable_interactive_fallback: bool = False,
        disable_instance_discovery: bool = False,
        additionally_allowed_tenants: Iterable[str] | None = None,
        authentication_record: _AuthenticationRecord | None = None,
        broker: str | None = None,
        cache_persistence_options: object = None,
        enable_msa_passthrough: bool = False,
        enable_support_logging: bool = False,
        **kwargs: Any,
    ) -> None: ...
    def get_token(
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
    def get_token_info(
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
    def acquire(
        self,
        *scopes: str,
        claims: str | None = None,
        tenant_id: str | None = None,
        enable_cae: bool = False,
    ) -> Token:
        """Get an access token with its account, granted scopes and source.

        :param str scopes: One or more scopes of one resource.
        :keyword str claims: As for ``get_token``.
        :keyword str tenant_id: As for ``get_token``.
        :keyword bool enable_cae: As for ``get_token``.
        :returns: The token.
        :rtype: ~keybearer.Token
        :raises: The exceptions of ``get_token``.
        """
    def authenticate(
        self,
        *,
        scopes: Iterable[str] | None = None,
        claims: str | None = None,
        tenant_id: str | None = None,
        enable_cae: bool = False,
        **kwargs: Any,
    ) -> AuthenticationRecord:
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
    def close(self) -> None:
        """Do nothing. Azure credentials have this method; this one holds nothing to close."""
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None: ...
    def __getnewargs__(self) -> tuple[Shared]: ...

@final
class Shared:
    def __new__(cls, keywords: dict[str, Any]) -> Self: ...
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, _memo: object) -> Self: ...

@final
class AuthenticationRecord:
    """The account, authority and app of a sign-in, as returned by ``authenticate``.

    It contains no secret. A program can store it and pass it as ``authentication_record`` to a
    later credential, which then uses the same account. The JSON format is the one of
    ``azure.identity.AuthenticationRecord``.
    """

    @property
    def authority(self) -> str:
        """The host of the authority, such as ``login.microsoftonline.com``."""
    @property
    def client_id(self) -> str:
        """The client ID of the app that signed in."""
    @property
    def home_account_id(self) -> str:
        """The account in its home tenant, as ``<object id>.<tenant id>``."""
    @property
    def tenant_id(self) -> str:
        """The ID of the tenant in which the account signed in."""
    @property
    def username(self) -> str:
        """The account's user principal name, such as ``dev@contoso.example``."""
    def serialize(self) -> str:
        """Return the record as JSON."""
    @staticmethod
    def deserialize(data: str) -> AuthenticationRecord:
        """Read a record from JSON that ``serialize`` of this class or of an Azure SDK returned.

        :param data: The record as JSON.
        :raises ValueError: The text is not an authentication record.
        """

@final
class Token:
    """An access token with its account, scopes and source, as returned by ``acquire``."""

    @property
    def token(self) -> str:
        """The access token. This is a secret."""
    @property
    def expires_on(self) -> int:
        """When the token expires, in seconds since 1970 (UTC)."""
    @property
    def refresh_on(self) -> int | None:
        """When the token should be refreshed, in seconds since 1970 (UTC), or None."""
    @property
    def token_type(self) -> str:
        """The scheme of the token in an ``Authorization`` header: ``Bearer`` or ``pop``."""
    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes that the provider granted. They include all requested scopes."""
    @property
    def username(self) -> str:
        """The user principal name of the token's account, such as ``dev@contoso.example``."""
    @property
    def home_account_id(self) -> str:
        """The token's account in its home tenant, as ``<object id>.<tenant id>``."""
    @property
    def tenant_id(self) -> str:
        """The ID of the tenant that issued the token."""
    @property
    def source(self) -> str:
        """Where the broker got the token from: ``cache``, ``refresh`` or ``sign-in``."""
    @property
    def _id_token(self) -> str | None: ...
    def _access_token(self) -> AccessToken: ...
    def _access_token_info(self) -> AccessTokenInfo: ...

@final
class Request:
    def __new__(
        cls,
        credential: InteractiveBrowserBrokerCredential,
        name: str,
        scopes: tuple[str, ...],
        options: Mapping[str, Any],
    ) -> Self: ...
    @staticmethod
    def sign_in(
        credential: InteractiveBrowserBrokerCredential,
        scopes: Iterable[str] | None,
        options: Mapping[str, Any],
    ) -> Request: ...
    def start(self, socket: CompletionSocket) -> None: ...
    def listen(self, socket: CompletionSocket) -> int: ...
    def cancel(self) -> None: ...
    def result(self) -> Any: ...

@final
class CompletionSocket:
    def __new__(cls) -> Self: ...
    def take_finished(self) -> list[int]: ...

# The classes below are for keybearer.msal_runtime and exist on Linux only.

@final
class MSALRuntimeAuthParameters:
    def __new__(cls, client_id: str, authority: str) -> Self: ...
    def set_requested_scopes(self, scopes: Iterable[str]) -> None: ...
    def set_redirect_uri(self, redirect_uri: str) -> None: ...
    def set_decoded_claims(self, claims: str) -> None: ...
    def set_pop_params(
        self, http_method: str, host: str, path: str, nonce: str | None = None
    ) -> None: ...
    def set_additional_parameter(self, key: str, value: str) -> None: ...

@final
class MSALRuntimeError:
    def get_context(self) -> str: ...
    def get_status(self) -> Response_Status: ...
    def get_error_code(self) -> int: ...
    def get_tag(self) -> int: ...

@final
class RuntimeCall:
    def start(self) -> int: ...
    def cancel(self) -> None: ...
    def result(self) -> Any: ...

@final
class Runtime:
    def __new__(cls) -> Self: ...
    def connect(self) -> RuntimeCall: ...
    def accounts(self, correlation_id: str) -> RuntimeCall: ...
    def acquire_silently(
        self, parameters: MSALRuntimeAuthParameters, correlation_id: str, account: str | None
    ) -> RuntimeCall: ...
    def acquire_interactively(
        self, parameters: MSALRuntimeAuthParameters, correlation_id: str, login_hint: str | None
    ) -> RuntimeCall: ...
    def sign_out(self, client_id: str, account: str) -> MSALRuntimeError | None: ...
