"""Whether Microsoft's azure-identity-broker is installed in the place of this, or before it.

Both distributions hold the module azure.identity.broker, in the same files: in one directory of
packages, whichever is installed last overwrites the other, and uninstalling one breaks the other.
Installers do not see it.

The build backend loads this file by its path; it may import nothing of its package.
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
{OTHER} and {OURS} cannot be installed together: both are
the module azure.identity.broker, and each overwrites the other's files. Uninstall both, then
install the one that is wanted:

    pip uninstall {OTHER} {OURS}
    pip install {OURS}
"""
MEANWHILE = """
The package keybearer is not affected: from keybearer import InteractiveBrowserBrokerCredential
"""


def find(directories: Iterable[str]) -> str | None:
    """Return the directory in which the other distribution is installed, or None.

    It reads names of directories only: importlib.metadata takes longer to import than all of
    Keybearer.
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
    """Raise ImportError if the other distribution is where this one is, or earlier on the path.

    Later on the path it does no harm: so it is where an environment sees the system's packages.
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
    """Raise ImportError."""
    raise ImportError(f"{finding}\n{ADVICE}{MEANWHILE}", name="azure.identity.broker")
