"""A pytest plug-in that runs azure-identity's tests against Keybearer's credential.

The tests are extracted from source archives and stay outside the repository. `peers.toml` lists the
tests to skip. The run fails if one of these passes or no longer exists, and if a test that is not
listed was skipped or made no credential of Keybearer's.
"""

import contextlib
import io
import os
import pathlib
import subprocess
import sys
import webbrowser

import pytest

HERE = pathlib.Path(__file__).parent
sys.path.append(str(HERE.parent / "broker"))

from machine import Machine  # noqa: E402 - shared with the tests of the broker's clients
from plan import Plan  # noqa: E402

DOCUMENT = HERE.parents[1] / "docs/drop-in.md"
plan = Plan(HERE / "peers.toml")


def pytest_configure(config):
    config.addinivalue_line("markers", "manual: needs a person, who is simulated here")
    config.machine, config.is_good = Machine(), False
    config.add_cleanup(lambda: close(config))
    machine = config.machine
    os.environ.update(machine.environment)
    # Not at the top: these modules read the environment.
    import peer_names
    from browser_relay import BrowserRelay

    os.environ["BROWSER"] = str(BrowserRelay(machine.at("")).program)
    unpacked = machine.at("peers")
    unpacked.mkdir()
    sys.path.insert(0, str(unpacked))
    config.args[:] = plan.unpack(pathlib.Path(os.environ["KEYBEARER_SDISTS"]), unpacked)
    patch_identity(peer_names)


def patch_identity(names):
    """Replace azure-identity's classes with Keybearer's wherever the tests look for them."""
    import azure.identity
    from azure.identity import _internal
    from azure.identity._credentials import default

    for module in (azure.identity, default):
        module.InteractiveBrowserCredential = names.InteractiveBrowserCredential
    _internal.InteractiveCredential = names.InteractiveCredential
    sys.modules["azure.identity.broker"] = azure.identity.broker = names


def close(config):
    """Close the machine; its logs go to standard error, and only after a failure."""
    with contextlib.redirect_stdout(io.StringIO() if config.is_good else sys.stderr):
        config.machine.close()


def name_of(item):
    return f"{item.path.name}::{item.nodeid.split('::', 1)[1]}"


def pytest_collection_modifyitems(config, items):
    entries = {item: plan.entry(name_of(item)) for item in items}
    gone = set(plan.reasons) - set(entries.values())
    gone |= plan.of_the_class - {name_of(item) for item in items}
    if gone:
        raise pytest.UsageError(f"peers.toml lists tests that do not exist: {sorted(gone)}")
    kinds = {item: plan.count(name_of(item)) for item in items}
    for item, entry in entries.items():
        if kinds[item] == "skipped":
            # It runs nevertheless, because a test that passes must not be listed.
            item.add_marker(pytest.mark.xfail(reason=plan.reasons[entry], strict=True))
    config.hook.pytest_deselected(items=[item for item in items if kinds[item] == "elsewhere"])
    items[:] = [item for item in items if kinds[item] != "elsewhere"]


@pytest.fixture(autouse=True)
def person_signs_in(request, monkeypatch):
    """Separate the test from the sign-ins of others, and let a person sign in at its browser."""
    import peer_names

    # Credentials with the same environment share the sign-ins of this process.
    monkeypatch.setenv("KEYBEARER_PEERS_TEST", request.node.name)
    machine, skipped = request.config.machine, plan.entry(name_of(request.node)) is not None

    def visit(url, *_):
        command = [machine.at("browser"), url]
        subprocess.Popen(command, env=machine.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        return True

    monkeypatch.setattr(webbrowser, "open", visit)
    monkeypatch.setattr(peer_names, "timeout", peer_names.SHORT if skipped else peer_names.LONG)
    peer_names.made.clear()
    yield
    if not skipped and name_of(request.node) not in plan.of_the_class:
        assert peer_names.made, "the test made no credential of Keybearer's; list it in peers.toml"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    report = (yield).get_result()
    if report.skipped and not hasattr(report, "wasxfail") and plan.entry(name_of(item)) is None:
        report.outcome, report.longrepr = "failed", "skipped by its own mark; list it in peers.toml"


def undocumented():
    return [table for table in plan.tables() if table not in DOCUMENT.read_text()]


def pytest_sessionfinish(session):
    if session.testscollected and undocumented():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    session.config.is_good = session.exitstatus == pytest.ExitCode.OK


def pytest_terminal_summary(terminalreporter):
    for table in plan.tables():
        terminalreporter.write_line(f"\n{table}")
    if undocumented():
        terminalreporter.write_line(f"\n{DOCUMENT.name} does not contain these tables; copy them there")
