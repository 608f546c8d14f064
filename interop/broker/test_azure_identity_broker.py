"""azure-identity-broker, unmodified, through our broker."""

from machine import REFRESH_TOKEN

ACCOUNT = "https://devstoreaccount1.blob.core.windows.net/"


def test_program_of_a_developer_lists_the_containers_after_one_sign_in(desk):
    output = desk.python("list_containers.py", ACCOUNT)
    assert (output.status, output.stdout) == (0, "alpha\nbeta\n"), output
    assert desk.visits() == 1
    assert len(desk.grants("authorization_code")) == 1


def test_program_lists_the_containers_where_there_is_no_keyring(bare_desk):
    bare_desk.start_broker()
    output = bare_desk.python("list_containers.py", ACCOUNT)
    assert (output.status, output.stdout) == (0, "alpha\nbeta\n"), output
    assert bare_desk.status()["accounts"] == 1


def test_second_program_needs_no_sign_in(desk):
    """It asks for select_account, but the runtime passes no prompt on; one account is no choice."""
    assert desk.python("list_containers.py", ACCOUNT).status == 0
    output = desk.python("list_containers.py", ACCOUNT)
    assert (output.status, output.stdout) == (0, "alpha\nbeta\n"), output
    assert desk.visits() == 1


def test_program_of_a_person_without_a_role_is_refused_by_storage(desk):
    desk.person("ops")
    output = desk.python("list_containers.py", ACCOUNT)
    assert output.status == 1 and "AuthorizationPermissionMismatch" in output.stderr, output


def test_i1_no_refresh_token_crosses_the_bus(desk):
    address = desk.environment["DBUS_SESSION_BUS_ADDRESS"]
    desk.start("traffic", ["dbus-monitor", "--address", address])
    desk.wait_for("the monitor", lambda: "NameAcquired" in desk.said("traffic"))
    assert desk.python("list_containers.py", ACCOUNT).status == 0
    desk.wait_for("the reply", lambda: "brokerTokenResponse" in desk.said("traffic"))
    assert "acquireTokenInteractively" in desk.said("traffic")
    assert not REFRESH_TOKEN.search(desk.said("traffic"))
