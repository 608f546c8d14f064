"""Starts the emulator, and machines with a broker, for the tests."""

import json
import os
import pathlib
import re
import subprocess
import sys
import webbrowser

import pytest
import requests

from person import Person

ROOT = pathlib.Path(__file__).parents[2]

# For `machine`, which the tests of the broker's clients share.
sys.path.append(str(ROOT / "interop/broker"))

# A JWT, a password of the fixture, or a secret that the emulator generated.
SECRET = re.compile(r"eyJ|Passw0rd|\b1\.[\w-]{40}|\bD[\w-]{43}\b")


class Emulator:
    """The contents of ready.json, and the control endpoints."""

    def __init__(self, ready):
        self.authority_host = ready["authority_host"]
        self.tenant = ready["tenant"]
        self.blob_endpoint = ready["blob_endpoint"]
        self.ca = ready["ca"]
        self.users = {user["upn"]: user for user in ready["users"]}

    def person(self, upn="dev@contoso.example", presses=()):
        return Person(upn, self.users[upn]["password"], self.ca, presses)

    def post(self, what, body):
        reply = requests.post(f"{self.authority_host}/emulator/{what}", json=body, verify=self.ca)
        assert reply.ok, reply.text

    def requests(self):
        return requests.get(f"{self.authority_host}/emulator/requests", verify=self.ca).json()

    def outcomes(self, path_end):
        return [entry["outcome"] for entry in self.requests() if entry["path"].endswith(path_end)]

    def reset(self):
        for what in ("faults", "policies", "requests"):
            requests.delete(f"{self.authority_host}/emulator/{what}", verify=self.ca)
        self.post("clock", {"offset_seconds": 0})


@pytest.fixture(scope="session")
def running_emulator(tmp_path_factory):
    program = os.environ.get("KEYBEARER_EMULATOR", ROOT / "target/debug/keybearer-emulator")
    directory = tmp_path_factory.mktemp("emulator")
    command = [program, "serve", "--dir", directory, "--exit-with-parent"]
    log = directory / "log"
    with log.open("w") as stderr:
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=stderr, text=True
        ) as process:
            try:
                assert process.stdout.readline().startswith("ready ")
                yield Emulator(json.loads((directory / "ready.json").read_text()))
            finally:
                process.terminate()
    assert not SECRET.search(log.read_text()), "invariant I5: a secret is in the emulator's log"


@pytest.fixture
def emulator(running_emulator, monkeypatch):
    # requests prefers this variable, which may be set already, to `verify=`, which MSAL passes.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", running_emulator.ca)
    running_emulator.reset()
    yield running_emulator
    seen = json.dumps(running_emulator.requests())
    assert not SECRET.search(seen), "invariant I5: a secret is in the emulator's list of requests"


@pytest.fixture
def at_browser(monkeypatch):
    """A function that lets a person take the place of the browser that programs open."""

    def put(person):
        monkeypatch.setattr(webbrowser, "get", lambda using=None: person)
        monkeypatch.setattr(webbrowser, "open", person.open)
        return person

    return put


@pytest.fixture
def bare_machine():
    """A machine on which no broker runs."""
    from machine import Machine

    made = Machine()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def broker_machine(bare_machine):
    """A machine on which Keybearer's broker runs."""
    bare_machine.start_broker()
    yield bare_machine
    assert not bare_machine.proxy.refused, "a client asked for a host that is not Azure's"
