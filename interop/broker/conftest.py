"""A machine for each test, and a summary of what each client in which version did."""

import importlib.metadata
import pathlib
import subprocess

import pytest

from machine import Machine


@pytest.fixture
def bare_machine():
    """A machine on which no broker runs and none is installed."""
    made = Machine()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def machine(bare_machine):
    """A machine on which Keybearer's broker owns the bus name, with an unlocked keyring."""
    bare_machine.start_keyring()
    bare_machine.start_broker()
    yield bare_machine
    assert not bare_machine.proxy.refused, "a client asked for a host that is not Azure's"


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
    "test_upgrade.py": lambda: "keybearer and gdbus, during an upgrade",
}


def pytest_terminal_summary(terminalreporter):
    shown = None
    for report in terminalreporter.stats.get("passed", []):
        module, name = pathlib.PurePath(report.nodeid.split("::")[0]).name, report.nodeid.split("::")[1]
        if module != shown:
            terminalreporter.write_line(f"\n{CLIENTS[module]()}")
            shown = module
        terminalreporter.write_line(f"  {name.removeprefix('test_').replace('_', ' ')}")
