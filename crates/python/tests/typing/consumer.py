"""Uses the documented API. `cargo xtask check` runs mypy on this file; it is never executed."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from typing import TYPE_CHECKING

import keybearer
import keybearer.aio
from azure.core.credentials import AccessToken, AccessTokenInfo
from azure.identity import ChainedTokenCredential, get_bearer_token_provider
from azure.storage.blob import BlobServiceClient
from azure.storage.blob.aio import BlobServiceClient as BlobServiceClientForTasks
from keybearer import PopTokenRequestOptions
from typing_extensions import assert_type

if TYPE_CHECKING:
    from azure.core.credentials import SupportsTokenInfo, TokenCredential, TokenRequestOptions
    from azure.core.credentials_async import AsyncSupportsTokenInfo, AsyncTokenCredential

SCOPE = "https://storage.azure.com/.default"
URL = "https://account.blob.core.windows.net"


def blocking(scopes: set[str], challenge: str) -> None:
    """Use every method and keyword."""
    with keybearer.InteractiveBrowserBrokerCredential(
        timeout=60,
        tenant_id="contoso.example",
        additionally_allowed_tenants=scopes,
        parent_window_handle=keybearer.CONSOLE_WINDOW_HANDLE,
        transport=object(),
    ) as credential:
        assert_type(credential.get_token(SCOPE, claims=challenge, enable_cae=True), AccessToken)
        assert_type(credential.get_token_info(SCOPE), AccessTokenInfo)
        token = credential.acquire(*scopes, tenant_id="fabrikam.example")
        assert_type(token.scopes, tuple[str, ...])
        record = credential.authenticate(scopes=scopes)
        credential.authenticate(scopes=(scope for scope in scopes))
        assert_type(record, keybearer.AuthenticationRecord)
        assert_type({record: pickle.dumps(credential)}, dict[keybearer.AuthenticationRecord, bytes])
    again = keybearer.AuthenticationRecord.deserialize(record.serialize())
    keybearer.InteractiveBrowserBrokerCredential(authentication_record=again, broker="required")


def signed_request(credential: keybearer.InteractiveBrowserBrokerCredential) -> None:
    """Write the options in every way."""
    request = {"resource_request_method": "GET", "resource_request_url": URL, "nonce": "n"}
    options: PopTokenRequestOptions = {"pop": request}
    bearer: PopTokenRequestOptions = {"pop": False, "enable_cae": True}
    plain: TokenRequestOptions = {"claims": "{}"}
    for one in (options, bearer, PopTokenRequestOptions(pop=True)):
        credential.get_token_info(SCOPE, options=one)
    credential.get_token_info(SCOPE, options=PopTokenRequestOptions({"pop": request}))
    credential.get_token_info(SCOPE, options=plain)


def interaction(credential: keybearer.InteractiveBrowserBrokerCredential) -> None:
    """Handle each exception."""
    try:
        credential.get_token(SCOPE)
    except keybearer.AuthenticationRequiredError as error:
        assert_type(error.scopes, Iterable[str])
        credential.authenticate(scopes=error.scopes, claims=error.claims)
    except keybearer.CredentialUnavailableError as error:
        assert_type(error.retry_after, "float | None")
    except keybearer.AuthenticationError as error:
        assert_type((error.kind, error.code), "tuple[str, str | None]")


async def for_tasks(scopes: set[str]) -> None:
    """Use every method with asyncio."""
    async with keybearer.aio.InteractiveBrowserBrokerCredential(timeout=60) as credential:
        assert_type(await credential.get_token(SCOPE, tenant_id="t"), AccessToken)
        options = PopTokenRequestOptions(pop=False)
        assert_type(await credential.get_token_info(SCOPE, options=options), AccessTokenInfo)
        assert_type(await credential.acquire(SCOPE), keybearer.Token)
        try:
            await credential.authenticate(scopes=scopes)
        except keybearer.AuthenticationRequiredError as error:
            await credential.authenticate(scopes=error.scopes, claims=error.claims)
    service = BlobServiceClientForTasks(URL, credential=credential)
    token: AsyncTokenCredential = credential
    info: AsyncSupportsTokenInfo = credential
    await service.close()
    await token.close()
    await info.close()


class Named(keybearer.InteractiveBrowserBrokerCredential):
    """A credential that a program derives."""

    def __init__(self, name: str) -> None:
        """Take other arguments."""
        super().__init__(login_hint=name)
        self.name = name


class NamedForTasks(keybearer.aio.InteractiveBrowserBrokerCredential):
    """A credential that a program derives."""

    def __init__(self, name: str) -> None:
        """Take other arguments."""
        super().__init__(login_hint=name)
        self.name = name


def where_azure_expects_a_credential() -> None:
    """Pass a credential where azure-core's protocols are expected."""
    with Named("dev@contoso.example") as credential:
        assert_type(credential.name, str)
    token: TokenCredential = credential
    info: SupportsTokenInfo = credential
    service = BlobServiceClient(URL, credential=credential)
    chain = ChainedTokenCredential(credential, keybearer.InteractiveBrowserBrokerCredential())
    assert_type(get_bearer_token_provider(credential, SCOPE)(), str)
    print(token, info, service, chain)


async def own_credential_for_tasks() -> None:
    """`async with` returns the derived class."""
    async with NamedForTasks("dev@contoso.example") as credential:
        assert_type(credential.name, str)


def mistakes(credential: keybearer.InteractiveBrowserBrokerCredential) -> None:
    """Make mistakes that mypy must report; it also reports an unused ignore."""
    keybearer.InteractiveBrowserBrokerCredential(timeout="soon")  # type: ignore[arg-type]
    credential.get_token(5)  # type: ignore[arg-type]
    wrong: PopTokenRequestOptions = {"pop": True, "pup": 1}  # type: ignore[typeddict-unknown-key]
    credential.get_token_info(SCOPE, options=wrong)
    credential.authenticate(SCOPE)  # type: ignore[call-arg]
