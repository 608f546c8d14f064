"""flit_core, but nothing is built for an environment that holds azure-identity-broker.

pip builds with the interpreter of the environment it installs into. That environment's packages are
hidden from the build, but its directories are known. Other installers build in an environment of
their own; there, and with a wheel that was built before, it is the module that refuses, when it is
imported.
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

BESIDE = runpy.run_path(
    str(Path(__file__).parents[1] / "azure" / "identity" / "broker" / "_conflict.py")
)


def refusing(hook: Callable[..., str]) -> Callable[..., str]:
    """Make the hook end the build where the other distribution is installed."""

    @wraps(hook)
    def refuse_or_build(*arguments: Any, **keywords: Any) -> str:
        directory = BESIDE["find"](directories())
        if directory is not None:
            # Without a traceback: installers show what is printed.
            raise SystemExit(f"{BESIDE['OTHER']} is installed in {directory}.\n{BESIDE['ADVICE']}")
        return hook(*arguments, **keywords)

    return refuse_or_build


def directories() -> list[str]:
    """Where packages are installed for the environment that is built for."""
    found = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    if site.ENABLE_USER_SITE:
        found.append(site.getusersitepackages())
    return found


build_wheel = refusing(buildapi.build_wheel)
build_editable = refusing(buildapi.build_editable)
prepare_metadata_for_build_wheel = refusing(buildapi.prepare_metadata_for_build_wheel)
prepare_metadata_for_build_editable = refusing(buildapi.prepare_metadata_for_build_editable)
