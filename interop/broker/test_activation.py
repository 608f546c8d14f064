"""Each client starts Keybearer's broker through the files that `keybearer broker install` wrote."""

import json
import os
import select
import signal
import socket
import subprocess

import pytest

from machine import INTERFACE, NAME, PATH, PROGRAMS

STORAGE = "https://storage.azure.com/.default"


@pytest.fixture
def installed(bare_machine):
    """A machine whose bus was started before the files and their directory existed; no broker runs."""
    bare_machine.start_keyring()
    output = bare_machine.keybearer("broker", "install", "--systemd", "never")
    assert output.status == 0, output
    assert bare_machine.status() is None
    yield bare_machine
    assert not bare_machine.proxy.refused


def test_busctl_starts_the_broker(installed):
    address = installed.environment["DBUS_SESSION_BUS_ADDRESS"]
    output = installed.run(
        ["busctl", f"--address={address}", "call", NAME, PATH, INTERFACE, "getAccounts", "sss", "0.0", "c", "{}"]
    )
    assert output.status == 0 and "accounts" in output.stdout, output
    assert installed.status()["bus"]["state"] == "owned"


def test_gdbus_starts_the_broker(installed):
    command = ["gdbus", "call", "--session", "--dest", NAME, "--object-path", PATH]
    output = installed.run([*command, "--method", f"{INTERFACE}.getLinuxBrokerVersion", "0.0", "c", "{}"])
    assert output.status == 0 and "linuxBrokerVersion" in output.stdout, output
    assert installed.status()["bus"]["state"] == "owned"


def test_microsofts_runtime_starts_the_broker_by_being_imported(installed):
    output = installed.python("list_containers.py", "https://devstoreaccount1.blob.core.windows.net/")
    assert (output.status, output.stdout) == (0, "alpha\nbeta\n"), output
    assert installed.status()["bus"]["state"] == "owned"


def test_our_own_program_has_the_bus_start_the_broker(installed):
    assert installed.keybearer("accounts").status == 0
    assert installed.status()["bus"]["state"] == "owned"


def test_nothing_is_started_after_uninstall(installed):
    output = installed.keybearer("broker", "uninstall")
    assert output.status == 0, output
    assert list(installed.at("data").rglob("*broker1*")) == []
    command = ["gdbus", "call", "--session", "--dest", NAME, "--object-path", PATH]
    output = installed.run([*command, "--method", f"{INTERFACE}.getLinuxBrokerVersion", "0.0", "c", "{}"])
    assert output.status != 0 and "ServiceUnknown" in output.stderr, output


class ServiceManager:
    """Listens on a socket and passes it to the broker as descriptor 3, as systemd does."""

    def __init__(self, machine):
        self.machine = machine
        machine.at("runtime/keybearer").mkdir(mode=0o700)
        self.path = machine.at("runtime/keybearer/broker.sock")
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(self.path))
        self.path.chmod(0o600)
        self.socket.listen()

    def start(self, name, *arguments):
        script = f"exec 3<&{self.socket.fileno()}; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\""
        program = [str(PROGRAMS / "keybearer"), "broker", "run", *arguments]
        with self.machine.at(f"{name}.log").open("w") as log:
            return subprocess.Popen(
                ["bash", "-c", script, "bash", *program], env=self.machine.environment, stdout=log, stderr=log,
                pass_fds=[self.socket.fileno()], start_new_session=True,
            )


def test_socket_that_the_service_manager_listens_at_outlives_the_broker(bare_machine):
    manager = ServiceManager(bare_machine)
    for round in range(2):
        # The client connects first; its connection is what makes a service manager start the broker.
        log = bare_machine.at(f"client{round}.out")
        with log.open("w") as out:
            client = subprocess.Popen(
                [PROGRAMS / "keybearer", "accounts", "--output", "json"], env=bare_machine.environment, stdout=out
            )
        broker = manager.start(f"handed-over-{round}")
        assert client.wait(30) == 0 and json.loads(log.read_text()) == []
        assert bare_machine.status()["pid"] == broker.pid
        os.kill(broker.pid, signal.SIGTERM)
        assert broker.wait(30) == 0
        assert manager.path.exists()
    manager.socket.close()
    manager.path.unlink()


def test_broker_that_a_program_starts_leaves_the_service_managers_socket_alone(bare_machine):
    manager = ServiceManager(bare_machine)
    before = manager.path.stat().st_ino
    contender = bare_machine.start("contender", [PROGRAMS / "keybearer", "broker", "run"])
    # It connects, which makes a service manager start its broker.
    readable, _, _ = select.select([manager.socket], [], [], 30)
    assert readable
    broker = manager.start("handed-over")
    assert contender.wait(30) == 0
    assert "ready " in bare_machine.output_of("contender")
    assert (bare_machine.status()["pid"], manager.path.stat().st_ino) == (broker.pid, before)
    os.kill(broker.pid, signal.SIGTERM)
    assert broker.wait(30) == 0
    manager.socket.close()
    manager.path.unlink()


def test_socket_at_another_place_is_refused(bare_machine):
    manager = ServiceManager(bare_machine)
    manager.path.rename(manager.path.with_name("elsewhere.sock"))
    manager.socket = socket.socket(socket.AF_UNIX)
    manager.socket.bind(str(manager.path.with_name("other.sock")))
    manager.socket.listen()
    broker = manager.start("refused")
    assert broker.wait(30) == 1
    assert "the service manager passed a socket at another path" in bare_machine.at("refused.log").read_text()


def test_systemds_own_hand_over_is_understood(bare_machine):
    bare_machine.at("runtime/keybearer").mkdir(mode=0o700)
    path = bare_machine.at("runtime/keybearer/broker.sock")
    variables = [f"--setenv={name}={value}" for name, value in bare_machine.environment.items()]
    bare_machine.start(
        "systemd", ["systemd-socket-activate", "--listen", str(path), *variables, PROGRAMS / "keybearer", "broker", "run"]
    )
    bare_machine.wait_for("the socket", path.exists)
    path.chmod(0o600)
    output = bare_machine.keybearer("accounts", "--output", "json")
    assert (output.status, json.loads(output.stdout)) == (0, []), output
    assert bare_machine.status()["clients"] >= 1
