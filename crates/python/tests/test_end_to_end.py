"""Programs with the real broker, the emulator and a simulated person."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parents[3]
TEST_LIMIT = 60

PRELUDE = """
import asyncio, os, sys, time
import keybearer, keybearer.aio
STORAGE = "https://storage.azure.com/.default"
URL = os.environ["TEST_BLOB_ENDPOINT"]
chosen = {"tenant_id": os.environ["TEST_TENANT"], "timeout": 30}
"""

LIST = """
from azure.storage.blob import BlobServiceClient
with keybearer.InteractiveBrowserBrokerCredential(**chosen) as credential:
    with BlobServiceClient(URL, credential=credential) as service:
        print(*(container.name for container in service.list_containers()))
    token = credential.acquire(STORAGE)
    print(token.username, token.source)
"""

LIST_BY_TASK = """
from azure.storage.blob.aio import BlobServiceClient
async def main():
    async with keybearer.aio.InteractiveBrowserBrokerCredential(**chosen) as credential:
        async with BlobServiceClient(URL, credential=credential) as service:
            print(*[container.name async for container in service.list_containers()])
        token = await credential.acquire(STORAGE)
        print(token.username, token.source)
asyncio.run(main())
"""


AUTHENTICATE = """
credential = keybearer.InteractiveBrowserBrokerCredential(**chosen)
print(credential.authenticate(scopes=[STORAGE]).serialize())
"""

AUTHENTICATE_BY_TASK = """
async def main():
    async with keybearer.aio.InteractiveBrowserBrokerCredential(**chosen) as credential:
        print((await credential.authenticate(scopes=[STORAGE])).serialize())
asyncio.run(main())
"""

BY_RECORD = """
record = keybearer.AuthenticationRecord.deserialize(os.environ["TEST_RECORD"])
credential = keybearer.InteractiveBrowserBrokerCredential(
    authentication_record=record, disable_automatic_authentication=True, timeout=30
)
print(credential.acquire(STORAGE).source)
"""

WARNED = """
import logging
logging.basicConfig(stream=sys.stdout, level="WARNING", format="%(name)s %(levelname)s %(message)s")
keybearer.InteractiveBrowserBrokerCredential(**chosen).get_token(STORAGE)
"""

SIGNED_REQUEST = """
import urllib.request, urllib.error, ssl
credential = keybearer.InteractiveBrowserBrokerCredential(**chosen)
url = URL.replace("devstoreaccount1", "pop/thing?a=1&b=two")
pop = {"resource_request_method": "GET", "resource_request_url": url}
def send(token):
    request = urllib.request.Request(url, headers={"Authorization": f"PoP {token}"})
    try:
        with urllib.request.urlopen(request) as reply:
            return reply.status
    except urllib.error.HTTPError as error:
        return error.code
one = credential.get_token_info(STORAGE, options={"pop": pop})
two = credential.get_token_info(STORAGE, options={"pop": pop})
print(one.token_type, send(one.token), send(one.token), send(two.token))
"""


def program(variable: str, name: str) -> str:
    """Find a program of the repository."""
    path = Path(os.environ.get(variable, REPOSITORY / "target" / "debug" / name))
    if not path.is_file():
        pytest.fail(f"{path} does not exist; build it, or set {variable}")
    return str(path)


@pytest.fixture(scope="module")
def emulator() -> Iterator[dict[str, Any]]:
    """Start an emulator; the contents of its ready.json."""
    command = [program("KEYBEARER_EMULATOR", "keybearer-emulator"), "serve", "--port", "0"]
    with tempfile.TemporaryDirectory() as directory:
        ready = Path(directory) / "ready.json"
        command += ["--dir", directory]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            try:
                deadline = time.monotonic() + TEST_LIMIT
                while not ready.exists():
                    assert process.poll() is None, "the emulator ended"
                    assert time.monotonic() < deadline, "the emulator did not start"
                    time.sleep(0.05)
                yield json.loads(ready.read_text())
            finally:
                process.terminate()


class Machine:
    """Private directories, a browser with a simulated person, and the programs of one test."""

    def __init__(self, directory: Path, emulator: dict[str, Any]) -> None:
        """Make the directories and the environment of the programs."""
        person = emulator["users"][0]
        self.upn = person["upn"]
        self._directory = directory
        self._keybearer = program("KEYBEARER_PROGRAM", "keybearer")
        self.environment = {
            "AZURE_AUTHORITY_HOST": emulator["authority_host"],
            "BROWSER": self._browser("browse"),
            "KEYBEARER_BROWSE_PASSWORD": person["password"],
            "KEYBEARER_BROWSE_USER": self.upn,
            "KEYBEARER_PROGRAM": self._keybearer,
            "KEYBEARER_TRUSTED_AUTHORITY_HOSTS": emulator["authority_host"].split("//")[1],
            "NO_PROXY": "localhost,127.0.0.1",
            "PATH": os.environ["PATH"],
            "REQUESTS_CA_BUNDLE": emulator["ca"],
            "SSL_CERT_FILE": emulator["ca"],
            "TEST_BLOB_ENDPOINT": emulator["blob_endpoint"],
            "TEST_TENANT": emulator["tenant"],
        }
        for variable, name in (
            ("HOME", "home"),
            ("XDG_CONFIG_HOME", "config"),
            ("XDG_RUNTIME_DIR", "run"),
            ("XDG_STATE_HOME", "state"),
        ):
            (directory / name).mkdir(mode=0o700)
            self.environment[variable] = str(directory / name)

    def play(self, behaviour: str) -> None:
        """Change the person's behaviour to "--deny" or "--abandon"."""
        self.environment["BROWSER"] = self._browser(f"browse {behaviour}")

    def python(self, code: str) -> list[str]:
        """Run a program; return the lines it printed."""
        command = [sys.executable, "-c", PRELUDE + code]
        run = subprocess.run(
            command,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=TEST_LIMIT,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        return run.stdout.splitlines()

    def failure(self, code: str) -> list[str]:
        """Run an expression that fails; return the error's kind, the seconds and the classes."""
        lines = self.python(f"""
began = time.monotonic()
try:
    {code}
except keybearer.AuthenticationError as error:
    print(error.kind, time.monotonic() - began, *(base.__name__ for base in type(error).__mro__))
""")
        return lines[0].split()

    def sign_ins(self) -> int:
        """How many times the browser was opened."""
        log = self._directory / "browser.log"
        return len(log.read_text().splitlines()) if log.exists() else 0

    def stop(self) -> None:
        """Stop the broker that the programs started."""
        if (self._directory / "run" / "keybearer" / "broker.sock").exists():
            command = [self._keybearer, "broker", "stop"]
            subprocess.run(command, env=self.environment, timeout=TEST_LIMIT, check=False)

    def _browser(self, command: str) -> str:
        """Write a script for $BROWSER, whose value would be split at spaces."""
        xtask = shlex.quote(program("KEYBEARER_XTASK", "xtask"))
        directory = shlex.quote(str(self._directory))
        script = self._directory / f"{command.replace(' ', '')}"
        script.write_text(
            f"#!/bin/sh\necho opened >>{directory}/browser.log\n"
            f'exec {xtask} {command} "$1" >{directory}/browse.out 2>&1\n'
        )
        script.chmod(0o700)
        return str(script)


@pytest.fixture
def machine(tmp_path: Path, emulator: dict[str, Any]) -> Iterator[Machine]:
    """A new machine for each test."""
    machine = Machine(tmp_path, emulator)
    yield machine
    machine.stop()


@pytest.mark.parametrize("code", [LIST, LIST_BY_TASK], ids=["blocking", "asyncio"])
def test_one_sign_in_serves_every_program(machine: Machine, code: str) -> None:
    containers, token = machine.python(code)
    assert containers == "alpha beta"
    assert token == f"{machine.upn} sign-in"
    assert machine.sign_ins() == 1
    for again in (LIST, LIST_BY_TASK):
        containers, token = machine.python(again)
        assert containers == "alpha beta"
        assert token.split()[0] == machine.upn
        assert token.split()[1] in {"cache", "refresh"}
    assert machine.sign_ins() == 1


def test_without_a_broker_the_log_says_that_the_sign_in_is_forgotten(machine: Machine) -> None:
    assert machine.python(WARNED) == []
    machine.stop()
    machine.environment.update(KEYBEARER_PROGRAM="", PATH="/usr/bin:/bin")
    [warning] = machine.python(WARNED)
    assert warning.startswith("keybearer WARNING there is no broker, so this sign-in is forgotten")


def test_a_person_who_declines_ends_it(machine: Machine) -> None:
    machine.play("--deny")
    kind, _, *classes = machine.failure(
        "keybearer.InteractiveBrowserBrokerCredential(**chosen).get_token(STORAGE)"
    )
    assert kind in {"cancelled", "denied"}
    assert "ClientAuthenticationError" in classes
    assert "CredentialUnavailableError" not in classes


@pytest.mark.parametrize("wait", ["{}", "asyncio.run({})"], ids=["blocking", "asyncio"])
def test_a_person_who_walks_away_is_not_waited_for(machine: Machine, wait: str) -> None:
    machine.play("--abandon")
    module = "keybearer" if wait == "{}" else "keybearer.aio"
    chosen = "tenant_id=chosen['tenant_id'], timeout=4"
    call = f"{module}.InteractiveBrowserBrokerCredential({chosen}).get_token(STORAGE)"
    kind, seconds, *_ = machine.failure(wait.format(call))
    assert kind == "timed_out"
    assert 3.9 < float(seconds) < 4.6


@pytest.mark.parametrize("wait", ["{}", "asyncio.run({})"], ids=["blocking", "asyncio"])
def test_a_refusal_of_the_broker_and_of_this_process_says_each_thing_once(
    machine: Machine, wait: str
) -> None:
    """Neither can open a browser, so both fail with the same message, id and hint."""
    del machine.environment["BROWSER"]
    module = "keybearer" if wait == "{}" else "keybearer.aio"
    call = f"{module}.InteractiveBrowserBrokerCredential(**chosen).get_token(STORAGE)"
    (printed,) = machine.python(f"""
import json
try:
    {wait.format(call)}
except keybearer.CredentialUnavailableError as error:
    print(json.dumps([str(error), error.correlation_id, error.hint]))
""")
    text, correlation_id, hint = json.loads(printed)
    for part in ("there is no display", correlation_id, hint):
        assert text.count(part) == 1, text


def test_nobody_is_asked_when_nobody_must_be(machine: Machine) -> None:
    kind, _, *classes = machine.failure(
        "keybearer.InteractiveBrowserBrokerCredential(disable_automatic_authentication=True, "
        "**chosen).get_token(STORAGE)"
    )
    assert kind == "interaction_required"
    assert classes[0] == "AuthenticationRequiredError"
    assert machine.sign_ins() == 0


def test_a_chain_goes_on_when_the_provider_cannot_be_reached(machine: Machine) -> None:
    machine.environment["KEYBEARER_TRUSTED_AUTHORITY_HOSTS"] += ",localhost:1"
    code = """
from azure.core.credentials import AccessToken
from azure.identity import ChainedTokenCredential
class Next:
    def get_token(self, *scopes, **keywords):
        return AccessToken("from the next", 1)
unreachable = keybearer.InteractiveBrowserBrokerCredential(
    authority="https://localhost:1", **chosen)
print(ChainedTokenCredential(unreachable, Next()).get_token(STORAGE).token)
"""
    assert machine.python(code) == ["from the next"]


def test_a_chain_goes_on_when_the_port_of_the_redirect_uri_is_taken(machine: Machine) -> None:
    code = """
import socket
from azure.core.credentials import AccessToken
from azure.identity import ChainedTokenCredential
class Next:
    def get_token(self, *scopes, **keywords):
        return AccessToken("from the next", 1)
holder = socket.create_server(("127.0.0.1", 0))
taken = keybearer.InteractiveBrowserBrokerCredential(
    redirect_uri=f"http://localhost:{holder.getsockname()[1]}", **chosen)
print(ChainedTokenCredential(taken, Next()).get_token(STORAGE).token)
"""
    assert machine.python(code) == ["from the next"]
    assert machine.sign_ins() == 0


def test_a_forked_child_gets_a_token_without_a_second_sign_in(machine: Machine) -> None:
    code = """
credential = keybearer.InteractiveBrowserBrokerCredential(**chosen)
credential.get_token(STORAGE)
child = os.fork()
credential.get_token("https://vault.azure.net/.default")
if child:
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
else:
    os._exit(0)
"""
    assert machine.python(code) == ["0"]
    assert machine.sign_ins() == 1


@pytest.mark.parametrize("code", [AUTHENTICATE, AUTHENTICATE_BY_TASK], ids=["blocking", "asyncio"])
def test_a_record_of_one_program_finds_the_account_in_the_next(machine: Machine, code: str) -> None:
    (record,) = machine.python(code)
    assert json.loads(record)["username"] == machine.upn
    machine.environment["TEST_RECORD"] = record
    (source,) = machine.python(BY_RECORD)
    assert source in {"cache", "refresh"}
    assert machine.sign_ins() == 1


def test_a_signed_request_is_accepted_once(machine: Machine) -> None:
    (printed,) = machine.python(SIGNED_REQUEST)
    assert printed == "pop 200 401 200"
