"""azure-identity-broker, unmodified, through Keybearer's broker."""

from machine import REFRESH_TOKEN

ACCOUNT = "https://devstoreaccount1.blob.core.windows.net/"


def test_program_of_a_developer_lists_the_containers_after_one_sign_in(machine):
    output = machine.python("list_containers.py", ACCOUNT)
    assert (output.status, output.stdout) == (0, "alpha\nbeta\n"), output
    assert machine.visits() == 1
    assert len(machine.grants("authorization_code")) == 1


def test_program_lists_the_containers_where_there_is_no_keyring(bare_machine):
    bare_machine.start_broker()
    output = bare_machine.python("list_containers.py", ACCOUNT)
    assert (output.status, output.stdout) == (0, "alpha\nbeta\n"), output
    assert bare_machine.status()["accounts"] == 1


def test_second_program_needs_no_sign_in(machine):
    """It requests select_account, but the runtime drops the prompt, and there is only one account."""
    assert machine.python("list_containers.py", ACCOUNT).status == 0
    output = machine.python("list_containers.py", ACCOUNT)
    assert (output.status, output.stdout) == (0, "alpha\nbeta\n"), output
    assert machine.visits() == 1


def test_program_of_a_person_without_a_role_is_refused_by_storage(machine):
    machine.person("ops")
    output = machine.python("list_containers.py", ACCOUNT)
    assert output.status == 1 and "AuthorizationPermissionMismatch" in output.stderr, output


def test_i1_no_refresh_token_crosses_the_bus(machine):
    address = machine.environment["DBUS_SESSION_BUS_ADDRESS"]
    machine.start("traffic", ["dbus-monitor", "--address", address])
    machine.wait_for("the monitor", lambda: "NameAcquired" in machine.output_of("traffic"))
    assert machine.python("list_containers.py", ACCOUNT).status == 0
    machine.wait_for("the reply", lambda: "brokerTokenResponse" in machine.output_of("traffic"))
    assert "acquireTokenInteractively" in machine.output_of("traffic")
    assert not REFRESH_TOKEN.search(machine.output_of("traffic"))
