"""The wheel in a CPython for Windows, with the project's fake of Web Account Manager."""

from __future__ import annotations

import _thread
import asyncio
import json
import os
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keybearer
import keybearer.aio
import pytest
import win32con
import win32gui
from conftest import CONTAINERS, STORAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

TEST_LIMIT = 60

PERSON = {
    "id": "wam-1",
    "user_name": "dev@contoso.example",
    "properties": {
        "OID": "11111111-1111-1111-1111-111111111111",
        "TenantId": "22222222-2222-2222-2222-222222222222",
    },
}

# Microsoft's program for Windows from "Authenticate Python apps to Azure services during local
# development using brokered authentication", with keybearer instead of azure-identity-broker.
PROGRAM = """
import win32gui
from keybearer import InteractiveBrowserBrokerCredential
from azure.storage.blob import BlobServiceClient

# Get the handle of the current window
current_window_handle = win32gui.GetForegroundWindow()

credential = InteractiveBrowserBrokerCredential(parent_window_handle=current_window_handle)
client = BlobServiceClient("ENDPOINT", credential=credential)

# Prompt for credentials appears on first use of the client
for container in client.list_containers():
    print(container.name)
"""


class Provider:
    """The fake of Web Account Manager for this process and its children."""

    def __init__(self) -> None:
        """Use the directory that xtask names in the environment."""
        self.directory = Path(os.environ["FAKE_WAM_DIR"])

    def play(self, script: dict[str, Any]) -> None:
        """Replace the script and clear the log."""
        (self.directory / "log.jsonl").write_text("")
        script = {"name": str(uuid.uuid4()), **script}
        (self.directory / "script.json").write_text(json.dumps(script))

    def calls(self, call: str) -> list[dict[str, Any]]:
        """The calls of this name since the last `play`."""
        log = (self.directory / "log.jsonl").read_text().splitlines()
        return [entry for entry in map(json.loads, log) if entry["call"] == call]


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    """The fake in Microsoft's cloud, the only one that it serves."""
    for variable in ("AZURE_AUTHORITY_HOST", "AZURE_CLIENT_ID", "AZURE_TENANT_ID"):
        monkeypatch.delenv(variable, raising=False)
    provider = Provider()
    yield provider
    provider.play({})


def test_the_documented_program_for_windows_lists_containers(
    provider: Provider, signed_in: keybearer.InteractiveBrowserBrokerCredential
) -> None:
    # The fake returns a token that the emulator's storage accepts.
    provider.play({"person": PERSON, "tokens": [signed_in.get_token(STORAGE).token]})
    code = PROGRAM.replace("ENDPOINT", os.environ["TEST_BLOB_ENDPOINT"])
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
        timeout=TEST_LIMIT,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == CONTAINERS
    [asked] = provider.calls("interactive")
    assert STORAGE in asked["scope"].split()


def test_the_dialogue_belongs_to_the_window_of_the_program(provider: Provider) -> None:
    # Without a display only message windows can be created.
    parent = win32con.HWND_MESSAGE
    window = win32gui.CreateWindow("Static", "app", 0, 0, 0, 9, 9, parent, 0, 0, None)
    assert window not in (0, win32gui.GetDesktopWindow())
    provider.play({"person": PERSON})
    credential = keybearer.InteractiveBrowserBrokerCredential(parent_window_handle=window)
    assert credential.get_token(STORAGE).token == "token-of-wam-1"
    [asked] = provider.calls("interactive")
    assert asked["window"] == window
    win32gui.DestroyWindow(window)


def test_a_window_that_is_gone_is_named(provider: Provider) -> None:
    provider.play({"person": PERSON})
    credential = keybearer.InteractiveBrowserBrokerCredential(parent_window_handle=0x7FFFFFF0)
    with pytest.raises(keybearer.AuthenticationError, match="the parent window is not a window"):
        credential.get_token(STORAGE)
    assert provider.calls("interactive") == []


def test_a_program_without_a_foreground_window_uses_the_console_or_the_desktop(
    provider: Provider,
) -> None:
    provider.play({"person": PERSON})
    credential = keybearer.InteractiveBrowserBrokerCredential(parent_window_handle=0)
    assert credential.get_token(STORAGE).token == "token-of-wam-1"
    [asked] = provider.calls("interactive")
    assert asked["window"] > 0


def test_a_person_who_is_known_to_windows_is_not_asked(provider: Provider) -> None:
    provider.play({"accounts": [PERSON]})
    with keybearer.InteractiveBrowserBrokerCredential() as credential:
        for _ in range(2):
            assert credential.acquire(STORAGE).username == "dev@contoso.example"
    assert len(provider.calls("silent")) == 1, "the second token did not come from the cache"
    assert provider.calls("interactive") == []


def test_tasks_share_one_question_to_windows(provider: Provider) -> None:
    provider.play({"accounts": [PERSON]})

    async def ask() -> list[str]:
        async with keybearer.aio.InteractiveBrowserBrokerCredential(timeout=20) as credential:
            answers = await asyncio.gather(*(credential.get_token(STORAGE) for _ in range(5)))
            return [answer.token for answer in answers]

    assert asyncio.run(ask()) == ["token-of-wam-1"] * 5


def test_a_person_who_closes_the_dialogue_ends_it(provider: Provider) -> None:
    provider.play({"interactive": "cancel"})
    credential = keybearer.InteractiveBrowserBrokerCredential(timeout=20)
    with pytest.raises(keybearer.AuthenticationError) as raised:
        credential.get_token(STORAGE)
    assert not isinstance(raised.value, keybearer.CredentialUnavailableError)


def test_ctrl_c_ends_a_wait_for_windows(provider: Provider) -> None:
    provider.play({"interactive": "never"})
    credential = keybearer.InteractiveBrowserBrokerCredential(timeout=TEST_LIMIT)

    def interrupt_when_asked() -> None:
        deadline = time.monotonic() + TEST_LIMIT
        while not provider.calls("interactive") and time.monotonic() < deadline:
            time.sleep(0.02)
        _thread.interrupt_main()

    threading.Thread(target=interrupt_when_asked).start()
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        credential.get_token(STORAGE)
    assert time.monotonic() - begun < TEST_LIMIT / 2
