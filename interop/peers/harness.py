"""Runs tests of azure-identity against our credential: a plug-in of pytest.

The tests are taken out of archives of the source and stay outside the repository. `peers.toml` names
those that are skipped. The run fails if one of these passes or is gone, and if one that is not listed
was skipped or never made a credential of ours.
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

from machine import Desk  # noqa: E402 - shared with the tests of the broker's clients
from plan import Plan  # noqa: E402

DOCUMENT = HERE.parents[1] / "docs/drop-in.md"
plan = Plan(HERE / "peers.toml")


def pytest_configure(config):
    config.addinivalue_line("markers", "manual: wants a person; here one is played")
    config.desk, config.is_good = Desk(), False
    config.add_cleanup(lambda: close(config))
    desk = config.desk
    os.environ.update(desk.environment)
    # Only now: they read the environment.
    import peer_names
    from browser_relay import Browser

    os.environ["BROWSER"] = str(Browser(desk.at("")).program)
    unpacked = desk.at("peers")
    unpacked.mkdir()
    sys.path.insert(0, str(unpacked))
    config.args[:] = plan.unpack(pathlib.Path(os.environ["KEYBEARER_SDISTS"]), unpacked)
    alias(peer_names)


def alias(names):
    """Puts our classes in the places where the tests look for azure-identity's."""
    import azure.identity
    from azure.identity import _internal
    from azure.identity._credentials import default

    for module in (azure.identity, default):
        module.InteractiveBrowserCredential = names.InteractiveBrowserCredential
    _internal.InteractiveCredential = names.InteractiveCredential
    sys.modules["azure.identity.broker"] = azure.identity.broker = names


def close(config):
    """The logs are told only after a failure, and not where the tests' results are."""
    with contextlib.redirect_stdout(io.StringIO() if config.is_good else sys.stderr):
        config.desk.close()


def name_of(item):
    return f"{item.path.name}::{item.nodeid.split('::', 1)[1]}"


def pytest_collection_modifyitems(config, items):
    entries = {item: plan.entry(name_of(item)) for item in items}
    gone = set(plan.reasons) - set(entries.values())
    gone |= plan.of_the_class - {name_of(item) for item in items}
    if gone:
        raise pytest.UsageError(f"peers.toml lists tests that are gone: {sorted(gone)}")
    kinds = {item: plan.count(name_of(item)) for item in items}
    for item, entry in entries.items():
        if kinds[item] == "skipped":
            # It runs all the same: what passes must not be listed.
            item.add_marker(pytest.mark.xfail(reason=plan.reasons[entry], strict=True))
    config.hook.pytest_deselected(items=[item for item in items if kinds[item] == "elsewhere"])
    items[:] = [item for item in items if kinds[item] != "elsewhere"]


@pytest.fixture(autouse=True)
def machine(request, monkeypatch):
    """For each test a process-wide memory of its own, and a person who signs in."""
    import peer_names

    # Credentials of one process and one environment know of each other's sign-ins.
    monkeypatch.setenv("KEYBEARER_PEERS_TEST", request.node.name)
    desk, skipped = request.config.desk, plan.entry(name_of(request.node)) is not None

    def visit(url, *_):
        command = [desk.at("browser"), url]
        subprocess.Popen(command, env=desk.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        return True

    monkeypatch.setattr(webbrowser, "open", visit)
    monkeypatch.setattr(peer_names, "patience", peer_names.SHORT if skipped else peer_names.LONG)
    peer_names.made.clear()
    yield
    if not skipped and name_of(request.node) not in plan.of_the_class:
        assert peer_names.made, "the test made no credential of ours; list it in peers.toml"


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
        terminalreporter.write_line(f"\n{DOCUMENT.name} must have these tables, and does not")
