"""Detects Microsoft's azure-identity-broker in the same directory, or earlier on ``sys.path``.

Both distributions contain the module azure.identity.broker in the same files. In one directory,
the one that is installed last overwrites the other, and uninstalling either breaks the other.
Installers do not detect that.

The build backend loads this file by its path, so it must not import its own package.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

OTHER = "azure-identity-broker"
OURS = "keybearer-azure-identity-broker"

ADVICE = f"""\
{OTHER} and {OURS} cannot be installed together: both
provide the module azure.identity.broker and overwrite each other's files. Uninstall both, then
install the one you want:

    pip uninstall {OTHER} {OURS}
    pip install {OURS}
"""
MEANWHILE = """
The package keybearer is not affected: from keybearer import InteractiveBrowserBrokerCredential
"""


def find(directories: Iterable[str]) -> str | None:
    """Return the directory in which the other distribution is installed, or None.

    Only names of directories are read: importing importlib.metadata would take longer than
    importing all of Keybearer.
    """
    for directory in dict.fromkeys(directories):
        try:
            names = os.listdir(directory or os.curdir)
        except OSError:
            continue
        for name in names:
            distribution, _, rest = name.lower().replace("-", "_").partition("_broker_")
            if distribution == "azure_identity" and rest.endswith((".dist_info", ".egg_info")):
                return directory
    return None


def refuse_if_found() -> None:
    """Raise ImportError if the other distribution is in this directory or earlier on ``sys.path``.

    Later on the path it does no harm. That is where an environment made with
    ``--system-site-packages`` has the system's packages.
    """
    here = os.path.abspath(__file__)
    for _ in __name__.split("."):
        here = os.path.dirname(here)
    path = [os.path.abspath(directory) for directory in sys.path]
    earlier = path[: path.index(here)] if here in path else []
    directory = find([*earlier, here])
    if directory is not None:
        refuse(f"{OTHER} is installed in {directory}.")


def refuse(finding: str) -> None:
    """Raise ImportError with the finding and the way to fix it."""
    raise ImportError(f"{finding}\n{ADVICE}{MEANWHILE}", name="azure.identity.broker")
