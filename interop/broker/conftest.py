"""A desk for each test, and at the end which client of which version did what."""

import importlib.metadata
import pathlib
import subprocess

import pytest

from machine import Desk


@pytest.fixture
def bare_desk():
    """No broker runs and none is installed."""
    made = Desk()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def desk(bare_desk):
    """Our broker has the name on the bus, and there is an unlocked keyring."""
    bare_desk.start_keyring()
    bare_desk.start_broker()
    yield bare_desk
    assert not bare_desk.proxy.refused, "somebody asked for a host that is not Azure's"


def version_of(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.split("\n")[0]


def packages(*names):
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)


CLIENTS = {
    "test_azure_identity_broker.py": lambda: packages("azure-identity-broker", "azure-storage-blob", "msal", "pymsalruntime"),
    "test_msal.py": lambda: packages("msal", "pymsalruntime"),
    "test_busctl.py": lambda: f"busctl of {version_of('busctl', '--version')}",
    "test_gdbus.py": lambda: f"gdbus of GLib {version_of('gdbus', '--version') or version_of('gio', 'version')}",
    "test_activation.py": lambda: "each of them, with no broker running",
    "test_upgrade.py": lambda: "our own program and gdbus, during an upgrade",
}


def pytest_terminal_summary(terminalreporter):
    shown = None
    for report in terminalreporter.stats.get("passed", []):
        module, name = pathlib.PurePath(report.nodeid.split("::")[0]).name, report.nodeid.split("::")[1]
        if module != shown:
            terminalreporter.write_line(f"\n{CLIENTS[module]()}")
            shown = module
        terminalreporter.write_line(f"  {name.removeprefix('test_').replace('_', ' ')}")
