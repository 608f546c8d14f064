"""The machine on which a case runs: the interop tests' machine under the conditions of the case."""

import os
import pathlib
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "broker"))

from machine import NAME, PROGRAMS, Machine  # noqa: E402 - shared with the tests of the broker's clients

HERE = pathlib.Path(__file__).parent
STORAGE = "https://storage.azure.com/.default"


class CaseMachine(Machine):
    """A machine with Keybearer's broker unless one of the conditions excludes it.

    `conditions` are keys of CONDITIONS; they are set up in that order.
    """

    def __init__(self, conditions):
        self._has_browser = "no browser" not in conditions
        self.broker = None
        super().__init__()
        self.environment["TEST_VISITS"] = str(self.at("visits"))
        try:
            self.start_keyring()
            if not NO_BROKER.intersection(conditions):
                self.broker = self.start_broker()
                self.environment["TEST_BROKER"] = str(self.broker.pid)
            for condition in conditions:
                CONDITIONS[condition](self)
        except BaseException:
            self.close()
            raise

    def start(self, name, command, stdin=None):
        """Start a server that the kernel kills when this program ends, also while it is stopped."""
        return super().start(name, ["setpriv", "--pdeathsig", "KILL", *command], stdin)

    def show(self, text):
        """Print nothing: the comparison needs no logs."""

    def _install_browser(self):
        """Install a browser that returns at once, as a desktop's does, while the person is still busy."""
        super()._install_browser()
        if not self._has_browser:
            del self.environment["BROWSER"]
            return
        real = self.at("browser").rename(self.at("real-browser"))
        browser = self.at("browser")
        browser.write_text(f"#!/bin/sh\n'{real}' \"$@\" >/dev/null 2>&1 &\necho $! >> '{self.at('browsers')}'\n")
        browser.chmod(0o700)

    def sign_in(self, name):
        """Sign in with `keybearer login`, so that both classes find the same account."""
        user = self.person(name)
        output = self.keybearer("login", "--browser", "--login-hint", user["upn"], "--scope", STORAGE)
        assert output.status == 0, output

    def never_starts_a_broker(self):
        """Install an activatable service for the broker's name that never takes the name."""
        services = self.at("data/dbus-1/services")
        services.mkdir(parents=True, mode=0o700)
        (services / f"{NAME}.service").write_text(f"[D-BUS Service]\nName={NAME}\nExec={SLEEPER}\n")
        bus = ["--dest", "org.freedesktop.DBus", "--object-path", "/org/freedesktop/DBus"]
        output = self.run(["gdbus", "call", "--session", *bus, "--method", "org.freedesktop.DBus.ReloadConfig"])
        assert output.status == 0, output

    def has_no_program(self):
        """Take the program keybearer off PATH, so that no broker can be started."""
        self.environment["PATH"] = self.environment["PATH"].replace(f"{PROGRAMS}:", "")

    def fault(self, endpoint, action):
        self.emulator("POST", "faults", {"endpoint": endpoint, "action": action})

    def stop_broker(self):
        self.broker.send_signal(signal.SIGSTOP)

    def observe(self, side, code, limit):
        """Run the client; kill it when it has printed no line for `limit` seconds."""
        with self.at("case.out").open("w+") as out, self.at("case.err").open("w") as err:
            command = ["setpriv", "--pdeathsig", "KILL", sys.executable, HERE / "client.py", side, code]
            client = subprocess.Popen(
                command, env=self.environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                start_new_session=True,
            )
            status, begun, lines = None, time.monotonic(), 0
            while status is None and time.monotonic() < begun + limit:
                time.sleep(0.05)
                status = client.poll()
                printed = self.at("case.out").read_text().count("\n")
                if printed != lines:
                    lines, begun = printed, time.monotonic()
            if status is None:
                # It has not been reaped yet, so its process group id cannot have been reused.
                os.killpg(client.pid, signal.SIGKILL)
                client.wait(10)
        lines, errors = self.at("case.out").read_text().splitlines(), self.at("case.err").read_text()
        return Observed(lines, status, errors, self.visits())

    def close(self):
        if self.broker:
            self.broker.send_signal(signal.SIGCONT)
        browsers = self.at("browsers")
        for pid in browsers.read_text().split() if browsers.exists() else []:
            if str(self.at("")) in environment_of(pid):
                os.kill(int(pid), signal.SIGTERM)
        super().close()


class Observed:
    def __init__(self, lines, status, errors, visits):
        """`status` is None if the client was killed; `visits` counts the browsers opened so far."""
        self.lines, self.status, self.errors, self.visits = lines, status, errors, visits


def environment_of(pid):
    try:
        return pathlib.Path("/proc", pid, "environ").read_text(errors="replace")
    except OSError:
        return ""


STALL = {"stall": {}}
SERVER_ERROR = {"error": {"error": "server_error", "code": 90033, "message": "A transient error has occurred."}}
MFA = {"resource": "https://management.azure.com", "require": "mfa"}

CONDITIONS = {
    "dev is signed in": lambda machine: machine.sign_in("dev"),
    "ops is signed in": lambda machine: machine.sign_in("ops"),
    "the person is dev": lambda machine: machine.person("dev"),
    "the person is guest": lambda machine: machine.person("guest"),
    "the person declines": lambda machine: machine.person("dev", "--deny"),
    "the person walks away": lambda machine: machine.person("dev", "--abandon"),
    "no broker": lambda machine: None,
    "keybearer is not installed": CaseMachine.has_no_program,
    "the bus never starts the broker": CaseMachine.never_starts_a_broker,
    "the broker is stopped": CaseMachine.stop_broker,
    "the provider's token endpoint stalls": lambda machine: machine.fault("token", STALL),
    "the provider's metadata stall": lambda machine: machine.fault("metadata", STALL),
    "the provider's token endpoint fails": lambda machine: machine.fault("token", SERVER_ERROR),
    "a policy wants a second factor": lambda machine: machine.emulator("POST", "policies", MFA),
    "the provider throttles": lambda machine: machine.fault("token", {"status": {"code": 429, "retry_after": 7}}),
    "the provider is two seconds late": lambda machine: machine.fault("token", {"stall": {"milliseconds": 2000}}),
    "no browser": lambda machine: None,
}
# Ends with the bus.
SLEEPER = "/usr/bin/setpriv --pdeathsig TERM /bin/sleep 600"
NO_BROKER = {"no broker", "the bus never starts the broker"}
