"""A broker is replaced by a newer one while programs send requests: no request is lost."""

import json
import os
import subprocess
import threading
import time

import pytest

from machine import INTERFACE, NAME, PATH, PROGRAMS

STORAGE = "https://storage.azure.com/.default"
ARM = "https://management.azure.com/.default"
VAULT = "https://vault.azure.net/.default"


@pytest.fixture
def upgradable(bare_machine):
    """A machine with its own copy of the program, which a test can replace by a newer one."""
    bare_machine.at("bin").mkdir()
    bare_machine.program = bare_machine.at("bin/keybearer")
    upgrade(bare_machine)
    bare_machine.environment["PATH"] = f"{bare_machine.at('bin')}:{bare_machine.environment['PATH']}"
    output = bare_machine.run([bare_machine.program, "broker", "install", "--systemd", "never"])
    assert output.status == 0, output
    assert bare_machine.run([bare_machine.program, "login"]).status == 0
    return bare_machine


def upgrade(machine):
    """Replace the program as a package manager does; processes of the old file keep running."""
    new = machine.at("bin/new")
    # In a child: processes started here meanwhile would inherit the file, open for writing.
    subprocess.run(["cp", PROGRAMS / "keybearer", new], check=True)
    os.replace(new, machine.program)


class Stream(threading.Thread):
    """Runs a program again and again until `ending` is set."""

    def __init__(self, machine, name, command):
        super().__init__(daemon=True)
        self.machine, self.name, self.command = machine, name, [str(word) for word in command]
        self.done, self.failed, self.ending = 0, [], threading.Event()

    def run(self):
        while not self.ending.is_set():
            with self.machine.at(f"{self.name}.out").open("w+") as out:
                status = subprocess.run(
                    self.command, env=self.machine.environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                    timeout=60, check=False,
                ).returncode
                out.seek(0)
                answer = out.read()
            if status != 0 or "error" in answer:
                self.failed.append(answer[:500])
            self.done += 1


def parameters(machine):
    [account] = json.loads(machine.run([machine.program, "accounts", "--output", "json"]).stdout)
    return json.dumps({
        "authParameters": {
            "account": {"homeAccountId": account["home_account_id"], "username": account["username"]},
            "authority": "https://login.microsoftonline.com/organizations",
            "clientId": "04b07795-8ddb-461a-bbee-02f9e1bf7b46",
            "requestedScopes": [ARM],
        }
    })


def test_stream_of_requests_does_not_notice_that_the_broker_is_replaced(upgradable):
    machine = upgradable
    gdbus = ["gdbus", "call", "--session", "--dest", NAME, "--object-path", PATH]
    streams = [
        Stream(machine, "own", [machine.program, "token", "--silent", "--scope", STORAGE]),
        Stream(machine, "gdbus", [*gdbus, "--method", f"{INTERFACE}.acquireTokenSilently", "0.0", "", parameters(machine)]),
    ]
    for stream in streams:
        stream.start()
    try:
        brokers = {machine.status()["pid"]}
        for _ in range(5):
            before = [stream.done for stream in streams]
            upgrade(machine)
            output = machine.run([machine.program, "broker", "stop"])
            # The broker may already have been exiting.
            assert output.status in (0, 5), output
            machine.wait_for("requests", lambda: all(s.done > b + 3 for s, b in zip(streams, before)))
            brokers.add(machine.wait_for("a broker", machine.status)["pid"])
    finally:
        for stream in streams:
            stream.ending.set()
            stream.join()
    assert [stream.failed for stream in streams] == [[], []]
    assert len(brokers) >= 5, brokers


def test_request_under_way_is_answered_by_the_broker_that_ends(upgradable):
    machine = upgradable
    old = machine.status()["pid"]
    stall = {"endpoint": "token", "grant": "refresh_token", "action": {"stall": {"milliseconds": 1500}}}
    machine.emulator("POST", "faults", stall)
    with machine.at("slow.out").open("w") as out:
        slow = subprocess.Popen(
            [machine.program, "token", "--silent", "--scope", VAULT], env=machine.environment, stdout=out, stderr=out
        )
    machine.wait_for("the provider to be asked", lambda: machine.grants("refresh_token"))
    upgrade(machine)
    assert machine.run([machine.program, "broker", "stop"]).status == 0
    assert slow.wait(30) == 0, machine.output_of("slow")
    assert len(machine.grants("refresh_token")) == 1, "the old broker asked the provider once"
    assert machine.run([machine.program, "token", "--silent", "--scope", VAULT]).status == 0
    assert machine.status()["pid"] != old


def test_person_in_the_middle_of_a_sign_in_is_waited_for_when_that_is_wanted(upgradable):
    machine = upgradable
    machine.person("ops")
    held = machine.at("held")
    held.touch()
    browser = machine.at("browser")
    browser.write_text(browser.read_text().replace("exec ", f"while [ -e '{held}' ]; do sleep 0.05; done\nexec "))
    visits = machine.visits()
    with machine.at("login.out").open("w") as out:
        login = subprocess.Popen(
            [machine.program, "login", "--login-hint", "ops@contoso.example"], env=machine.environment, stdout=out, stderr=out
        )
        machine.wait_for("the browser", lambda: machine.visits() > visits)
        stop = subprocess.Popen(
            [machine.program, "broker", "stop", "--after-sign-ins"], env=machine.environment, stdout=out, stderr=out
        )
    # The same broker serves other programs meanwhile.
    token = [machine.program, "token", "--silent", "--account", "dev@contoso.example", "--scope", STORAGE]
    assert machine.run(token).status == 0
    time.sleep(0.2)
    assert stop.poll() is None and login.poll() is None
    held.unlink()
    assert login.wait(30) == 0, machine.output_of("login")
    assert stop.wait(30) == 0, machine.output_of("login")
