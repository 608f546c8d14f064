"""Runs a program so that its sign-ins with MSAL Python go through this machine's broker.

    python -m keybearer.msal_runtime -m MODULE [ARGUMENT...]
    python -m keybearer.msal_runtime PROGRAM [ARGUMENT...]

PROGRAM is a Python file, or the name of a command that a package of this Python installed. It runs
in this interpreter, so this has to be the Python that the program is installed in. None of its
files is changed. Two defaults of MSAL's public client are, in this process:
`enable_broker_on_linux` is true, and `parent_window_handle` is the console, which MSAL insists on
before it asks a broker.
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
    """Run the program; the result is what it exits with."""
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
            f"there is no file and no command of this Python named {program}; what is started by a "
            f"shell script, name by its module: -m azure.cli for az\n{USAGE}"
        )
    opt_in()
    sys.argv = arguments
    if command is not None:
        return command.load()()
    sys.path[0] = str(Path(program).resolve().parent)
    runpy.run_path(program, run_name="__main__")
    return 0


def opt_in() -> None:
    """Install the runtime, and have every public client use it that does not say otherwise."""
    msal_runtime.install()
    try:
        client = importlib.import_module("msal").PublicClientApplication
    except ImportError as missing:
        raise SystemExit(f"this Python ({sys.executable}) has no msal: {missing}") from missing
    made, asked = client.__init__, client.acquire_token_interactive

    @functools.wraps(made)
    def make(self: Any, *args: Any, **kwargs: Any) -> None:
        if kwargs.get("enable_broker_on_linux") is None:
            kwargs["enable_broker_on_linux"] = True
        made(self, *args, **kwargs)

    @functools.wraps(asked)
    def ask(self: Any, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("parent_window_handle") is None and len(args) <= ARGUMENTS_BEFORE_WINDOW:
            kwargs["parent_window_handle"] = self.CONSOLE_WINDOW_HANDLE
        return asked(self, *args, **kwargs)

    client.__init__, client.acquire_token_interactive = make, ask


ARGUMENTS_BEFORE_WINDOW = 9
"""What may come before `parent_window_handle` by position."""


def installed_command(name: str) -> metadata.EntryPoint | None:
    """Find a command by the name that its package gave it."""
    for package in metadata.distributions():
        for entry in package.entry_points:
            if entry.group == "console_scripts" and entry.name == name:
                return entry
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))  # type: ignore[arg-type] # what a program returns, it exits with
