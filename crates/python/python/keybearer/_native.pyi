from collections.abc import Callable, Iterable, Mapping, Sequence
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
        additionally_allowed_tenants: Sequence[str] | None = None,
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
    ) -> AccessToken: ...
    def get_token_info(
        self, *scopes: str, options: TokenRequestOptions | None = None
    ) -> AccessTokenInfo: ...
    def acquire(
        self,
        *scopes: str,
        claims: str | None = None,
        tenant_id: str | None = None,
        enable_cae: bool = False,
    ) -> Token: ...
    def authenticate(
        self,
        *,
        scopes: Sequence[str] | None = None,
        claims: str | None = None,
        tenant_id: str | None = None,
        enable_cae: bool = False,
        **kwargs: Any,
    ) -> AuthenticationRecord: ...
    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None: ...

@final
class AuthenticationRecord:
    @property
    def authority(self) -> str: ...
    @property
    def client_id(self) -> str: ...
    @property
    def home_account_id(self) -> str: ...
    @property
    def tenant_id(self) -> str: ...
    @property
    def username(self) -> str: ...
    def serialize(self) -> str: ...
    @staticmethod
    def deserialize(data: str) -> AuthenticationRecord: ...

@final
class Token:
    @property
    def token(self) -> str: ...
    @property
    def expires_on(self) -> int: ...
    @property
    def refresh_on(self) -> int | None: ...
    @property
    def token_type(self) -> str: ...
    @property
    def scopes(self) -> tuple[str, ...]: ...
    @property
    def username(self) -> str: ...
    @property
    def home_account_id(self) -> str: ...
    @property
    def tenant_id(self) -> str: ...
    @property
    def source(self) -> str: ...
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
    def start(self, wake: Callable[[], object]) -> None: ...
    def cancel(self) -> None: ...
    def result(self) -> Token | None: ...

# For keybearer.msal_runtime, on Linux.

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
class Call:
    def cancel(self) -> None: ...

@final
class Runtime:
    def __new__(cls) -> Self: ...
    def connect(self, done: Callable[[str | MSALRuntimeError], object]) -> Call: ...
    def accounts(
        self,
        correlation_id: str,
        done: Callable[[list[tuple[str, str, str]] | MSALRuntimeError], object],
    ) -> Call: ...
    def acquire_silently(
        self,
        parameters: MSALRuntimeAuthParameters,
        correlation_id: str,
        account: str | None,
        done: Callable[[Token | MSALRuntimeError], object],
    ) -> Call: ...
    def acquire_interactively(
        self,
        parameters: MSALRuntimeAuthParameters,
        correlation_id: str,
        login_hint: str | None,
        done: Callable[[Token | MSALRuntimeError], object],
    ) -> Call: ...
    def sign_out(self, client_id: str, account: str) -> MSALRuntimeError | None: ...
