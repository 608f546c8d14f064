"""A test machine with Azure CLI."""

import pathlib
import re
import sys

import pytest

sys.path.append(str(pathlib.Path(__file__).parents[1] / "broker"))

from machine import REFRESH_TOKEN, Machine  # noqa: E402 - shared with the tests of the broker's clients

# Seconds. Azure CLI starts slowly, more so on a busy machine; only a failing test waits this long.
TEST_LIMIT = 180


class AzureCli:
    """`az`, started by the runner that replaces Microsoft's runtime with keybearer.msal_runtime."""

    def __init__(self, machine):
        self.machine = machine
        self._settings = {
            "AZURE_CONFIG_DIR": str(machine.at("azure")),
            "AZURE_CORE_COLLECT_TELEMETRY": "no",
            "AZURE_CORE_LOGIN_EXPERIENCE_V2": "off",
            "AZURE_CORE_NO_COLOR": "yes",
            "AZURE_CORE_OUTPUT": "json",
        }
        machine.environment.update(self._settings)
        script = machine.at("bin/az")
        script.parent.mkdir()
        script.write_text(f'#!/bin/sh\nexec {sys.executable} -m keybearer.msal_runtime -m azure.cli "$@"\n')
        script.chmod(0o700)
        machine.environment["PATH"] = f"{script.parent}:{machine.environment['PATH']}"

    def __call__(self, *arguments):
        return self.machine.run([self.machine.at("bin/az"), *arguments], timeout=TEST_LIMIT)

    def secrets(self):
        """The names of its files that contain a refresh token."""
        files = (path for path in self.machine.at("azure").rglob("*") if path.is_file())
        return [path.name for path in files if REFRESH_TOKEN.search(path.read_bytes().decode(errors="replace"))]


@pytest.fixture
def az():
    machine = Machine()
    try:
        yield AzureCli(machine)
        unknown = {re.sub(r"^CONNECT ", "", name) for name in machine.proxy.refused}
        assert not unknown, "a client asked for a host that is not Azure's"
    finally:
        machine.close()
