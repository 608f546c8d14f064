"""keybearer.msal_runtime: its interface, the requests it sends to a broker, and its errors.

`interop/python` tests unmodified MSAL with a real broker.
"""

from __future__ import annotations

import ast
import base64
import inspect
import json
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Callable

import keybearer
import msal
import pytest
from broker_double import HOME_ACCOUNT_ID, USERNAME, Answer, BrokerDouble, Reply, error, token
from keybearer import msal_runtime
from keybearer.msal_runtime import (
    CallbackData,
    MSALRuntimeAccount,
    MSALRuntimeAuthParameters,
    MSALRuntimeResult,
    Response_Status,
)
from test_end_to_end import emulator, machine

if TYPE_CHECKING:
    from test_end_to_end import Machine

__all__ = ["emulator", "machine"]

Serve = Callable[[Answer], BrokerDouble]

CLIENT = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
AUTHORITY = "https://login.microsoftonline.com/organizations"
SCOPE = "https://storage.azure.com/.default"
CORRELATION_ID = "5a1e0000-0000-4000-8000-000000000001"
DEV = MSALRuntimeAccount(HOME_ACCOUNT_ID, USERNAME)
TEST_LIMIT = 20


@pytest.fixture(autouse=True)
def process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reset the module's state to that of a new process."""
    monkeypatch.setattr(msal_runtime, "_runtime", None)
    monkeypatch.setattr(msal_runtime, "_log", type(msal_runtime._log)())


def parameters(**additional: str) -> MSALRuntimeAuthParameters:
    """Make the parameters that MSAL always sets, with additional ones."""
    said = MSALRuntimeAuthParameters(CLIENT, AUTHORITY)
    said.set_additional_parameter("msal_client_sku", "MSAL.Python")
    said.set_requested_scopes([SCOPE])
    said.set_redirect_uri("https://login.microsoftonline.com/common/oauth2/nativeclient")
    for key, value in additional.items():
        said.set_additional_parameter(key, value)
    return said


def ask(function: Callable[..., object], *arguments: object) -> MSALRuntimeResult:
    """Call a function as MSAL does and wait for its result."""
    data = CallbackData()
    function(*arguments, lambda result, data=data: data.complete(result))
    assert data.signal.wait(TEST_LIMIT), "no result"
    assert data.result is not None
    return data.result


def silently(said: MSALRuntimeAuthParameters) -> MSALRuntimeResult:
    return ask(msal_runtime.signin_silently, said, CORRELATION_ID)


def status(result: MSALRuntimeResult) -> Response_Status:
    failed = result.get_error()
    assert failed is not None, "it did not fail"
    return failed.get_status()


# --- its interface


def called_by_msal() -> set[str]:
    """The names that MSAL uses of the module and of the objects that the module returns."""
    package = Path(inspect.getfile(msal)).parent
    broker = ast.parse((package / "broker.py").read_text())
    owners = {"pymsalruntime", "params", "result", "account", "error", "callback_data"}
    names = set()
    for node in ast.walk(broker):
        if isinstance(node, ast.Attribute):
            owner = node.value
            if isinstance(owner, ast.Attribute):  # callback_data.result.get_error, LogLevel.TRACE
                owner = owner.value
            if isinstance(owner, ast.Name) and owner.id in owners:
                names.add(node.attr)
    application = (package / "application.py").read_text()
    statuses = {word.strip(" ,\n") for word in application.split("Response_Status.")[1:]}
    return names | {word.split(",")[0] for word in statuses}


def test_it_has_every_name_that_msal_calls() -> None:
    names = called_by_msal()
    assert {"signin_interactively", "set_pop_params", "get_raw_id_token"} <= names
    assert "Status_AccountUnusable" in names
    there = set(dir(msal_runtime))
    for value in vars(msal_runtime).values():
        there |= set(dir(value)) if inspect.isclass(value) else set()
    there |= set(dir(CallbackData())) | set(dir(keybearer._native.MSALRuntimeError))
    assert names <= there


def test_statuses_have_the_numbers_of_the_public_enum() -> None:
    assert [member.value for member in Response_Status] == list(range(22))
    assert str(Response_Status.Status_InteractionRequired).endswith("InteractionRequired")


# --- replacing Microsoft's runtime


def test_installing_it_is_all_that_msal_needs_and_imports_nothing_of_it() -> None:
    code = (
        "import sys, keybearer\n"
        "keybearer.install_msal_runtime(); keybearer.install_msal_runtime()\n"
        "import pymsalruntime\n"
        "print(pymsalruntime.__name__, *(m for m in sys.modules if m[:4] in ('msal', 'azur')))"
    )
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    assert run.stdout.split() == ["keybearer.msal_runtime"]


def test_microsofts_runtime_is_not_replaced_once_it_is_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    theirs = ModuleType("pymsalruntime")
    monkeypatch.setitem(sys.modules, "pymsalruntime", theirs)
    with pytest.raises(RuntimeError, match="already loaded"):
        keybearer.install_msal_runtime()
    assert sys.modules["pymsalruntime"] is theirs


def test_without_a_broker_initialising_it_fails_as_msal_expects(serve: Serve) -> None:
    lines: list[str] = []
    with pytest.raises(RuntimeError, match=r"find a broker: .*keybearer program"):
        msal_runtime.register_logging_callback(lambda line, _: lines.append(line))
    serve(lambda _, __: error("internal"))
    msal_runtime.register_logging_callback(lambda line, _: lines.append(line))
    assert len(lines) == 1


def test_where_it_is_not_built_importing_it_says_what_to_use() -> None:
    code = "from keybearer import _native; del _native.Runtime; import keybearer.msal_runtime"
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, check=False, capture_output=True, text=True)
    assert run.returncode == 1
    assert "ImportError: keybearer.msal_runtime is for Linux" in run.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "usage:"),
        (["-x"], "usage:"),
        (["no-such-program"], "no file and no command"),
    ],
)
def test_running_nothing_says_how_to_run_something(arguments: list[str], said: str) -> None:
    command = [sys.executable, "-m", "keybearer.msal_runtime", *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert said in run.stderr


# --- requests and results


def test_token_is_answered_with_everything_that_msal_reads(serve: Serve) -> None:
    claims = base64.urlsafe_b64encode(b'{"preferred_username":"\xc3\xa4"}').decode().rstrip("=")
    reply = token(scopes=f"{SCOPE} openid")
    reply["brokerTokenResponse"]["idToken"] = f"e30.{claims}.x"
    serve(lambda _, __: reply)
    result = silently(parameters())
    assert result.get_error() is None
    assert result.get_access_token() == "the-token"
    assert result.get_access_token_expiry_time() > 1_700_000_000
    assert SCOPE in result.get_granted_scopes()
    assert result.get_raw_id_token() == f"e30.{claims}.x"
    assert json.loads(result.get_id_token()) == {"preferred_username": "ä"}
    assert not result.is_pop_authorization()
    assert result.get_telemetry_data() == {"keybearer_source": "refresh"}
    account = result.get_account()
    assert account is not None
    uid, utid = HOME_ACCOUNT_ID.split(".")
    assert account.get_account_id() == uid
    info = account.get_client_info()
    assert json.loads(base64.urlsafe_b64decode(info + "==")) == {"uid": uid, "utid": utid}


def test_request_says_what_the_program_said_without_msals_remarks(serve: Serve) -> None:
    asked: list[tuple[str, Reply]] = []

    def answer(method: str, request: Reply) -> Reply:
        asked.append((method, request["authParameters"]))
        return token()

    serve(answer)
    said = parameters(
        domain_hint="contoso.example",
        msal_client_ver="1.39.0",
        msal_gui_thread="true",
        msal_request_type="consumer_passthrough",
        validateAuthority="no",
        token_type="bearer",
    )
    said.set_decoded_claims('{"access_token":{"xms_cc":{"values":["CP1"]},"acrs":null}}')
    silently(said)
    interactively = msal_runtime.signin_interactively
    ask(interactively, 0, said, CORRELATION_ID, None)
    ask(interactively, 0, said, CORRELATION_ID, USERNAME)
    ask(msal_runtime.acquire_token_silently, said, CORRELATION_ID, DEV)
    (_, silent), (method, picked), (_, hinted), (_, named) = asked
    assert silent["additionalQueryParametersForAuthorization"] == {
        "domain_hint": "contoso.example",
        "msal_request_type": "consumer_passthrough",
    }
    assert json.loads(silent["decodedClaims"]) == {
        "access_token": {"acrs": None, "xms_cc": {"values": ["cp1"]}}
    }
    assert silent["redirectUri"].endswith("/nativeclient")
    assert (silent["account"], silent["username"]) == (None, "")
    assert (method, picked["prompt"]) == ("acquireTokenInteractively", "select_account")
    assert (hinted.get("prompt"), hinted["username"]) == (None, USERNAME)
    assert named["account"]["homeAccountId"] == HOME_ACCOUNT_ID


@pytest.mark.parametrize(
    ("account_id", "found"),
    [
        (HOME_ACCOUNT_ID.split(".")[0], True),
        (HOME_ACCOUNT_ID, True),
        ("A0000000-0000-0000-0000-00000000000B", True),
        ("unknown", False),
    ],
)
def test_account_is_found_by_its_object_id_of_either_directory(
    serve: Serve, account_id: str, found: bool
) -> None:
    account = {**token()["brokerTokenResponse"]["account"]}
    account["localAccountId"] = "a0000000-0000-0000-0000-00000000000b"
    serve(lambda _, __: {"accounts": [account]})
    result = ask(msal_runtime.read_account_by_id, account_id, CORRELATION_ID)
    assert result.get_error() is None
    assert (result.get_account() is not None) == found


def test_signed_out_account_gets_no_tokens_before_it_signs_in_again(serve: Serve) -> None:
    broker = serve(lambda _, __: token())
    acquire = msal_runtime.acquire_token_silently
    assert ask(acquire, parameters(), CORRELATION_ID, DEV).get_error() is None
    assert ask(msal_runtime.signout_silently, CLIENT, CORRELATION_ID, DEV).get_error() is None
    required = Response_Status.Status_InteractionRequired
    assert status(ask(acquire, parameters(), CORRELATION_ID, DEV)) is required
    assert status(silently(parameters())) is required
    ask(msal_runtime.signin_interactively, 0, parameters(), CORRELATION_ID, None)
    assert ask(acquire, parameters(), CORRELATION_ID, DEV).get_error() is None
    assert "removeAccount" not in broker.calls


# --- errors


@pytest.mark.parametrize(
    ("kind", "details", "expected", "tag"),
    [
        ("unavailable.broker", {}, "RequiredBrokerMissing", 1),
        ("unavailable.network", {}, "NoNetwork", 2),
        ("unavailable.device_registration", {}, "DeviceNotRegistered", 3),
        ("unavailable.key", {}, "KeyNotFound", 4),
        ("unavailable.user_interface", {}, "InteractionRequired", 5),
        ("interaction_required", {}, "InteractionRequired", 6),
        ("cancelled", {}, "UserCanceled", 7),
        ("timed_out", {}, "NetworkTemporarilyUnavailable", 8),
        ("transient", {}, "ServerTemporarilyUnavailable", 9),
        ("denied.person", {}, "UserCanceled", 10),
        ("denied.configuration", {}, "IncorrectConfiguration", 11),
        ("denied.server", {}, "Unexpected", 12),
        ("invalid_request", {"field": "scopes"}, "ApiContractViolation", 13),
        ("invalid_request", {"field": "authority"}, "AuthorityUntrusted", 13),
        ("protocol", {}, "Unexpected", 14),
        ("internal", {}, "Unexpected", 15),
    ],
)
def test_each_kind_of_error_has_its_status_and_tag(
    serve: Serve, kind: str, details: dict[str, str], expected: str, tag: int
) -> None:
    serve(lambda _, __: error(kind, code="AADSTS50011", hint="do this", **details))
    failed = silently(parameters()).get_error()
    assert failed is not None
    assert failed.get_status() is Response_Status[f"Status_{expected}"]
    assert failed.get_error_code() == 50011
    assert failed.get_tag() == 0x4B42_0000 + tag
    context = failed.get_context()
    for part in (f"a case of {kind}", "AADSTS50011", CORRELATION_ID, "do this"):
        assert part in context


def with_text(**setters: Any) -> MSALRuntimeAuthParameters:
    said = parameters()
    for name, arguments in setters.items():
        getattr(said, name)(*arguments)
    return said


@pytest.mark.parametrize(
    ("said", "expected", "context"),
    [
        (
            parameters(MSALRuntime_Password="hunter2"),
            "ApiContractViolation",
            "password is not supported",
        ),
        (parameters(token_type="ssh-cert"), "ApiContractViolation", "ssh-cert"),
        (with_text(set_decoded_claims=["[]"]), "ApiContractViolation", "JSON object"),
        (with_text(set_redirect_uri=["nowhere"]), "ApiContractViolation", "redirect URI"),
        (with_text(set_requested_scopes=[["a/b", "https://c/d"]]), "ApiContractViolation", ""),
        (with_text(set_pop_params=["GET", "", "", ""]), "ApiContractViolation", "sign"),
        (MSALRuntimeAuthParameters(CLIENT, "http://x/y"), "AuthorityUntrusted", "https"),
        (MSALRuntimeAuthParameters("a b", AUTHORITY), "ApiContractViolation", "client_id"),
    ],
)
def test_request_that_is_wrong_reaches_no_broker(
    serve: Serve, said: MSALRuntimeAuthParameters, expected: str, context: str
) -> None:
    broker = serve(lambda _, __: token())
    for result in (
        silently(said),
        ask(msal_runtime.signin_interactively, 0, said, CORRELATION_ID, None),
    ):
        failed = result.get_error()
        assert failed is not None
        assert failed.get_status() is Response_Status[f"Status_{expected}"]
        assert context in failed.get_context()
        assert "hunter2" not in failed.get_context()
    assert not broker.calls


def test_bearer_token_is_no_answer_to_a_program_that_asked_for_a_signature(serve: Serve) -> None:
    serve(lambda _, __: token())
    said = parameters()
    said.set_pop_params("GET", "graph.microsoft.com", "/v1.0/me", None)
    failed = silently(said).get_error()
    assert failed is not None
    assert "the-token" not in failed.get_context()


def test_request_that_is_given_up_ends_at_once(serve: Serve) -> None:
    asked = threading.Event()

    def answer(_: str, __: Reply) -> None:
        asked.set()

    serve(answer)
    data = CallbackData()
    call = msal_runtime.signin_silently(parameters(), CORRELATION_ID, data.complete)
    assert asked.wait(TEST_LIMIT)
    call.cancel()
    assert data.signal.wait(5)
    assert data.result is not None
    assert status(data.result) is Response_Status.Status_UserCanceled
    call.cancel()


def test_log_names_accounts_only_if_told_to_and_never_a_token(serve: Serve) -> None:
    lines: list[str] = []
    serve(lambda _, __: token())
    msal_runtime.register_logging_callback(lambda line, level: lines.append(f"{level} {line}"))
    silently(parameters())
    assert CORRELATION_ID in lines[-1]
    assert USERNAME not in "".join(lines)
    msal_runtime.set_is_pii_enabled(1)
    silently(parameters())
    assert USERNAME in lines[-1]
    assert "the-token" not in "".join(lines), "invariant I5"


def test_log_that_fails_does_not_keep_the_result_back(serve: Serve) -> None:
    serve(lambda _, __: token())
    msal_runtime.register_logging_callback(lambda _, __: None)
    msal_runtime._log.callback = lambda _, __: 1 / 0
    assert silently(parameters()).get_error() is None


def test_request_under_way_does_not_trouble_the_end_of_the_program(serve: Serve) -> None:
    serve(lambda _, __: None)
    code = f"""
import builtins, threading, time
from keybearer import msal_runtime
class SlowToGo:
    def __del__(self, sleep=time.sleep):
        sleep(0.2)
builtins.left_to_the_end = SlowToGo()
said = msal_runtime.MSALRuntimeAuthParameters({CLIENT!r}, {AUTHORITY!r})
call = msal_runtime.signin_silently(said, {CORRELATION_ID!r}, print)
def wait():
    data = msal_runtime.CallbackData()
    msal_runtime.signin_silently(said, {CORRELATION_ID!r}, data.complete)
    data.signal.wait()
threading.Thread(target=wait, daemon=True).start()
threading.Timer(0.3, call.cancel).start()
"""
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    assert (run.returncode, run.stderr) == (0, "")


# --- with a real broker

SIGNED_REQUEST = """
import ssl, urllib.error, urllib.request
from urllib.parse import urlsplit
from keybearer import msal_runtime
from keybearer.msal_runtime import CallbackData, MSALRuntimeAuthParameters
def ask(function, *arguments):
    data = CallbackData()
    function(*arguments, data.complete)
    assert data.signal.wait(30)
    return data.result
def parameters():
    said = MSALRuntimeAuthParameters(
        "04b07795-8ddb-461a-bbee-02f9e1bf7b46",
        os.environ["AZURE_AUTHORITY_HOST"] + "/" + os.environ["TEST_TENANT"])
    said.set_requested_scopes([STORAGE])
    return said
url = URL.replace("devstoreaccount1", "pop/thing?a=1&b=two")
parts = urlsplit(url)
signed = parameters()
signed.set_pop_params("GET", parts.netloc, parts.path + "?" + parts.query, None)
def send(header):
    request = urllib.request.Request(url, headers={"Authorization": header})
    try:
        with urllib.request.urlopen(request) as reply:
            return reply.status
    except urllib.error.HTTPError as error:
        return error.code
msal_runtime.register_logging_callback(print)
first = ask(msal_runtime.signin_interactively, 0, parameters(), "c-1", None)
account = first.get_account()
found = ask(msal_runtime.read_account_by_id, account.get_account_id(), "c-2").get_account()
one, two = (
    ask(msal_runtime.acquire_token_silently, signed, "c-3", found).get_authorization_header()
    for _ in range(2)
)
print(one.split()[0], send(one), send(one), send(two))
"""


def test_signed_requests_are_good_once_each(machine: Machine) -> None:
    connected, *_, sent = machine.python(SIGNED_REQUEST)
    assert connected.startswith("connected to broker on a socket")
    assert sent == "pop 200 401 200"
