"""The rows `python-first` and `python-memory`: a Python program's first token from a warm broker.

`first_token.py ROUNDS INTERPRETER KEYBEARER`. Starts a session bus with an unlocked keyring, the
emulator and the broker KEYBEARER. Each class signs in once. Then whole programs of INTERPRETER run in
turns: start, import, first token, exit. Keybearer's class asks the broker over its socket, Microsoft's
class through Microsoft's runtime and the bus. Prints the fastest wall time, because other programs can
only add to it, and the largest resident size.
"""

import json
import os
import pathlib
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "interop/broker"))

from machine import Machine  # noqa: E402

WARM_UP = 2

OURS = """
from keybearer import InteractiveBrowserBrokerCredential
credential = InteractiveBrowserBrokerCredential(use_default_broker_account=True, timeout=60)
"""

PEER = """
import msal
from azure.identity.broker import InteractiveBrowserBrokerCredential
credential = InteractiveBrowserBrokerCredential(
    use_default_broker_account=True, timeout=60,
    parent_window_handle=msal.PublicClientApplication.CONSOLE_WINDOW_HANDLE,
)
"""

GET_TOKEN = """
print(len(credential.get_token("https://storage.azure.com/.default").token))
"""


def main():
    rounds, interpreter, keybearer = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    machine = Machine()
    try:
        machine.start_keyring()
        machine.start("broker", [keybearer, "broker", "run"])
        machine.wait_for("the broker", lambda: "ready " in machine.output_of("broker"))
        machine.wait_for("the broker's name", lambda: machine.status()["bus"]["state"] == "owned")
        measured = {"ours": [], "peer": []}
        for number in range(WARM_UP + rounds):
            for name, program in (("ours", OURS), ("peer", PEER)):
                figures = run(machine, [interpreter, "-c", program + GET_TOKEN])
                if number >= WARM_UP:
                    measured[name].append(figures)
        for name, figures in measured.items():
            seconds, kilobytes = zip(*figures)
            show("python-first", name, min(seconds) * 1000, "ms", rounds)
            show("python-memory", name, max(kilobytes) / 1024, "MB", rounds)
        assert machine.visits() <= 1, "one sign-in serves both"
    finally:
        machine.close()


def run(machine, command):
    """Run the command; return its wall time in seconds and its largest resident size in kilobytes."""
    with machine.at("client.out").open("w+") as out, machine.at("client.err").open("w+") as err:
        started = time.perf_counter()
        actions = [(os.POSIX_SPAWN_DUP2, out.fileno(), 1), (os.POSIX_SPAWN_DUP2, err.fileno(), 2)]
        child = os.posix_spawn(command[0], command, machine.environment, file_actions=actions)
        _, status, usage = os.wait4(child, 0)
        seconds = time.perf_counter() - started
        out.seek(0)
        err.seek(0)
        assert status == 0 and int(out.read()) > 100, err.read()
        return seconds, usage.ru_maxrss


def show(row, what, value, unit, count):
    print(json.dumps({"row": row, "what": what, "value": value, "unit": unit, "n": count}))


if __name__ == "__main__":
    main()
