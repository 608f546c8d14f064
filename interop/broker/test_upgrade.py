"""A broker replaced by a newer one while programs ask it: no request is lost."""

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
def upgradable(bare_desk):
    """The program is installed at a place of its own, where a newer one takes its place."""
    bare_desk.at("bin").mkdir()
    bare_desk.program = bare_desk.at("bin/keybearer")
    upgrade(bare_desk)
    bare_desk.environment["PATH"] = f"{bare_desk.at('bin')}:{bare_desk.environment['PATH']}"
    output = bare_desk.run([bare_desk.program, "broker", "install", "--systemd", "never"])
    assert output.status == 0, output
    assert bare_desk.run([bare_desk.program, "login"]).status == 0
    return bare_desk


def upgrade(desk):
    """As a package manager does: the new file takes the name, the old one runs on."""
    new = desk.at("bin/new")
    # Not by this process: what it starts meanwhile would inherit the file, open for writing.
    subprocess.run(["cp", PROGRAMS / "keybearer", new], check=True)
    os.replace(new, desk.program)


class Stream(threading.Thread):
    """Programs, one after another, until told to stop."""

    def __init__(self, desk, name, command):
        super().__init__(daemon=True)
        self.desk, self.name, self.command = desk, name, [str(word) for word in command]
        self.done, self.failed, self.ending = 0, [], threading.Event()

    def run(self):
        while not self.ending.is_set():
            with self.desk.at(f"{self.name}.out").open("w+") as out:
                status = subprocess.run(
                    self.command, env=self.desk.environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                    timeout=60, check=False,
                ).returncode
                out.seek(0)
                answer = out.read()
            if status != 0 or "error" in answer:
                self.failed.append(answer[:500])
            self.done += 1


def parameters(desk):
    [account] = json.loads(desk.run([desk.program, "accounts", "--output", "json"]).stdout)
    return json.dumps({
        "authParameters": {
            "account": {"homeAccountId": account["home_account_id"], "username": account["username"]},
            "authority": "https://login.microsoftonline.com/organizations",
            "clientId": "04b07795-8ddb-461a-bbee-02f9e1bf7b46",
            "requestedScopes": [ARM],
        }
    })


def test_stream_of_requests_does_not_notice_that_the_broker_is_replaced(upgradable):
    desk = upgradable
    gdbus = ["gdbus", "call", "--session", "--dest", NAME, "--object-path", PATH]
    streams = [
        Stream(desk, "own", [desk.program, "token", "--silent", "--scope", STORAGE]),
        Stream(desk, "gdbus", [*gdbus, "--method", f"{INTERFACE}.acquireTokenSilently", "0.0", "", parameters(desk)]),
    ]
    for stream in streams:
        stream.start()
    try:
        brokers = {desk.status()["pid"]}
        for _ in range(5):
            before = [stream.done for stream in streams]
            upgrade(desk)
            output = desk.run([desk.program, "broker", "stop"])
            # Another stop may have met a broker on its way out.
            assert output.status in (0, 5), output
            desk.wait_for("requests", lambda: all(s.done > b + 3 for s, b in zip(streams, before)))
            brokers.add(desk.wait_for("a broker", desk.status)["pid"])
    finally:
        for stream in streams:
            stream.ending.set()
            stream.join()
    assert [stream.failed for stream in streams] == [[], []]
    assert len(brokers) >= 5, brokers


def test_request_under_way_is_answered_by_the_broker_that_ends(upgradable):
    desk = upgradable
    old = desk.status()["pid"]
    stall = {"endpoint": "token", "grant": "refresh_token", "action": {"stall": {"milliseconds": 1500}}}
    desk.emulator("POST", "faults", stall)
    with desk.at("slow.out").open("w") as out:
        slow = subprocess.Popen(
            [desk.program, "token", "--silent", "--scope", VAULT], env=desk.environment, stdout=out, stderr=out
        )
    desk.wait_for("the provider to be asked", lambda: desk.grants("refresh_token"))
    upgrade(desk)
    assert desk.run([desk.program, "broker", "stop"]).status == 0
    assert slow.wait(30) == 0, desk.said("slow")
    assert len(desk.grants("refresh_token")) == 1, "asked once, by the old one"
    assert desk.run([desk.program, "token", "--silent", "--scope", VAULT]).status == 0
    assert desk.status()["pid"] != old


def test_person_in_the_middle_of_a_sign_in_is_waited_for_when_that_is_wanted(upgradable):
    desk = upgradable
    desk.person("ops")
    held = desk.at("held")
    held.touch()
    browser = desk.at("browser")
    browser.write_text(browser.read_text().replace("exec ", f"while [ -e '{held}' ]; do sleep 0.05; done\nexec "))
    visits = desk.visits()
    with desk.at("login.out").open("w") as out:
        login = subprocess.Popen(
            [desk.program, "login", "--login-hint", "ops@contoso.example"], env=desk.environment, stdout=out, stderr=out
        )
        desk.wait_for("the browser", lambda: desk.visits() > visits)
        stop = subprocess.Popen(
            [desk.program, "broker", "stop", "--after-sign-ins"], env=desk.environment, stdout=out, stderr=out
        )
    # Others are served meanwhile, by the same broker.
    token = [desk.program, "token", "--silent", "--account", "dev@contoso.example", "--scope", STORAGE]
    assert desk.run(token).status == 0
    time.sleep(0.2)
    assert stop.poll() is None and login.poll() is None
    held.unlink()
    assert login.wait(30) == 0, desk.said("login")
    assert stop.wait(30) == 0, desk.said("login")
