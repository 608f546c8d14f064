"""Subinterpreters: a clear refusal, and no harm to the main interpreter."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import keybearer
import pytest

# The directory of the package. Other versions of CPython can load it too: it uses the stable ABI.
PACKAGES = str(Path(keybearer.__file__).parents[1])
VERSIONS = ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14")

CREATE = """
import sys
if sys.version_info >= (3, 13):
    import _interpreters as interpreters
    def create(kind):
        return interpreters.create(kind)
else:
    import _xxsubinterpreters as interpreters
    def create(kind):
        return interpreters.create(isolated=kind == "isolated")
"""

IN_SUBINTERPRETER = """
import sys
sys.path.insert(0, {packages!r})
try:
    import keybearer
    print("imported")
except ImportError as error:
    print(error)
"""


def python_of(version: str) -> str:
    """Find a CPython of this version, which may be the running one."""
    if sys.version.startswith(f"{version}."):
        return sys.executable
    homes = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [*homes.glob(f"{version}.*/bin/python"), shutil.which(f"python{version}")]
    for path in filter(None, found):
        check = f"import sys; sys.exit(not sys.version.startswith('{version}.'))"
        if subprocess.run([path, "-c", check], check=False, capture_output=True).returncode == 0:
            return str(path)
    pytest.skip(f"CPython {version} is not installed")


@pytest.mark.parametrize("kind", ["isolated", "legacy"])
@pytest.mark.parametrize("main_first", [True, False], ids=["main first", "main last"])
@pytest.mark.parametrize("version", VERSIONS)
def test_a_subinterpreter_is_refused_and_the_main_one_goes_on(
    version: str, kind: str, *, main_first: bool
) -> None:
    use = "import keybearer; keybearer.InteractiveBrowserBrokerCredential()"
    code = f"""
{CREATE}
sys.path.insert(0, {PACKAGES!r})
if {main_first}:
    {use}
interpreter = create({kind!r})
interpreters.run_string(interpreter, {IN_SUBINTERPRETER.format(packages=PACKAGES)!r})
interpreters.destroy(interpreter)
{use}
print("fine")
"""
    run = subprocess.run(
        [python_of(version), "-I", "-c", code],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    refusal, *rest = run.stdout.splitlines()
    assert "subinterpreter" in refusal, run
    assert rest == ["fine"], run
    assert run.returncode == 0, run
