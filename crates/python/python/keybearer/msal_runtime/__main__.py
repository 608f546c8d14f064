"""Runs a program whose sign-ins with MSAL Python then go through this machine's broker.

    python -m keybearer.msal_runtime -m MODULE [ARGUMENT...]
    python -m keybearer.msal_runtime PROGRAM [ARGUMENT...]

PROGRAM is a Python file, or the name of a command that a package of this Python installed. It runs
in this interpreter, so use the Python in which the program is installed. None of its files is
changed. In this process, two defaults of MSAL's public client are different:
`enable_broker_on_linux` is true, and `parent_window_handle` is the console, without which MSAL asks
no broker.
"""

from __future__ import annotations

import functools
import importlib
import runpy
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from keybearer import msal_runtime

USAGE = "usage: python -m keybearer.msal_runtime [-m MODULE | PROGRAM] [ARGUMENT...]"


def main(arguments: list[str]) -> object:
    """Run the program; return the argument for `sys.exit`."""
    if arguments[:1] == ["-m"] and len(arguments) > 1:
        module, rest = arguments[1], arguments[2:]
        opt_in()
        sys.argv = [module, *rest]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        return 0
    if not arguments or arguments[0].startswith("-"):
        return USAGE
    program = arguments[0]
    is_file = Path(program).is_file()
    command = None if is_file else installed_command(program)
    if command is None and not is_file:
        return (
            f"there is no file and no command of this Python named {program}; for a program that a "
            f"shell script starts, use its module, such as -m azure.cli for az\n{USAGE}"
        )
    opt_in()
    sys.argv = arguments
    if command is not None:
        return command.load()()
    sys.path[0] = str(Path(program).resolve().parent)
    runpy.run_path(program, run_name="__main__")
    return 0


def opt_in() -> None:
    """Install the runtime and change the defaults of MSAL's public client to use it."""
    msal_runtime.install()
    try:
        client = importlib.import_module("msal").PublicClientApplication
    except ImportError as missing:
        raise SystemExit(
            f"msal is not installed for this Python ({sys.executable}): {missing}"
        ) from missing
    original_init, original_acquire = client.__init__, client.acquire_token_interactive

    @functools.wraps(original_init)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        if kwargs.get("enable_broker_on_linux") is None:
            kwargs["enable_broker_on_linux"] = True
        original_init(self, *args, **kwargs)

    @functools.wraps(original_acquire)
    def acquire(self: Any, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("parent_window_handle") is None and len(args) <= ARGUMENTS_BEFORE_WINDOW:
            kwargs["parent_window_handle"] = self.CONSOLE_WINDOW_HANDLE
        return original_acquire(self, *args, **kwargs)

    client.__init__, client.acquire_token_interactive = init, acquire


ARGUMENTS_BEFORE_WINDOW = 9
"""The number of positional arguments before `parent_window_handle`."""


def installed_command(name: str) -> metadata.EntryPoint | None:
    """Find a command by the name that its package gave it."""
    for package in metadata.distributions():
        for entry in package.entry_points:
            if entry.group == "console_scripts" and entry.name == name:
                return entry
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))  # type: ignore[arg-type] # the program's own result, of any type
