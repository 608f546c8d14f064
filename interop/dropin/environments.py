"""Virtual environments as a developer makes them, with a real pip and no network."""

import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]
PROJECT = ROOT / "python/keybearer-azure-identity-broker"
# The packages that were downloaded once, and the wheel of keybearer that was built just now.
PACKAGES = [
    pathlib.Path(os.environ.get(variable, ROOT / ".keybearer" / name))
    for variable, name in (("KEYBEARER_PACKAGES", "interop-dropin/packages"), ("KEYBEARER_WHEELS", "wheels"))
]

OURS = "keybearer-azure-identity-broker"
THEIRS = "azure-identity-broker"

TEST_LIMIT = 120


class Environment:
    def __init__(self, path, copy_of=None):
        self._path = path
        self.python = path / "bin" / "python"
        if copy_of:
            shutil.copytree(copy_of._path, path, symlinks=True)
        else:
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", path], check=True, timeout=TEST_LIMIT)

    def pip(self, *arguments):
        """Run pip for this environment; it finds only the prepared packages."""
        found = " ".join(str(directory) for directory in PACKAGES)
        settings = {
            "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_FIND_LINKS": found, "PIP_NO_CACHE_DIR": "1",
            "PIP_NO_COMPILE": "1", "PIP_NO_INDEX": "1",
        }
        command = [sys.executable, "-m", "pip", "--python", str(self.python), *map(str, arguments)]
        return _run(command, {"PATH": os.environ["PATH"], "HOME": str(self._path), **settings})

    def install(self, *requirements):
        installed = self.pip("install", *requirements)
        assert installed.returncode == 0, installed.stdout + installed.stderr

    def install_theirs(self, *options):
        """Install Microsoft's package without its runtime for brokers."""
        self.install("--no-deps", *options, THEIRS)

    def run(self, code, **variables):
        return _run([str(self.python), "-c", code], {"PATH": os.environ["PATH"], **variables})

    def words(self, code, **variables):
        """Run a program that must succeed; return the words it printed."""
        ran = self.run(code, **variables)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.split()


def _run(command, environment):
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=TEST_LIMIT, check=False
    )
