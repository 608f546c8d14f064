"""Waiting for a token: it ends in time, can be interrupted, and blocks no other thread."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, ClassVar

import keybearer
import keybearer.aio
import pytest
from azure.core.exceptions import ClientAuthenticationError
from broker_double import Answer, BrokerDouble, Reply, error, token
from jeepney import HeaderFields, Message, new_method_return
from test_end_to_end import emulator, machine  # noqa: F401 - fixtures

if TYPE_CHECKING:
    from collections.abc import Iterator

    from test_end_to_end import Machine

Keywords = dict[str, Any]
Serve = Callable[[Answer], BrokerDouble]

SCOPE = "https://storage.azure.com/.default"
SILENCE: Answer = lambda _, __: None  # noqa: E731 - a value of that type
UNKNOWN_PERSON = error("interaction_required")


def needs_a_person(method: str, _: Reply) -> Reply | None:
    """Refuse the silent request at once and never answer the interactive one."""
    return UNKNOWN_PERSON if method == "acquireTokenSilently" else None


class Timed:
    """Measures the seconds that its block takes, and how late a plain sleep is meanwhile."""

    def __init__(self, wait: float = 0) -> None:
        """Compare with a plain sleep of `wait` seconds."""
        self._wait = wait

    def __enter__(self) -> Timed:
        """Start both."""
        self._began = time.monotonic()
        self._plain = threading.Thread(target=self._wait_plainly)
        self._plain.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the clock and wait for the plain sleep."""
        self.seconds = time.monotonic() - self._began
        self._plain.join()

    def _wait_plainly(self) -> None:
        time.sleep(self._wait)
        self.lateness = time.monotonic() - self._began - self._wait


@dataclass
class Scenario:
    """Sets up a situation in which a request would never be answered."""

    serve: Serve
    runtime_dir: Path
    monkeypatch: pytest.MonkeyPatch
    cleanup: ExitStack
    # Check afterwards that the request really waited in that situation.
    proofs: list[Callable[[], bool]] = field(default_factory=list)

    def listener(self, path: Path | None = None) -> socket.socket:
        """Listen at this path or at a free port, without accepting connections."""
        family = socket.AF_UNIX if path else socket.AF_INET
        listener = self.cleanup.enter_context(socket.socket(family))
        listener.bind(str(path) if path else ("127.0.0.1", 0))
        listener.listen()
        return listener


class BusDouble(BrokerDouble):
    """A session bus on which a broker can be activated but never starts."""

    ANSWERS: ClassVar[dict[str, tuple[str, Any]]] = {
        "Hello": ("s", ":1.1"),
        "NameHasOwner": ("b", False),
        "ListActivatableNames": ("as", ["com.microsoft.identity.broker1"]),
    }

    def _reply(self, call: Message) -> Message | None:
        name = call.header.fields[HeaderFields.member]
        self.calls[name] += 1
        if name not in self.ANSWERS:
            return None
        signature, value = self.ANSWERS[name]
        return new_method_return(call, signature, (value,))


def the_broker_is_silent(scenario: Scenario) -> Keywords:
    scenario.serve(SILENCE)
    return {}


def the_person_walks_away(scenario: Scenario) -> Keywords:
    scenario.serve(needs_a_person)
    return {}


def the_broker_is_stopped(scenario: Scenario) -> Keywords:
    """The kernel accepts connections for the stopped process, but nothing reads them."""
    code = """
import signal, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print("ready", flush=True)
signal.pause()
"""
    command = [sys.executable, "-c", code, str(scenario.runtime_dir / "broker.sock")]
    stopped = scenario.cleanup.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
    scenario.cleanup.callback(stopped.kill)
    assert stopped.stdout is not None
    stopped.stdout.readline()
    stopped.send_signal(signal.SIGSTOP)
    return {}


def the_bus_is_silent(scenario: Scenario) -> Keywords:
    path = scenario.runtime_dir / "bus"
    scenario.listener(path)
    scenario.monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"unix:path={path}")
    return {}


def the_bus_never_starts_the_broker(scenario: Scenario) -> Keywords:
    bus = BusDouble(scenario.runtime_dir / "bus", SILENCE)
    scenario.cleanup.callback(bus.close)
    scenario.proofs.append(lambda: bus.calls["StartServiceByName"] == 1)
    scenario.monkeypatch.setenv(
        "DBUS_SESSION_BUS_ADDRESS", f"unix:path={scenario.runtime_dir / 'bus'}"
    )
    return {}


def the_provider_is_silent(scenario: Scenario) -> Keywords:
    """The process sends the request itself, as if there were no broker."""
    port = scenario.listener().getsockname()[1]
    authority = f"https://127.0.0.1:{port}"
    return {"authority": authority, "disable_instance_discovery": True, "broker": "never"}


def wait_blocking(keywords: Keywords) -> None:
    keybearer.InteractiveBrowserBrokerCredential(**keywords).get_token(SCOPE)


def wait_for_an_authentication(keywords: Keywords) -> None:
    keybearer.InteractiveBrowserBrokerCredential(**keywords).authenticate(scopes=[SCOPE])


def wait_in_a_task(keywords: Keywords) -> None:
    async def main() -> None:
        async with keybearer.aio.InteractiveBrowserBrokerCredential(**keywords) as credential:
            await credential.get_token(SCOPE)

    asyncio.run(main())


def wait_for_an_authentication_in_a_task(keywords: Keywords) -> None:
    async def main() -> None:
        async with keybearer.aio.InteractiveBrowserBrokerCredential(**keywords) as credential:
            await credential.authenticate(scopes=[SCOPE])

    asyncio.run(main())


WAITS = [
    wait_blocking,
    wait_for_an_authentication,
    wait_in_a_task,
    wait_for_an_authentication_in_a_task,
]
SITUATIONS = [
    the_broker_is_silent,
    the_person_walks_away,
    the_broker_is_stopped,
    the_bus_is_silent,
    the_bus_never_starts_the_broker,
    the_provider_is_silent,
]
TIMEOUT = 2
# Seconds beyond the timeout after which a wait must have ended, plus the lateness of the machine.
MAX_DELAY = 0.2


@pytest.fixture
def scenario(
    serve: Serve, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Scenario]:
    """A scenario, cleaned up after the test."""
    with ExitStack() as cleanup:
        yield Scenario(serve, runtime_dir, monkeypatch, cleanup)


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="signals")
@pytest.mark.parametrize("wait", WAITS, ids=lambda wait: wait.__name__)
@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.__name__)
def test_timeout_ends_the_wait(
    scenario: Scenario, situation: Callable[[Scenario], Keywords], wait: Callable[[Keywords], None]
) -> None:
    keywords = {**situation(scenario), "timeout": TIMEOUT}
    with Timed(TIMEOUT) as waited, pytest.raises(ClientAuthenticationError) as caught:
        wait(keywords)
    assert caught.value.kind == "timed_out"
    assert all(proof() for proof in scenario.proofs)
    assert TIMEOUT - 0.1 < waited.seconds < TIMEOUT + MAX_DELAY + waited.lateness


class BusOfAStuckBroker(BusDouble):
    """A session bus on which a process owns the broker's name but never answers."""

    ANSWERS: ClassVar[dict[str, tuple[str, Any]]] = {
        "Hello": ("s", ":1.1"),
        "NameHasOwner": ("b", True),
        "GetNameOwner": ("s", ":1.0"),
        "GetConnectionCredentials": (
            "a{sv}",
            {"UnixUserID": ("u", os.getuid()), "ProcessID": ("u", os.getpid())},
        ),
    }


def test_a_stuck_broker_is_as_good_as_none(scenario: Scenario) -> None:
    """The wait for it is limited to seconds, unlike the wait for a person."""
    the_broker_is_stopped(scenario)
    path = scenario.runtime_dir / "bus"
    bus = BusOfAStuckBroker(path, SILENCE)
    scenario.cleanup.callback(bus.close)
    scenario.monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"unix:path={path}")
    credential = keybearer.InteractiveBrowserBrokerCredential(broker="required")
    with Timed(1) as waited, pytest.raises(keybearer.CredentialUnavailableError) as caught:
        credential.get_token(SCOPE)
    assert "is not responding" in caught.value.message
    assert f"kill process {os.getpid()}" in caught.value.hint
    assert waited.seconds < 10 + waited.lateness
    # The next request does not wait for it again.
    with pytest.raises(keybearer.CredentialUnavailableError):
        credential.get_token(SCOPE)
    assert bus.calls["getLinuxBrokerVersion"] == 1


@pytest.mark.parametrize("broker", ["auto", "never"])
@pytest.mark.parametrize(
    "wait",
    [
        "keybearer.InteractiveBrowserBrokerCredential(**chosen).get_token(STORAGE)",
        "keybearer.InteractiveBrowserBrokerCredential(**chosen).authenticate(scopes=[STORAGE])",
        "asyncio.run(keybearer.aio.InteractiveBrowserBrokerCredential(**chosen).get_token(STORAGE))",
    ],
    ids=["blocking", "authentication", "task"],
)
def test_timeout_ends_the_wait_for_a_browser(
    machine: Machine,  # noqa: F811 - the fixture
    wait: str,
    broker: str,
) -> None:
    """In a sign-in that the person abandons, of the broker and of this process."""
    machine.play("--abandon")
    code = f"""
import azure.core.exceptions  # before the clock starts: the first failure imports it
from test_waiting import Timed
chosen.update(timeout={TIMEOUT}, broker={broker!r})
with Timed({TIMEOUT}) as waited:
    try:
        {wait}
    except keybearer.AuthenticationError as error:
        kind = error.kind
print(kind, waited.seconds, waited.lateness)
"""
    machine.environment["PYTHONPATH"] = str(Path(__file__).parent)
    (printed,) = machine.python(code)
    kind, seconds, lateness = printed.split()
    assert kind == "timed_out"
    assert machine.sign_ins() == 1
    assert TIMEOUT - 0.1 < float(seconds) < TIMEOUT + MAX_DELAY + float(lateness)


@pytest.mark.parametrize("mode", ["blocking", "asyncio"])
def test_an_interrupt_ends_the_wait_at_once(serve: Serve, mode: str) -> None:
    serve(needs_a_person)
    waits = {
        "blocking": f"keybearer.InteractiveBrowserBrokerCredential().get_token({SCOPE!r})",
        "asyncio": "asyncio.run(keybearer.aio.InteractiveBrowserBrokerCredential()"
        f".get_token({SCOPE!r}))",
    }
    code = f"""
import asyncio, os, signal, threading, time
import keybearer, keybearer.aio
interrupted_at = None
def interrupt():
    global interrupted_at
    interrupted_at = time.monotonic()
    os.kill(os.getpid(), signal.SIGINT)
threading.Timer(0.5, interrupt).start()
try:
    {waits[mode]}
except KeyboardInterrupt:
    print(time.monotonic() - interrupted_at)
"""
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)
    assert float(run.stdout) < 0.2


def test_whatever_a_signal_handler_raises_ends_the_wait(serve: Serve) -> None:
    serve(SILENCE)

    def handler(*_: object) -> None:
        raise LookupError("the program's own")

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        with Timed() as wait, pytest.raises(LookupError, match="own"):
            keybearer.InteractiveBrowserBrokerCredential(timeout=10).get_token(SCOPE)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert wait.seconds < 0.5


def test_other_threads_run_while_one_waits(serve: Serve) -> None:
    serve(SILENCE)
    credential = keybearer.InteractiveBrowserBrokerCredential(timeout=0.5)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(credential.get_token, SCOPE)
        steps = 0
        while not waiting.done():
            time.sleep(0.001)
            steps += 1
    assert isinstance(waiting.exception(), ClientAuthenticationError)
    assert steps > 100


def test_many_threads_share_a_credential(serve: Serve) -> None:
    serve(lambda _, __: token())
    credential = keybearer.InteractiveBrowserBrokerCredential()
    with ThreadPoolExecutor(16) as threads:
        tokens = list(threads.map(lambda _: credential.get_token(SCOPE).token, range(400)))
    assert set(tokens) == {"the-token"}


def test_many_tasks_wait_without_a_thread_each(serve: Serve) -> None:
    serve(needs_a_person)

    async def main() -> tuple[int, list[Any]]:
        credential = keybearer.aio.InteractiveBrowserBrokerCredential(timeout=1)
        before = os.listdir("/proc/self/task")
        tasks = [asyncio.ensure_future(credential.get_token(SCOPE)) for _ in range(50)]
        await asyncio.sleep(0.5)
        more = len(os.listdir("/proc/self/task")) - len(before)
        return more, await asyncio.gather(*tasks, return_exceptions=True)

    more, results = asyncio.run(main())
    assert more < 10
    assert {type(result).__name__ for result in results} == {"AuthenticationError"}


def test_cancelling_a_task_ends_its_request_at_the_broker(serve: Serve) -> None:
    broker = serve(needs_a_person)

    async def main() -> None:
        credential = keybearer.aio.InteractiveBrowserBrokerCredential()
        task = asyncio.ensure_future(credential.get_token(SCOPE))
        while not broker.calls["acquireTokenInteractively"]:
            await asyncio.sleep(0.01)
        task.cancel()
        with Timed() as wait, pytest.raises(asyncio.CancelledError):
            await task
        assert wait.seconds < 0.2
        while not broker.calls["cancelInteractiveFlow"]:
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(main(), 5))


def test_the_loop_goes_on_while_a_task_waits(serve: Serve) -> None:
    serve(SILENCE)

    async def main() -> float:
        credential = keybearer.aio.InteractiveBrowserBrokerCredential(timeout=1)
        task = asyncio.ensure_future(credential.get_token(SCOPE))
        longest, last = 0.0, time.monotonic()
        while not task.done():
            await asyncio.sleep(0.01)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
        assert isinstance(task.exception(), ClientAuthenticationError)
        return longest

    assert asyncio.run(main()) < 0.2


def test_a_credential_outlives_its_event_loop(serve: Serve) -> None:
    serve(lambda _, __: token())
    credential = keybearer.aio.InteractiveBrowserBrokerCredential()
    scopes = [SCOPE, "https://vault.azure.net/.default", SCOPE]
    for scope in scopes:
        assert asyncio.run(credential.get_token(scope)).token == "the-token"


@pytest.mark.parametrize("used_before", [False, True])
def test_a_forked_child_gets_tokens_of_its_own(serve: Serve, *, used_before: bool) -> None:
    serve(lambda _, __: token())
    code = f"""
import os, sys
import keybearer
credential = keybearer.InteractiveBrowserBrokerCredential(timeout=5)
if {used_before}:
    assert credential.get_token({SCOPE!r}).token == "the-token"
child = os.fork()
got = credential.get_token("https://vault.azure.net/.default").token
assert got == "the-token", got
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=20)


@pytest.mark.parametrize("mode", ["blocking", "asyncio"])
def test_a_daemon_thread_that_waits_does_not_trouble_the_end_of_the_program(
    serve: Serve, mode: str
) -> None:
    serve(SILENCE)
    waits = {
        "blocking": "keybearer.InteractiveBrowserBrokerCredential().get_token",
        "asyncio": "lambda scope: asyncio.run("
        "keybearer.aio.InteractiveBrowserBrokerCredential().get_token(scope))",
    }
    code = f"""
import asyncio, builtins, threading, time
import keybearer, keybearer.aio
class SlowToGo:
    def __del__(self, sleep=time.sleep):
        sleep(0.2)
builtins.left_to_the_end = SlowToGo()
threading.Thread(target={waits[mode]}, args=({SCOPE!r},), daemon=True).start()
time.sleep(0.3)
"""
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    assert (run.returncode, run.stderr) == (0, "")
