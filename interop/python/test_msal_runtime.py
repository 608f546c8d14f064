"""MSAL Python and azure-identity-broker, unmodified, with keybearer.msal_runtime in place of Microsoft's runtime.

The programs are those that `interop/broker` runs with Microsoft's runtime, which is not installed here.
"""

import importlib.metadata
import json
import signal
import sys
import time

import pytest

from conftest import ROOT
from machine import TEST_LIMIT

PROGRAMS = ROOT / "interop/broker"
ACCOUNT = "https://devstoreaccount1.blob.core.windows.net/"
STORAGE = "https://storage.azure.com/.default"
ARM = "https://management.azure.com/.default"
PICK = {"prompt": "select_account"}
DEV, OPS = "dev@contoso.example", "ops@contoso.example"

RUN = [sys.executable, "-m", "keybearer.msal_runtime"]


def msal(machine, *steps, **variables):
    """Run these steps with MSAL Python in one process; return the results."""
    output = machine.run([*RUN, PROGRAMS / "msal_client.py", json.dumps(steps)], **variables)
    assert output.status == 0, output
    return json.loads(output.stdout)


def python(machine, code, *arguments, **variables):
    output = machine.run([sys.executable, "-c", code, *arguments], **variables)
    assert output.status == 0, output
    return output.stdout.splitlines()


def in_background(machine):
    """$BROWSER for Python's `webbrowser`, which otherwise waits for the browser before MSAL listens."""
    return f"{machine.environment['BROWSER']} %s &"


def test_microsofts_runtime_is_not_here():
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        importlib.metadata.version("pymsalruntime")


# --- MSAL Python


def test_msal_signs_in_and_then_gets_tokens_silently(broker_machine):
    machine = broker_machine
    opened, signed_in, silent, cached, accounts = msal(
        machine,
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
    assert machine.visits() == 1


@pytest.mark.parametrize("prompt", [{"prompt": "none"}, {}, {"login_hint": DEV}])
def test_second_program_is_signed_in_without_being_asked(broker_machine, prompt):
    machine = broker_machine
    assert machine.keybearer("login").status == 0
    [quiet] = msal(machine, ("interactive", {"scope": ARM, **prompt}))
    assert quiet["claims"]["upn"] == DEV and quiet["token_source"] == "broker", quiet
    assert machine.visits() == 1


def test_several_accounts_are_told_apart(broker_machine):
    machine = broker_machine
    msal(machine, ("interactive", {"scope": STORAGE, **PICK}))
    machine.person("ops")
    dev, ops, again_dev, again_ops, last = msal(
        machine,
        ("interactive", {"scope": STORAGE, "login_hint": DEV}),
        ("interactive", {"scope": STORAGE, "login_hint": OPS}),
        ("silent", {"scope": ARM, "user": DEV}),
        ("silent", {"scope": ARM, "user": OPS}),
        ("interactive", {"scope": ARM, "prompt": "none"}),
    )
    users = [answer["claims"]["upn"] for answer in (dev, ops, again_dev, again_ops, last)]
    assert users == [DEV, OPS, DEV, OPS, OPS]
    [other] = msal(machine, ("interactive", {"scope": ARM, "prompt": "none", "login_hint": DEV}))
    assert other["error"] == "broker_error", "invariant I8: not the account that was asked for"
    machine.person("dev")
    visits = machine.visits()
    [picked] = msal(machine, ("interactive", {"scope": ARM, **PICK}))
    assert picked["claims"]["upn"] == DEV
    assert machine.visits() == visits + 1, "select_account must show the account picker"


def test_guest_of_a_directory_is_found_again(broker_machine):
    """MSAL looks an account up by the object id of its home directory."""
    machine = broker_machine
    guest = machine.person("guest")
    _, signed_in, silent = msal(
        machine,
        ("app", {"authority": f"https://login.microsoftonline.com/{machine.ready['tenant']}"}),
        ("interactive", {"scope": STORAGE, **PICK}),
        ("silent", {"scope": ARM}),
    )
    for answer in (signed_in, silent):
        assert answer["token_source"] == "broker", answer
        assert answer["claims"]["tid"] == machine.ready["tenant"]
        assert answer["claims"]["oid"] == guest["oid"]


def test_claims_of_a_challenge_reach_the_server_and_the_capability_comes_back(broker_machine):
    challenge = '{"access_token":{"acrs":{"essential":true,"value":"c1"}}}'
    _, _, plain, challenged = msal(
        broker_machine,
        ("app", {"capabilities": ["CP1"]}),
        ("interactive", {"scope": STORAGE, **PICK}),
        ("silent", {"scope": ARM}),
        ("silent", {"scope": ARM, "claims_challenge": challenge}),
    )
    assert "cp1" in [value.lower() for value in plain["claims"]["xms_cc"]], plain
    assert challenged["token_source"] == "broker" and challenged["claims"].get("acrs") == ["c1"], challenged


def test_policy_that_wants_a_second_factor_asks_the_person(broker_machine):
    machine = broker_machine
    msal(machine, ("interactive", {"scope": STORAGE, **PICK}))
    machine.emulator("POST", "policies", {"resource": "https://management.azure.com", "require": "mfa"})
    quiet, asked = msal(
        machine, ("interactive", {"scope": ARM, "prompt": "none"}), ("interactive", {"scope": ARM})
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
def test_failures_have_the_status_that_msal_goes_by(broker_machine, step, status):
    [failed] = msal(broker_machine, ("interactive", step))
    assert failed["error"] == "broker_error" and failed["status"] == status, failed
    assert broker_machine.visits() == 0


def test_person_who_declines_is_told_apart_from_other_failures(broker_machine):
    broker_machine.person("dev", "--deny")
    [declined] = msal(broker_machine, ("interactive", {"scope": STORAGE, **PICK}))
    assert declined["status"] == "UserCanceled", declined


def test_sign_out_is_for_the_program_and_other_programs_stay_signed_in(broker_machine):
    machine = broker_machine
    _, left, quiet, back = msal(
        machine,
        ("interactive", {"scope": STORAGE, **PICK}),
        ("sign_out", {"user": DEV}),
        ("interactive", {"scope": STORAGE, "prompt": "none"}),
        ("interactive", {"scope": STORAGE}),
    )
    assert left == []
    assert quiet["status"] == "InteractionRequired", quiet
    assert back["claims"]["upn"] == DEV
    assert machine.visits() == 2, "the program got tokens again without a prompt"
    assert machine.keybearer("token", "--silent", "--scope", STORAGE).status == 0


def test_ctrl_c_ends_the_wait_for_a_person_who_walked_away(broker_machine):
    machine = broker_machine
    machine.person("dev", "--abandon")
    steps = json.dumps([("interactive", {"scope": STORAGE, **PICK})])
    app = machine.start("app", [*RUN, PROGRAMS / "msal_client.py", steps])
    machine.wait_for("the browser", lambda: machine.visits() == 1)
    began = time.monotonic()
    app.send_signal(signal.SIGINT)
    app.wait(TEST_LIMIT)
    assert time.monotonic() - began < 5
    assert "KeyboardInterrupt" in machine.at("app.log").read_text()
    machine.person("dev")
    [signed_in] = msal(machine, ("interactive", {"scope": STORAGE, **PICK}))
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


def test_program_installs_the_runtime_by_one_line(broker_machine):
    assert python(broker_machine, INSTALLED) == ["keybearer.msal_runtime broker"]


def test_without_a_broker_msal_falls_back_to_the_browser(bare_machine):
    """The program keybearer is not on PATH, so no broker can be started."""
    empty = bare_machine.at("empty")
    empty.mkdir()
    output = bare_machine.run([sys.executable, "-c", INSTALLED], PATH=str(empty), BROWSER=in_background(bare_machine))
    assert output.status == 0, output
    assert output.stdout == "keybearer.msal_runtime identity_provider\n"
    assert "fallback to non-broker" in output.stderr
    assert bare_machine.visits() == 1


# --- programs without support for brokers

BROKERLESS = """
import msal, sys
app = msal.PublicClientApplication(
    "04b07795-8ddb-461a-bbee-02f9e1bf7b46", instance_discovery=False,
    authority="https://login.microsoftonline.com/organizations",
)
print(app.acquire_token_interactive(sys.argv[1:])["token_source"])
"""


def test_program_that_does_not_opt_in_is_opted_in_by_the_one_that_runs_it(broker_machine):
    machine = broker_machine
    machine.at("program.py").write_text(BROKERLESS)
    assert machine.keybearer("login").status == 0
    output = machine.run([*RUN, machine.at("program.py"), STORAGE])
    assert (output.status, output.stdout) == (0, "broker\n"), output
    output = machine.run([*RUN, "-m", "program", STORAGE], PYTHONPATH=str(machine.at("")))
    assert (output.status, output.stdout) == (0, "broker\n"), output
    assert machine.visits() == 1


# --- azure-identity-broker with azure-storage-blob


def test_program_of_a_developer_lists_the_containers_after_one_sign_in(broker_machine):
    machine = broker_machine
    output = machine.run([*RUN, PROGRAMS / "list_containers.py", ACCOUNT])
    assert (output.status, output.stdout) == (0, "alpha\nbeta\n"), output
    assert machine.visits() == 1
    assert machine.status()["accounts"] == 1, "the broker did not sign in"


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


def test_program_lists_the_containers_silently_with_the_default_account(broker_machine):
    machine = broker_machine
    token = f"{DEFAULT_ACCOUNT}credential.get_token('{STORAGE}')"
    refused = machine.run([sys.executable, "-c", token])
    assert refused.status == 1 and "Status_InteractionRequired" in refused.stderr, refused
    assert machine.visits() == 0
    assert machine.keybearer("login").status == 0
    assert python(machine, DEFAULT_ACCOUNT + LIST, ACCOUNT) == ["alpha beta"]
    assert machine.visits() == 1


def test_credential_without_a_window_handle_leaves_the_broker_out(broker_machine):
    """azure-identity-broker 1.3.0 takes MSAL's error for a broker that does not work."""
    machine = broker_machine
    code = NO_WINDOW + LIST
    assert python(machine, code, ACCOUNT, BROWSER=in_background(machine)) == ["alpha beta"]
    assert machine.status()["accounts"] == 0, "the program did not sign in by itself"
    machine.at("program.py").write_text(code)
    output = machine.run([*RUN, machine.at("program.py"), ACCOUNT])
    assert (output.status, output.stdout) == (0, "alpha beta\n"), output
    assert machine.status()["accounts"] == 1, "the runner did not set the console as window"
