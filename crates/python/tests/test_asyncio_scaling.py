"""Many tasks that wait at once: the descriptors they use, and that all of them are woken."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Callable

import keybearer.aio
import pytest
from broker_double import Answer, BrokerDouble, Reply, token

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Serve = Callable[[Answer], BrokerDouble]

SCOPES = [f"https://{number}.example/.default" for number in range(600)]

PRELUDE = """
import asyncio, gc, os, resource, sys, threading, time
import keybearer.aio

credential = keybearer.aio.InteractiveBrowserBrokerCredential(timeout=60)
def scopes(*numbers):
    return [f"https://{number}.example/.default" for number in numbers]
def descriptors():
    return len(os.listdir("/proc/self/fd"))
async def begin(*numbers):
    tasks = [asyncio.ensure_future(credential.get_token(scope)) for scope in scopes(*numbers)]
    await asyncio.sleep(0.2)
    return tasks
got = []
async def one(number):
    got.append((await credential.get_token(*scopes(number))).token)
# Opens the descriptors that all requests share.
asyncio.run(one("first"))
"""

ASSERT_NOTHING_IS_LEFT = """
deadline = time.monotonic() + 10
while descriptors() > before:
    gc.collect()
    assert time.monotonic() < deadline, os.listdir("/proc/self/fd")
    time.sleep(0.01)
assert set(got) == {"the-token"}
print(len(got))
"""

MANY = """
limit = descriptors() + 8
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
async def main():
    tasks = await begin("held", *range(600))
    print("held", flush=True)
    got.extend([(await task).token for task in tasks])
before = descriptors()
asyncio.run(main())
"""

ONE_LOOP_AFTER_ANOTHER = """
before = descriptors()
for number in range(20):
    asyncio.run(one(number))
"""

LOOPS_OF_SEVERAL_THREADS = """
before = descriptors()
def run(number):
    asyncio.run(one(number))
threads = [threading.Thread(target=run, args=(number,)) for number in range(20)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""

LOOPS_BY_TURNS = """
before = descriptors()
first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
task = first.create_task(one("held"))
first.run_until_complete(asyncio.sleep(0.2))
second.create_task(one("held-too"))
second.run_until_complete(asyncio.sleep(0.2))
print("held", flush=True)
first.run_until_complete(task)
second.run_until_complete(one("another"))
first.close()
second.close()
del first, second, task
"""

CANCELLED_BY_THE_END_OF_THE_LOOP = """
before = descriptors()
asyncio.run(begin("held", 1, 2, 3))
"""

LOOP_CLOSED_UNDER_TASKS = """
before = descriptors()
loop = asyncio.new_event_loop()
loop.set_exception_handler(lambda *_: None)
loop.run_until_complete(begin("held", 1, 2, 3))
loop.close()
del loop
"""


@pytest.fixture
def holding(serve: Serve) -> Iterator[threading.Event]:
    """Start a broker that answers requests with "held" in their scope after this event is set."""
    released = threading.Event()

    def answer(_: str, request: Reply) -> Reply:
        if "held" in str(request):
            released.wait(30)
        return token()

    serve(answer)
    yield released
    released.set()


@pytest.mark.parametrize(
    ("code", "tokens"),
    [
        (MANY, 601),
        (ONE_LOOP_AFTER_ANOTHER, 20),
        (LOOPS_OF_SEVERAL_THREADS, 20),
        (LOOPS_BY_TURNS, 3),
        (CANCELLED_BY_THE_END_OF_THE_LOOP, 0),
        (LOOP_CLOSED_UNDER_TASKS, 0),
    ],
    ids=["many", "loops", "threads", "turns", "cancelled", "closed"],
)
def test_waiting_takes_few_descriptors_and_leaves_none_behind(
    holding: threading.Event, tmp_path: Path, code: str, tokens: int
) -> None:
    """In every way a loop can end. The broker sends the held answers after the program's "held"."""
    command = [sys.executable, "-W", "default", "-c", PRELUDE + code + ASSERT_NOTHING_IS_LEFT]
    complaints = tmp_path / "complaints"
    with complaints.open("w") as errors:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as program:
            watchdog = threading.Timer(60, program.kill)
            watchdog.start()
            assert program.stdout is not None
            line = program.stdout.readline()
            if line == "held\n":
                holding.set()
                line = program.stdout.readline()
        watchdog.cancel()
    assert (program.returncode, complaints.read_text()) == (0, "")
    assert line == f"{1 + tokens}\n"


@pytest.mark.parametrize("leaving", [[0], [1], [2], [0, 1], [1, 2], [0, 2]])
def test_the_others_wait_on_when_tasks_are_cancelled(
    holding: threading.Event, leaving: list[int]
) -> None:
    async def main() -> None:
        credential = keybearer.aio.InteractiveBrowserBrokerCredential(timeout=20)
        first = asyncio.ensure_future(credential.get_token("https://held.example/.default"))
        tasks = [first, *(asyncio.ensure_future(credential.get_token(one)) for one in SCOPES[:3])]
        await asyncio.sleep(0.1)
        for number in leaving:
            tasks[number].cancel()
        await asyncio.sleep(0.1)
        assert [number for number in range(4) if tasks[number].done()] == leaving
        holding.set()
        results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
        for number, result in enumerate(results):
            if number in leaving:
                assert isinstance(result, asyncio.CancelledError)
            else:
                assert result.token == "the-token"

    asyncio.run(main())


def test_a_task_that_is_done_and_cancelled_at_once_leaves_nobody_waiting(
    holding: threading.Event,
) -> None:
    """Each of the cancelled tasks may be the listening one, which must wake the others."""

    async def main() -> None:
        credential = keybearer.aio.InteractiveBrowserBrokerCredential(timeout=20)
        for scope in SCOPES[:50]:
            tasks = [
                asyncio.ensure_future(credential.get_token(scope.replace("//", f"//{name}.")))
                for name in "abcd"
            ]
            while not any(task.done() for task in tasks):
                await asyncio.sleep(0)
            for task in tasks[::2]:
                task.cancel()
            results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
            assert [results[1].token, results[3].token] == ["the-token"] * 2

    assert not holding.is_set()
    asyncio.run(main())


def test_without_a_free_descriptor_a_chain_goes_on(holding: threading.Event) -> None:
    code = """
import errno, keybearer._exceptions  # cannot be imported without a free descriptor
async def main():
    taken = []
    try:
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        assert error.errno == errno.EMFILE
    try:
        await credential.get_token(*scopes(1))
    except keybearer.CredentialUnavailableError as error:
        for descriptor in taken:
            os.close(descriptor)
        print(error)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
asyncio.run(main())
"""
    assert not holding.is_set()
    command = [sys.executable, "-c", PRELUDE + code]
    program = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)
    assert "open files" in program.stdout
