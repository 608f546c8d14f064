"""A desk with Azure CLI on it."""

import pathlib
import re
import sys

import pytest

sys.path.append(str(pathlib.Path(__file__).parents[1] / "broker"))

from machine import REFRESH_TOKEN, Desk  # noqa: E402 - shared with the tests of the broker's clients

# Azure CLI starts slowly, more so on a busy machine; only a test that fails waits this long.
PATIENCE = 180


class AzureCli:
    """`az`, by the runner that puts keybearer.msal_runtime in the place of Microsoft's runtime."""

    def __init__(self, desk):
        self.desk = desk
        self._settings = {
            "AZURE_CONFIG_DIR": str(desk.at("azure")),
            "AZURE_CORE_COLLECT_TELEMETRY": "no",
            "AZURE_CORE_LOGIN_EXPERIENCE_V2": "off",
            "AZURE_CORE_NO_COLOR": "yes",
            "AZURE_CORE_OUTPUT": "json",
        }
        desk.environment.update(self._settings)
        script = desk.at("bin/az")
        script.parent.mkdir()
        script.write_text(f'#!/bin/sh\nexec {sys.executable} -m keybearer.msal_runtime -m azure.cli "$@"\n')
        script.chmod(0o700)
        desk.environment["PATH"] = f"{script.parent}:{desk.environment['PATH']}"

    def __call__(self, *arguments):
        return self.desk.run([self.desk.at("bin/az"), *arguments], timeout=PATIENCE)

    def secrets(self):
        """What of its files holds a refresh token."""
        files = (path for path in self.desk.at("azure").rglob("*") if path.is_file())
        return [path.name for path in files if REFRESH_TOKEN.search(path.read_bytes().decode(errors="replace"))]


@pytest.fixture
def az():
    desk = Desk()
    try:
        yield AzureCli(desk)
        unknown = {re.sub(r"^CONNECT ", "", name) for name in desk.proxy.refused}
        assert not unknown, "somebody asked for a host that is not Azure's"
    finally:
        desk.close()
