"""MSAL Python and azure-identity-broker, unmodified, with keybearer.msal_runtime in place of Microsoft's runtime.

The programs are those that `interop/broker` runs with Microsoft's. That is not even installed here.
"""

import importlib.metadata
import json
import signal
import sys
import time

import pytest

from conftest import ROOT
from machine import PATIENCE

PROGRAMS = ROOT / "interop/broker"
ACCOUNT = "https://devstoreaccount1.blob.core.windows.net/"
STORAGE = "https://storage.azure.com/.default"
ARM = "https://management.azure.com/.default"
PICK = {"prompt": "select_account"}
DEV, OPS = "dev@contoso.example", "ops@contoso.example"

RUN = [sys.executable, "-m", "keybearer.msal_runtime"]


def msal(desk, *steps, **variables):
    """What MSAL Python made of these steps, in one process."""
    output = desk.run([*RUN, PROGRAMS / "msal_client.py", json.dumps(steps)], **variables)
    assert output.status == 0, output
    return json.loads(output.stdout)


def python(desk, code, *arguments, **variables):
    output = desk.run([sys.executable, "-c", code, *arguments], **variables)
    assert output.status == 0, output
    return output.stdout.splitlines()


def aside(desk):
    """The browser for Python's `webbrowser`, which waits for it otherwise, before MSAL listens."""
    return f"{desk.environment['BROWSER']} %s &"


def test_microsofts_runtime_is_not_here():
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        importlib.metadata.version("pymsalruntime")


# --- MSAL Python


def test_msal_signs_in_and_then_gets_tokens_silently(broker_desk):
    desk = broker_desk
    opened, signed_in, silent, cached, accounts = msal(
        desk,
        ("app", {}),
        ("interactive", {"scope": STORAGE, **PICK}),
        ("silent", {"scope": ARM}),
        ("silent", {"scope": ARM}),
        ("accounts", {}),
    )
    assert opened == {"broker": True}
    assert signed_in["token_source"] == "broker" and signed_in["claims"]["aud"] == "https://storage.azure.com"
    assert signed_in["id_token_claims"]["preferred_username"] == DEV
    assert STORAGE in signed_in["scope"].split()
    assert silent["token_source"] == "broker" and silent["claims"]["aud"] == "https://management.azure.com"
    assert cached["token_source"] == "cache"
    assert accounts == [DEV]
    assert desk.visits() == 1


@pytest.mark.parametrize("prompt", [{"prompt": "none"}, {}, {"login_hint": DEV}])
def test_second_program_is_signed_in_without_being_asked(broker_desk, prompt):
    desk = broker_desk
    assert desk.keybearer("login").status == 0
    [quiet] = msal(desk, ("interactive", {"scope": ARM, **prompt}))
    assert quiet["claims"]["upn"] == DEV and quiet["token_source"] == "broker", quiet
    assert desk.visits() == 1


def test_several_accounts_are_told_apart(broker_desk):
    desk = broker_desk
    msal(desk, ("interactive", {"scope": STORAGE, **PICK}))
    desk.person("ops")
    dev, ops, again_dev, again_ops, last = msal(
        desk,
        ("interactive", {"scope": STORAGE, "login_hint": DEV}),
        ("interactive", {"scope": STORAGE, "login_hint": OPS}),
        ("silent", {"scope": ARM, "user": DEV}),
        ("silent", {"scope": ARM, "user": OPS}),
        ("interactive", {"scope": ARM, "prompt": "none"}),
    )
    users = [answer["claims"]["upn"] for answer in (dev, ops, again_dev, again_ops, last)]
    assert users == [DEV, OPS, DEV, OPS, OPS]
    [other] = msal(desk, ("interactive", {"scope": ARM, "prompt": "none", "login_hint": DEV}))
    assert other["error"] == "broker_error", "invariant I8: not the account that was asked for"
    desk.person("dev")
    visits = desk.visits()
    [picked] = msal(desk, ("interactive", {"scope": ARM, **PICK}))
    assert picked["claims"]["upn"] == DEV
    assert desk.visits() == visits + 1, "whoever asks for select_account gets a page to select at"


def test_guest_of_a_directory_is_found_again(broker_desk):
    """MSAL looks an account up by the object id of its home directory."""
    desk = broker_desk
    guest = desk.person("guest")
    _, signed_in, silent = msal(
        desk,
        ("app", {"authority": f"https://login.microsoftonline.com/{desk.ready['tenant']}"}),
        ("interactive", {"scope": STORAGE, **PICK}),
        ("silent", {"scope": ARM}),
    )
    for answer in (signed_in, silent):
        assert answer["token_source"] == "broker", answer
        assert answer["claims"]["tid"] == desk.ready["tenant"]
        assert answer["claims"]["oid"] == guest["oid"]


def test_claims_of_a_challenge_reach_the_server_and_the_capability_comes_back(broker_desk):
    challenge = '{"access_token":{"acrs":{"essential":true,"value":"c1"}}}'
    _, _, plain, challenged = msal(
        broker_desk,
        ("app", {"capabilities": ["CP1"]}),
        ("interactive", {"scope": STORAGE, **PICK}),
        ("silent", {"scope": ARM}),
        ("silent", {"scope": ARM, "claims_challenge": challenge}),
    )
    assert "cp1" in [value.lower() for value in plain["claims"]["xms_cc"]], plain
    assert challenged["token_source"] == "broker" and challenged["claims"].get("acrs") == ["c1"], challenged


def test_policy_that_wants_a_second_factor_asks_the_person(broker_desk):
    desk = broker_desk
    msal(desk, ("interactive", {"scope": STORAGE, **PICK}))
    desk.emulator("POST", "policies", {"resource": "https://management.azure.com", "require": "mfa"})
    quiet, asked = msal(
        desk, ("interactive", {"scope": ARM, "prompt": "none"}), ("interactive", {"scope": ARM})
    )
    assert quiet["status"] == "InteractionRequired" and "AADSTS50076" in quiet["description"], quiet
    assert "Error code: 50076, Tag: 1262616582" in quiet["description"], quiet
    assert "mfa" in asked["claims"]["amr"], asked


@pytest.mark.parametrize(
    ("step", "status"),
    [
        ({"scope": STORAGE, "prompt": "none"}, "InteractionRequired"),
        ({"scope": "x y"}, "ApiContractViolation"),
        ({"scope": STORAGE, "claims_challenge": "[]", "prompt": "none"}, "ApiContractViolation"),
    ],
)
def test_failures_have_the_status_that_msal_goes_by(broker_desk, step, status):
    [failed] = msal(broker_desk, ("interactive", step))
    assert failed["error"] == "broker_error" and failed["status"] == status, failed
    assert broker_desk.visits() == 0


def test_person_who_declines_is_told_apart_from_other_failures(broker_desk):
    broker_desk.person("dev", "--deny")
    [declined] = msal(broker_desk, ("interactive", {"scope": STORAGE, **PICK}))
    assert declined["status"] == "UserCanceled", declined


def test_sign_out_is_for_the_program_and_other_programs_stay_signed_in(broker_desk):
    desk = broker_desk
    _, left, quiet, back = msal(
        desk,
        ("interactive", {"scope": STORAGE, **PICK}),
        ("sign_out", {"user": DEV}),
        ("interactive", {"scope": STORAGE, "prompt": "none"}),
        ("interactive", {"scope": STORAGE}),
    )
    assert left == []
    assert quiet["status"] == "InteractionRequired", quiet
    assert back["claims"]["upn"] == DEV
    assert desk.visits() == 2, "the person was asked before the program got tokens again"
    assert desk.keybearer("token", "--silent", "--scope", STORAGE).status == 0


def test_ctrl_c_ends_the_wait_for_a_person_who_walked_away(broker_desk):
    desk = broker_desk
    desk.person("dev", "--abandon")
    steps = json.dumps([("interactive", {"scope": STORAGE, **PICK})])
    app = desk.start("app", [*RUN, PROGRAMS / "msal_client.py", steps])
    desk.wait_for("the browser", lambda: desk.visits() == 1)
    began = time.monotonic()
    app.send_signal(signal.SIGINT)
    app.wait(PATIENCE)
    assert time.monotonic() - began < 5
    assert "KeyboardInterrupt" in desk.at("app.log").read_text()
    desk.person("dev")
    [signed_in] = msal(desk, ("interactive", {"scope": STORAGE, **PICK}))
    assert signed_in["claims"]["upn"] == DEV


INSTALLED = """
import keybearer
keybearer.install_msal_runtime()
import sys, msal
app = msal.PublicClientApplication(
    "04b07795-8ddb-461a-bbee-02f9e1bf7b46", enable_broker_on_linux=True, instance_discovery=False,
    authority="https://login.microsoftonline.com/organizations",
)
result = app.acquire_token_interactive(
    ["https://storage.azure.com/.default"], parent_window_handle=app.CONSOLE_WINDOW_HANDLE
)
print(sys.modules["pymsalruntime"].__name__, result["token_source"])
"""


def test_program_installs_the_runtime_by_one_line(broker_desk):
    assert python(broker_desk, INSTALLED) == ["keybearer.msal_runtime broker"]


def test_without_a_broker_msal_falls_back_to_the_browser(bare_desk):
    """The program that would start one is not to be found."""
    empty = bare_desk.at("empty")
    empty.mkdir()
    output = bare_desk.run([sys.executable, "-c", INSTALLED], PATH=str(empty), BROWSER=aside(bare_desk))
    assert output.status == 0, output
    assert output.stdout == "keybearer.msal_runtime identity_provider\n"
    assert "fallback to non-broker" in output.stderr
    assert bare_desk.visits() == 1


# --- programs that know nothing of a broker

BROKERLESS = """
import msal, sys
app = msal.PublicClientApplication(
    "04b07795-8ddb-461a-bbee-02f9e1bf7b46", instance_discovery=False,
    authority="https://login.microsoftonline.com/organizations",
)
print(app.acquire_token_interactive(sys.argv[1:])["token_source"])
"""


def test_program_that_does_not_opt_in_is_opted_in_by_the_one_that_runs_it(broker_desk):
    desk = broker_desk
    desk.at("program.py").write_text(BROKERLESS)
    assert desk.keybearer("login").status == 0
    output = desk.run([*RUN, desk.at("program.py"), STORAGE])
    assert (output.status, output.stdout) == (0, "broker\n"), output
    output = desk.run([*RUN, "-m", "program", STORAGE], PYTHONPATH=str(desk.at("")))
    assert (output.status, output.stdout) == (0, "broker\n"), output
    assert desk.visits() == 1


# --- azure-identity-broker with azure-storage-blob


def test_program_of_a_developer_lists_the_containers_after_one_sign_in(broker_desk):
    desk = broker_desk
    output = desk.run([*RUN, PROGRAMS / "list_containers.py", ACCOUNT])
    assert (output.status, output.stdout) == (0, "alpha\nbeta\n"), output
    assert desk.visits() == 1
    assert desk.status()["accounts"] == 1, "it was the broker that signed in"


CREDENTIAL = """
import keybearer
keybearer.install_msal_runtime()
import sys
import msal
from azure.identity.broker import InteractiveBrowserBrokerCredential
from azure.storage.blob import BlobServiceClient
credential = InteractiveBrowserBrokerCredential({})
"""
LIST = """
service = BlobServiceClient(sys.argv[1], credential=credential)
print(*(container.name for container in service.list_containers()))
"""
NO_WINDOW = CREDENTIAL.format("")
DEFAULT_ACCOUNT = CREDENTIAL.format(
    "parent_window_handle=msal.PublicClientApplication.CONSOLE_WINDOW_HANDLE, "
    "use_default_broker_account=True, disable_interactive_fallback=True"
)


def test_program_lists_the_containers_silently_with_the_default_account(broker_desk):
    desk = broker_desk
    token = f"{DEFAULT_ACCOUNT}credential.get_token('{STORAGE}')"
    refused = desk.run([sys.executable, "-c", token])
    assert refused.status == 1 and "Status_InteractionRequired" in refused.stderr, refused
    assert desk.visits() == 0
    assert desk.keybearer("login").status == 0
    assert python(desk, DEFAULT_ACCOUNT + LIST, ACCOUNT) == ["alpha beta"]
    assert desk.visits() == 1


def test_credential_without_a_window_handle_leaves_the_broker_out(broker_desk):
    """azure-identity-broker 1.3.0 takes MSAL's complaint for a broker that does not work."""
    desk = broker_desk
    code = NO_WINDOW + LIST
    assert python(desk, code, ACCOUNT, BROWSER=aside(desk)) == ["alpha beta"]
    assert desk.status()["accounts"] == 0, "it was the program itself that signed in"
    desk.at("program.py").write_text(code)
    output = desk.run([*RUN, desk.at("program.py"), ACCOUNT])
    assert (output.status, output.stdout) == (0, "alpha beta\n"), output
    assert desk.status()["accounts"] == 1, "the one that runs it names the console as window"
