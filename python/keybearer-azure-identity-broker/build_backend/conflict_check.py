"""A build backend: flit_core, with a check that azure-identity-broker is not installed.

pip builds with the interpreter of the environment into which it installs. The build cannot import
that environment's packages, but it can list its directories. Other installers build in a
separate environment, and a wheel may have been built before; in those cases the installed
module raises ImportError when it is imported.
"""

from __future__ import annotations

import runpy
import site
import sysconfig
from functools import wraps
from pathlib import Path
from typing import Any, Callable

from flit_core import buildapi
from flit_core.buildapi import (
    build_sdist,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

CONFLICT = runpy.run_path(
    str(Path(__file__).parents[1] / "azure" / "identity" / "broker" / "_conflict.py")
)


def checked(hook: Callable[..., str]) -> Callable[..., str]:
    """Make the hook exit if the other distribution is installed."""

    @wraps(hook)
    def check_and_build(*arguments: Any, **keywords: Any) -> str:
        directory = CONFLICT["find"](directories())
        if directory is not None:
            finding = f"{CONFLICT['OTHER']} is installed in {directory}."
            # Installers show standard error; a traceback would hide the message.
            raise SystemExit(f"{finding}\n{CONFLICT['ADVICE']}")
        return hook(*arguments, **keywords)

    return check_and_build


def directories() -> list[str]:
    """List the directories of packages of the environment for which pip builds."""
    found = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    if site.ENABLE_USER_SITE:
        found.append(site.getusersitepackages())
    return found


build_wheel = checked(buildapi.build_wheel)
build_editable = checked(buildapi.build_editable)
prepare_metadata_for_build_wheel = checked(buildapi.prepare_metadata_for_build_wheel)
prepare_metadata_for_build_editable = checked(buildapi.prepare_metadata_for_build_editable)
