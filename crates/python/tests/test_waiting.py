"""Waiting: it ends in time, can be interrupted, and holds nobody else up."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Callable

import keybearer
import keybearer.aio
import pytest
from azure.core.exceptions import ClientAuthenticationError
from broker_double import Answer, BrokerDouble, Reply, error, token

if TYPE_CHECKING:
    from pathlib import Path

Serve = Callable[[Answer], BrokerDouble]

SCOPE = "https://storage.azure.com/.default"
SILENCE: Answer = lambda _, __: None  # noqa: E731 - a value of that type
UNKNOWN_PERSON = error("interaction_required")


def needs_a_person(method: str, _: Reply) -> Reply | None:
    """Answer at once that a person has to take part, and then wait for the person."""
    return UNKNOWN_PERSON if method == "acquireTokenSilently" else None


class Timed:
    """How long its block took, in seconds."""

    def __enter__(self) -> Timed:
        """Begin."""
        self._began = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self.seconds = time.monotonic() - self._began


@pytest.mark.parametrize("answer", [SILENCE, needs_a_person], ids=["broker", "person"])
def test_timeout_ends_the_wait(serve: Serve, answer: Answer) -> None:
    serve(answer)
    credential = keybearer.InteractiveBrowserBrokerCredential(timeout=2)
    with Timed() as wait, pytest.raises(ClientAuthenticationError, match="timeout") as caught:
        credential.get_token(SCOPE)
    assert caught.value.kind == "timed_out"
    assert 1.9 < wait.seconds < 2.2


@pytest.mark.parametrize("answer", [SILENCE, needs_a_person], ids=["broker", "person"])
def test_timeout_ends_the_wait_of_a_task(serve: Serve, answer: Answer) -> None:
    serve(answer)

    async def main() -> None:
        async with keybearer.aio.InteractiveBrowserBrokerCredential(timeout=2) as credential:
            await credential.get_token(SCOPE)

    with Timed() as wait, pytest.raises(ClientAuthenticationError, match="timeout") as caught:
        asyncio.run(main())
    assert caught.value.kind == "timed_out"
    assert 1.9 < wait.seconds < 2.2


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="signals")
def test_timeout_ends_the_wait_for_what_is_not_even_a_broker(runtime_dir: Path) -> None:
    """The listener takes the connection, as the kernel does for a stopped process."""
    code = """
import signal, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print("ready", flush=True)
signal.pause()
"""
    command = [sys.executable, "-c", code, str(runtime_dir / "broker.sock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as stopped:
        try:
            assert stopped.stdout is not None
            stopped.stdout.readline()
            stopped.send_signal(signal.SIGSTOP)
            credential = keybearer.InteractiveBrowserBrokerCredential(timeout=2)
            with Timed() as wait, pytest.raises(ClientAuthenticationError):
                credential.get_token(SCOPE)
            with Timed() as wait_of_task, pytest.raises(ClientAuthenticationError):
                asyncio.run(
                    keybearer.aio.InteractiveBrowserBrokerCredential(timeout=2).get_token(SCOPE)
                )
        finally:
            stopped.kill()
    assert wait.seconds < 2.2
    assert wait_of_task.seconds < 2.2


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
