"""An isolated environment for each test: private directories, and no broker but the test's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

import pytest
from broker_double import Answer, BrokerDouble

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def runtime_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The private directory of the broker's socket, in an otherwise empty environment."""
    for name in ("CONFIG", "STATE", "RUNTIME"):
        variable = f"XDG_{name}_DIR" if name == "RUNTIME" else f"XDG_{name}_HOME"
        path = tmp_path / name.lower()
        path.mkdir(mode=0o700)
        monkeypatch.setenv(variable, str(path))
    for variable in (
        "AZURE_AUTHORITY_HOST",
        "AZURE_IDENTITY_DISABLE_MULTITENANTAUTH",
        "BROWSER",
        "DBUS_SESSION_BUS_ADDRESS",
        "DISPLAY",
        "KEYBEARER_PROGRAM",
        "WAYLAND_DISPLAY",
    ):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    directory = tmp_path / "runtime" / "keybearer"
    directory.mkdir(mode=0o700)
    return directory


@pytest.fixture
def serve(runtime_dir: Path) -> Iterator[Callable[[Answer], BrokerDouble]]:
    """A function that starts a broker with the given replies."""
    brokers: list[BrokerDouble] = []

    def start(answer: Answer) -> BrokerDouble:
        brokers.append(BrokerDouble(runtime_dir / "broker.sock", answer))
        return brokers[-1]

    yield start
    for broker in brokers:
        broker.close()
