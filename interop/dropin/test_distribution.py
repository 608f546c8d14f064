"""What the distribution contains, and that it refuses to be installed together with Microsoft's."""

import ast
import pathlib
import re
import tarfile
import zipfile

import pytest

from environments import OURS, PACKAGES, PROJECT, ROOT, THEIRS, Environment

MODULE = "azure.identity.broker"
USE = f"import {MODULE}"
# Programs that do not import the module must keep working.
KEYBEARER = "import keybearer; print(keybearer.InteractiveBrowserBrokerCredential(timeout=0) is not None)"
WHOSE = f"{USE}; print({MODULE}.InteractiveBrowserBrokerCredential.__module__)"


def official_names():
    """The names that Microsoft's package exports, read from its wheel."""
    [wheel] = PACKAGES[0].glob("azure_identity_broker-*.whl")
    source = zipfile.ZipFile(wheel).read("azure/identity/broker/__init__.py")
    [names] = [
        node.value for node in ast.parse(source).body
        if isinstance(node, ast.Assign) and node.targets[0].id == "__all__"
    ]
    return ast.literal_eval(names)


def test_names_are_microsofts_and_mean_keybearers(environment):
    names = official_names()
    assert len(names) == 2
    same = [f"broker.{name} is keybearer.{name}" for name in names]
    printed = environment.words(
        f"import keybearer, {MODULE} as broker; print(*broker.__all__, {', '.join(same)})"
    )
    assert printed == [*names, "True", "True"]


def test_importing_it_imports_nothing_of_azure_or_msal_and_nothing_slow(without_identity):
    printed = without_identity.words(
        f"import sys; before = set(sys.modules); {USE}; print(*set(sys.modules) - before)"
    )
    parents = {"azure", "azure.identity", MODULE, f"{MODULE}._conflict"}
    # Modules of CPython by which keybearer detects a subinterpreter.
    interpreters = {"_interpreters", "_xxsubinterpreters"}
    assert set(printed) - interpreters == parents | {"__future__", "keybearer", "keybearer._native"}


def test_importing_it_takes_less_than_ten_milliseconds(without_identity):
    code = f"import time; t = time.perf_counter(); {USE}; print(time.perf_counter() - t)"
    assert min(float(without_identity.words(code)[0]) for _ in range(5)) < 0.010


def test_default_credential_of_azure_identity_finds_it(with_identity):
    printed = with_identity.words(
        "import keybearer\n"
        "from azure.identity._internal.utils import get_broker_credential\n"
        "print(get_broker_credential() is keybearer.InteractiveBrowserBrokerCredential)"
    )
    assert printed == ["True"]


def test_version_is_that_of_the_workspace():
    [version] = re.findall(r'(?m)^\[workspace.package\]\nversion = "(.*)"', (ROOT / "Cargo.toml").read_text())
    project = (PROJECT / "pyproject.toml").read_text()
    assert re.findall(r'(?m)^version = "(.*)"', project) == [version]
    assert re.findall(r'"keybearer==(.*?)"', project) == [version]
    keybearer = (ROOT / "crates/python/pyproject.toml").read_text()
    assert re.findall(r'"keybearer-cli==(.*?);', keybearer) == [version]


def test_source_distribution_can_be_installed(tmp_path, new_environment):
    backend = f"import sys; sys.path.insert(0, {str(PROJECT / 'build_backend')!r}); import conflict_check"
    build = f"import os; os.chdir({str(PROJECT)!r}); {backend}; print(conflict_check.build_sdist({str(tmp_path)!r}))"
    new_environment.install("flit_core")
    [name] = new_environment.words(build)
    with tarfile.open(tmp_path / name) as archive:
        held = {member.name.split("/", 1)[1] for member in archive if member.isfile()}
    assert {"LICENSE-MIT", "LICENSE-APACHE", "README.md", "build_backend/conflict_check.py"} <= held
    new_environment.install(tmp_path / name)
    assert new_environment.words(f"{USE}; print({MODULE}.__version__)")[0] in name


def test_pip_refuses_to_install_it_beside_microsofts(new_environment):
    new_environment.install_theirs()
    refused = new_environment.pip("install", PROJECT)
    assert refused.returncode == 1
    assert_says_what_to_do(refused.stdout + refused.stderr)
    assert "Traceback" not in refused.stderr
    assert new_environment.words(WHOSE) == [f"{MODULE}._browser"], "Microsoft's package still works"


@pytest.mark.parametrize(("last", "wanted"), [(OURS, THEIRS), (THEIRS, OURS)])
def test_where_both_are_installed_the_import_says_what_to_do_and_that_helps(new_environment, wheel, last, wanted):
    """Installing a wheel runs no code of the package, so neither wheel can refuse."""
    install = {OURS: lambda: new_environment.install(wheel), THEIRS: new_environment.install_theirs}
    install[wanted]()
    install[last]()
    for use in (USE, f"from {MODULE} import InteractiveBrowserBrokerCredential"):
        refused = new_environment.run(use)
        assert refused.returncode == 1
        assert "ImportError" in refused.stderr
        assert_says_what_to_do(refused.stderr)
    assert new_environment.words(KEYBEARER) == ["True"]
    removed = new_environment.pip("uninstall", "--yes", THEIRS, OURS)
    assert removed.returncode == 0, removed.stderr
    install[wanted]()
    assert new_environment.words(WHOSE) == ["keybearer" if wanted == OURS else f"{MODULE}._browser"]


def test_microsofts_in_a_directory_further_down_the_path_is_overshadowed(new_environment, wheel, tmp_path):
    """As in an environment made with --system-site-packages: its user cannot uninstall the system's packages."""
    new_environment.install(wheel)
    new_environment.install_theirs("--target", tmp_path / "system")
    [packages] = new_environment.words("import sysconfig; print(sysconfig.get_path('purelib'))")
    pathlib.Path(packages, "system.pth").write_text(f"{tmp_path / 'system'}\n")
    assert new_environment.words(f"import sys; print(sys.path[-1]); {WHOSE}") == [str(tmp_path / "system"), "keybearer"]


def test_microsofts_in_a_directory_further_up_the_path_is_refused(new_environment, wheel, tmp_path):
    """Which of the two a program imports depends on where azure-identity is installed."""
    new_environment.install(wheel)
    new_environment.install_theirs("--target", tmp_path / "above")
    refused = new_environment.run(USE, PYTHONPATH=str(tmp_path / "above"))
    assert refused.returncode == 1
    assert f"{THEIRS} is installed in {tmp_path / 'above'}" in refused.stderr
    assert_says_what_to_do(refused.stderr)


@pytest.mark.parametrize("name", ["packages", "packages/", "./packages", "link"])
def test_microsofts_in_the_same_directory_is_refused_whatever_that_is_called(tmp_path, wheel, name):
    environment = Environment(tmp_path / "environment")
    environment.install("--target", tmp_path / "packages", wheel)
    environment.install_theirs("--target", tmp_path / "theirs")
    [information] = (tmp_path / "theirs").glob("*.dist-info")
    information.rename(tmp_path / "packages" / information.name)
    (tmp_path / "link").symlink_to("packages")
    refused = environment.run(f"import os, sys; os.chdir({str(tmp_path)!r}); sys.path.append({name!r}); {USE}")
    assert_says_what_to_do(refused.stderr)


def assert_says_what_to_do(text):
    for line in (
        f"{THEIRS} and {OURS} cannot be installed together",
        f"pip uninstall {THEIRS} {OURS}",
        f"pip install {OURS}",
    ):
        assert line in text, text
