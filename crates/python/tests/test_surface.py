"""The public interface of the package, and the exception for each kind of failure."""

from __future__ import annotations

import ast
import asyncio
import inspect
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Callable

import keybearer
import keybearer.aio
import pytest
from azure.core.credentials import AccessToken, AccessTokenInfo
from azure.core.exceptions import ClientAuthenticationError
from broker_double import HOME_ACCOUNT_ID, USERNAME, Answer, BrokerDouble, Reply, error, token
from keybearer import _exceptions, _native

if TYPE_CHECKING:
    from collections.abc import Iterator

Serve = Callable[[Answer], BrokerDouble]

SCOPE = "https://storage.azure.com/.default"
CREDENTIALS = [
    keybearer.InteractiveBrowserBrokerCredential,
    keybearer.aio.InteractiveBrowserBrokerCredential,
]
WORDS = {
    "unavailable": "unavailable.network",
    "denied": "denied.server",
}


def python(code: str) -> str:
    """Run a program in a new interpreter; return what it printed."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_importing_it_imports_no_azure_no_msal_and_nothing_slow() -> None:
    code = (
        "import sys; before = set(sys.modules); import keybearer; print(*set(sys.modules) - before)"
    )
    # A small module of CPython, by which the package detects a subinterpreter.
    loaded = set(python(code).split()) - {"_interpreters", "_xxsubinterpreters"}
    assert loaded == {"__future__", "keybearer", "keybearer._native"}


def test_importing_it_takes_less_than_ten_milliseconds() -> None:
    code = "import time; t = time.perf_counter(); import keybearer; print(time.perf_counter() - t)"
    assert min(float(python(code)) for _ in range(5)) < 0.010


def test_it_works_without_azure_core() -> None:
    code = f"""
import sys
sys.modules["azure"] = None
import keybearer
credential = keybearer.InteractiveBrowserBrokerCredential(timeout=0)
try:
    credential.get_token({SCOPE!r})
except keybearer.AuthenticationError as error:
    print(error.kind, str(error) == error.message)
"""
    assert python(code) == "timed_out True"


@pytest.mark.parametrize("credential", CREDENTIALS)
def test_it_takes_every_keyword_of_the_official_one(credential: type) -> None:
    msal = pytest.importorskip("msal")
    for window in (keybearer.CONSOLE_WINDOW_HANDLE, msal.PublicClientApplication, 1234, None):
        credential(
            authority="https://login.microsoftonline.com",
            tenant_id="contoso.example",
            client_id="04b07795-8ddb-461a-bbee-02f9e1bf7b46",
            login_hint=USERNAME,
            cache_persistence_options=object(),
            timeout=2.5,
            parent_window_handle=getattr(window, "CONSOLE_WINDOW_HANDLE", window),
            use_default_broker_account=True,
            enable_msa_passthrough=True,
            disable_instance_discovery=True,
            enable_support_logging=True,
            disable_interactive_fallback=True,
            additionally_allowed_tenants=["*"],
            authentication_record=None,
            disable_automatic_authentication=True,
            redirect_uri="http://localhost:8400",
            transport=object(),
            retry_total=3,
        )
    credential(authority=None, tenant_id=None, timeout=None, additionally_allowed_tenants=None)
    credential(additionally_allowed_tenants={"contoso.example"})


@pytest.mark.parametrize("credential", CREDENTIALS)
@pytest.mark.parametrize(
    ("keywords", "exception", "text"),
    [
        ({"timeout": "soon"}, TypeError, "timeout"),
        ({"broker": "sometimes"}, ValueError, "^broker must be 'auto', 'required' or 'never'$"),
        ({"timeout": -1}, ValueError, "timeout"),
        ({"timeout": float("nan")}, ValueError, "timeout"),
        ({"tenant_id": 5}, TypeError, "tenant_id"),
        ({"tenant_id": "a b"}, ValueError, "tenant"),
        ({"tenant_id": "contoso_example"}, ValueError, "tenant_id"),
        ({"authority": "http://login.example"}, ValueError, "https"),
        ({"redirect_uri": "nowhere"}, ValueError, "redirect URI"),
        ({"redirect_uri": "localhost:8400"}, ValueError, "redirect_uri"),
        ({"additionally_allowed_tenants": "contoso"}, TypeError, "additionally_allowed_tenants"),
        ({"additionally_allowed_tenants": [5]}, TypeError, "additionally_allowed_tenants"),
        ({"additionally_allowed_tenants": 5}, TypeError, "additionally_allowed_tenants"),
        ({"authentication_record": object()}, TypeError, "home_account_id"),
    ],
)
def test_a_wrong_keyword_is_named(
    credential: type, keywords: dict[str, Any], exception: type[Exception], text: str
) -> None:
    with pytest.raises(exception, match=text):
        credential(**keywords)


def test_a_subclass_may_take_other_arguments() -> None:
    class Named(keybearer.InteractiveBrowserBrokerCredential):
        def __init__(self, name: str) -> None:
            super().__init__(login_hint=name)

    class Forgetful(keybearer.InteractiveBrowserBrokerCredential):
        def __init__(self) -> None:
            pass

    assert isinstance(Named(USERNAME), keybearer.InteractiveBrowserBrokerCredential)
    with pytest.raises(RuntimeError, match="__init__"):
        Forgetful().get_token(SCOPE)


def test_tokens_are_azure_cores_with_what_the_broker_said(serve: Serve) -> None:
    serve(lambda _, __: token("secret-1", scopes=SCOPE))
    with keybearer.InteractiveBrowserBrokerCredential() as credential:
        access_token = credential.get_token(SCOPE, claims=None, tenant_id=None, enable_cae=False)
        info = credential.get_token_info(SCOPE, options={})
        own = credential.acquire(SCOPE)
    assert type(access_token) is AccessToken
    assert type(info) is AccessTokenInfo
    assert access_token == ("secret-1", own.expires_on)
    assert (info.token, info.expires_on) == access_token
    assert (info.token_type, info.refresh_on) == ("Bearer", own.refresh_on)
    assert isinstance(own.expires_on, int)
    assert own.refresh_on is not None
    assert own.refresh_on < own.expires_on
    assert (own.token, own.token_type, own.scopes) == ("secret-1", "Bearer", (SCOPE,))
    assert (own.username, own.home_account_id) == (USERNAME, HOME_ACCOUNT_ID)
    assert (own.tenant_id, own.source) == (HOME_ACCOUNT_ID.split(".")[1], "refresh")
    assert "secret-1" not in repr(own)


def test_asyncio_gets_the_same(serve: Serve) -> None:
    serve(lambda _, __: token("secret-1", scopes=SCOPE))

    async def main() -> tuple[AccessToken, AccessTokenInfo, keybearer.Token]:
        async with keybearer.aio.InteractiveBrowserBrokerCredential() as credential:
            access_token = await credential.get_token(SCOPE, enable_cae=False)
            info = await credential.get_token_info(SCOPE, options={"enable_cae": False})
            return access_token, info, await credential.acquire(SCOPE)

    access_token, info, own = asyncio.run(main())
    assert (type(access_token), type(info)) == (AccessToken, AccessTokenInfo)
    assert access_token == ("secret-1", own.expires_on)
    assert (info.token, info.refresh_on, info.token_type) == ("secret-1", own.refresh_on, "Bearer")


def test_a_token_is_asked_for_once(serve: Serve) -> None:
    broker = serve(lambda _, __: token())
    credential = keybearer.InteractiveBrowserBrokerCredential()
    assert len({credential.get_token(SCOPE) for _ in range(5)}) == 1
    assert broker.calls == {"acquireTokenSilently": 1}


def test_what_the_caller_asks_for_reaches_the_broker(serve: Serve) -> None:
    requests: list[str] = []

    def answer(_: str, request: Reply) -> Reply:
        requests.append(str(request))
        return token()

    serve(answer)
    record = SimpleNamespace(
        authority="login.microsoftonline.us",
        client_id="record-client",
        home_account_id=HOME_ACCOUNT_ID,
        tenant_id="record-tenant",
        username=USERNAME,
    )
    credential = keybearer.InteractiveBrowserBrokerCredential(
        authentication_record=record,
        client_id="keyword-client",
        additionally_allowed_tenants=["fabrikam.example"],
    )
    claims = '{"access_token":{"nbf":{"essential":true,"value":"1700000000"}}}'
    credential.get_token(SCOPE)
    credential.get_token(SCOPE, claims=claims, tenant_id="fabrikam.example")
    credential.get_token_info(SCOPE, options={"enable_cae": True})
    expected = ["login.microsoftonline.us", "record-client", HOME_ACCOUNT_ID, SCOPE]
    for words, request in zip(
        (["record-tenant"], ["fabrikam.example", "1700000000"], ["record-tenant", "cp1"]), requests
    ):
        for word in expected + words:
            assert word.lower() in request.lower()
        assert "keyword-client" not in request


@pytest.mark.parametrize("credential", CREDENTIALS)
def test_a_call_without_a_scope_is_a_value_error(credential: type) -> None:
    for method in ("get_token", "get_token_info", "acquire"):
        with pytest.raises(ValueError, match=f"'{method}' requires at least one scope"):
            run(getattr(credential(), method))


@pytest.mark.parametrize("credential", CREDENTIALS)
@pytest.mark.parametrize("made", [list, set, iter, dict.fromkeys], ids=lambda made: made.__name__)
def test_authenticate_takes_any_iterable_of_scopes(
    serve: Serve, credential: type, made: Callable[[list[str]], Any]
) -> None:
    asked: list[Any] = []

    def answer(_: str, request: Any) -> Reply:
        asked.append(request["authParameters"]["requestedScopes"])
        return token()

    serve(answer)
    scopes = [SCOPE, "https://storage.azure.com/user_impersonation"]
    run(credential().authenticate, scopes=made(scopes))
    assert set(scopes) <= set(asked[0])


@pytest.mark.parametrize("credential", CREDENTIALS)
@pytest.mark.parametrize("scopes", [SCOPE, b"scope", [SCOPE, 5], 5])
def test_what_is_no_iterable_of_scopes_is_named(credential: type, scopes: object) -> None:
    """A str is an iterable of its characters, which is never meant."""
    with pytest.raises(TypeError, match="scopes"):
        run(credential().authenticate, scopes=scopes)


@pytest.mark.parametrize("credential", CREDENTIALS)
def test_a_bound_token_is_asked_for_and_never_replaced_by_a_bearer_token(
    serve: Serve, credential: type
) -> None:
    asked: list[Any] = []

    def answer(_: str, request: Any) -> Reply:
        asked.append(request["authParameters"]["popParams"])
        return token()

    serve(answer)
    pop = {"resource_request_method": "GET", "resource_request_url": "https://r", "nonce": "n"}
    for call in (
        lambda one: run(one.get_token, SCOPE, pop=pop),
        lambda one: run(one.get_token_info, SCOPE, options={"pop": pop}),
    ):
        with pytest.raises(ClientAuthenticationError, match="a signed HTTP request"):
            call(credential(broker="required"))
    assert {(one["httpMethod"], one["uriHost"], one["nonce"]) for one in asked} == {
        ("GET", "r", "n")
    }


@pytest.mark.parametrize("credential", CREDENTIALS)
@pytest.mark.parametrize(
    ("pop", "words"),
    [
        (True, "TLS certificate"),
        ({}, "resource_request_method"),
        ({"resource_request_method": "GET"}, "resource_request_url"),
        (
            {"resource_request_method": "GET", "resource_request_url": "r"},
            "proof_of_possession|URL",
        ),
    ],
)
def test_a_pop_option_that_cannot_be_had_is_refused_by_name(
    credential: type, pop: object, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        run(credential().get_token_info, SCOPE, options={"pop": pop})


def test_a_record_is_that_of_azure_identity() -> None:
    identity = pytest.importorskip("azure.identity")
    official = identity.AuthenticationRecord(
        "6d8f2c1e-0000-4000-8000-000000000001",
        "04b07795-8ddb-461a-bbee-02f9e1bf7b46",
        "login.microsoftonline.com",
        HOME_ACCOUNT_ID,
        USERNAME,
    )
    ours = keybearer.AuthenticationRecord.deserialize(official.serialize())
    assert ours.username == USERNAME
    again = identity.AuthenticationRecord.deserialize(ours.serialize())
    assert again.serialize() == official.serialize()
    with pytest.raises(ValueError, match="authentication record"):
        keybearer.AuthenticationRecord.deserialize("{}")


def public_definitions() -> Iterator[Any]:
    """Find the public classes of the stub, and their public methods and properties."""
    stub = Path(keybearer.__file__).with_name("_native.pyi").read_text()
    for node in ast.parse(stub).body:
        if isinstance(node, ast.ClassDef) and node.name in keybearer.__all__:
            yield pytest.param(node, getattr(_native, node.name), id=node.name)
            for member in node.body:
                if isinstance(member, ast.FunctionDef) and not member.name.startswith("_"):
                    defined = getattr(getattr(_native, node.name), member.name)
                    yield pytest.param(member, defined, id=f"{node.name}.{member.name}")


@pytest.mark.parametrize(("node", "defined"), public_definitions())
def test_editors_show_the_docstrings_of_the_native_module(
    node: ast.ClassDef | ast.FunctionDef, defined: object
) -> None:
    """Editors read the stub, `help` reads the module."""
    assert ast.get_docstring(node) == inspect.getdoc(defined)


def test_both_sides_of_the_exception_table_know_the_same_kinds() -> None:
    assert list(_exceptions.CLASSES) == _native.ERROR_KINDS


@pytest.mark.parametrize("kind", _native.ERROR_KINDS)
@pytest.mark.parametrize("credential", CREDENTIALS)
@pytest.mark.usefixtures("without_azure_identity")
def test_every_kind_becomes_its_exception(serve: Serve, credential: type, kind: str) -> None:
    details = {"code": "AADSTS50079", "hint": "do this", "trace_id": "t-1"}
    if kind == "transient":
        details["retry_after_ms"] = "1500"
    serve(lambda _, __: error(WORDS.get(kind, kind), **details))
    silent = credential(disable_automatic_authentication=True, broker="required")
    with pytest.raises(ClientAuthenticationError) as caught:
        run(silent.get_token, SCOPE)
    found = caught.value
    assert type(found) is _exceptions.CLASSES[kind]
    assert isinstance(found, _exceptions.AuthenticationError)
    assert (found.kind, found.code, found.hint) == (kind, "AADSTS50079", "do this")
    assert found.trace_id == "t-1"
    assert found.retry_after == (1.5 if kind == "transient" else None)
    assert found.correlation_id
    for text in ("AADSTS50079", found.correlation_id, "do this"):
        assert text in found.message
    if kind == "interaction_required":
        assert isinstance(found, keybearer.AuthenticationRequiredError)
        assert (found.scopes, found.claims) == ((SCOPE,), None)


def test_exceptions_are_azure_identitys_too_when_that_is_loaded(serve: Serve) -> None:
    identity = pytest.importorskip("azure.identity")
    serve(lambda _, __: error("interaction_required", claims='{"id_token":{}}'))
    credential = keybearer.InteractiveBrowserBrokerCredential(disable_automatic_authentication=True)
    for exception in (
        identity.AuthenticationRequiredError,
        identity.CredentialUnavailableError,
        keybearer.AuthenticationRequiredError,
        keybearer.CredentialUnavailableError,
        keybearer.AuthenticationError,
    ):
        with pytest.raises(exception) as caught:
            credential.get_token(SCOPE)
        assert caught.value.scopes == (SCOPE,)
        assert "id_token" in caught.value.claims


def test_a_chain_goes_on_where_nobody_is_to_be_asked(serve: Serve) -> None:
    serve(lambda _, __: error("interaction_required"))
    credential = keybearer.InteractiveBrowserBrokerCredential(disable_interactive_fallback=True)
    with pytest.raises(keybearer.CredentialUnavailableError):
        credential.get_token(SCOPE)


def test_who_asked_a_person_and_was_refused_ends_a_chain(serve: Serve) -> None:
    identity = pytest.importorskip("azure.identity")
    serve(lambda _, __: error("interaction_required"))
    credential = keybearer.InteractiveBrowserBrokerCredential()
    with pytest.raises(keybearer.AuthenticationError) as caught:
        credential.get_token(SCOPE)
    assert caught.value.kind == "interaction_required"
    assert not isinstance(caught.value, identity.CredentialUnavailableError)


def test_what_an_error_and_its_cause_both_say_is_read_once(serve: Serve) -> None:
    said = {"message": "could not redeem the code", "correlation_id": "c-1", "hint": "ask them"}
    serve(lambda _, __: error("denied.server", cause=said["message"], **said))
    credential = keybearer.InteractiveBrowserBrokerCredential()
    with pytest.raises(keybearer.AuthenticationError) as caught:
        credential.get_token(SCOPE)
    assert str(caught.value) == "could not redeem the code (correlation id c-1); ask them"


@pytest.mark.parametrize(
    ("word", "goes_on"), [("unavailable.network", True), ("denied.server", False)]
)
def test_chains_go_on_when_nobody_is_there_and_end_when_somebody_refuses(
    serve: Serve, word: str, goes_on: bool
) -> None:
    identity = pytest.importorskip("azure.identity")
    serve(lambda _, __: error(word))
    asked: list[str] = []

    class Next:
        def get_token(self, *scopes: str, **_: Any) -> AccessToken:
            asked.extend(scopes)
            return AccessToken("from the next", 1)

        def get_token_info(self, *_: str, **__: Any) -> AccessTokenInfo:
            raise AssertionError

    chain = identity.ChainedTokenCredential(keybearer.InteractiveBrowserBrokerCredential(), Next())
    if goes_on:
        assert chain.get_token(SCOPE).token == "from the next"
    else:
        with pytest.raises(ClientAuthenticationError):
            chain.get_token(SCOPE)
    assert asked == [SCOPE] * goes_on


def run(call: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    """Call the function, and run the coroutine if it returns one."""
    result = call(*arguments, **keywords)
    return asyncio.run(result) if asyncio.iscoroutine(result) else result


@pytest.fixture
def without_azure_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide azure-identity, which another test or plugin may have loaded."""
    monkeypatch.delitem(sys.modules, "azure.identity", raising=False)
