"""The machine a case happens on: the interop tests' desk, and what can be the matter with it."""

import os
import pathlib
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "broker"))

from machine import NAME, PROGRAMS, Desk  # noqa: E402 - it lies beside the tests it was made for

HERE = pathlib.Path(__file__).parent
STORAGE = "https://storage.azure.com/.default"


class World(Desk):
    """A desk with our broker, unless one of `matters` says otherwise; they happen in their order."""

    def __init__(self, matters):
        self._has_browser = "no browser" not in matters
        self.broker = None
        super().__init__()
        self.environment["TEST_VISITS"] = str(self.at("visits"))
        try:
            self.start_keyring()
            if not NO_BROKER.intersection(matters):
                self.broker = self.start_broker()
                self.environment["TEST_BROKER"] = str(self.broker.pid)
            for matter in matters:
                MATTERS[matter](self)
        except BaseException:
            self.close()
            raise

    def start(self, name, command, stdin=None):
        """Whatever ends this program ends what it started, also what is stopped."""
        return super().start(name, ["setpriv", "--pdeathsig", "KILL", *command], stdin)

    def tell(self, text):
        """Logs are of no interest here."""

    def _put_browser(self):
        """As a desktop's: it comes back while the person is still busy."""
        super()._put_browser()
        if not self._has_browser:
            del self.environment["BROWSER"]
            return
        behind = self.at("browser").rename(self.at("browser-itself"))
        browser = self.at("browser")
        browser.write_text(f"#!/bin/sh\n'{behind}' \"$@\" >/dev/null 2>&1 &\necho $! >> '{self.at('browsers')}'\n")
        browser.chmod(0o700)

    def sign_in(self, name):
        """With our program, so that both classes find the same."""
        user = self.person(name)
        output = self.keybearer("login", "--browser", "--login-hint", user["upn"], "--scope", STORAGE)
        assert output.status == 0, output

    def never_starts_a_broker(self):
        """The bus knows a service of the name, and that one never takes it."""
        services = self.at("data/dbus-1/services")
        services.mkdir(parents=True, mode=0o700)
        (services / f"{NAME}.service").write_text(f"[D-BUS Service]\nName={NAME}\nExec={SLEEPER}\n")
        bus = ["--dest", "org.freedesktop.DBus", "--object-path", "/org/freedesktop/DBus"]
        output = self.run(["gdbus", "call", "--session", *bus, "--method", "org.freedesktop.DBus.ReloadConfig"])
        assert output.status == 0, output

    def has_no_program(self):
        """Nor can one be started: our program is not installed."""
        self.environment["PATH"] = self.environment["PATH"].replace(f"{PROGRAMS}:", "")

    def fault(self, endpoint, action):
        self.emulator("POST", "faults", {"endpoint": endpoint, "action": action})

    def stop_broker(self):
        self.broker.send_signal(signal.SIGSTOP)

    def observe(self, side, code, limit):
        """What a client did. It is ended after so many seconds without a word."""
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
                said = self.at("case.out").read_text().count("\n")
                if said != lines:
                    lines, begun = said, time.monotonic()
            if status is None:
                # It has not been waited for, so its group is still its own.
                os.killpg(client.pid, signal.SIGKILL)
                client.wait(10)
        lines, complaint = self.at("case.out").read_text().splitlines(), self.at("case.err").read_text()
        return Observed(lines, status, complaint, self.visits())

    def close(self):
        if self.broker:
            self.broker.send_signal(signal.SIGCONT)
        browsers = self.at("browsers")
        for pid in browsers.read_text().split() if browsers.exists() else []:
            if str(self.at("")) in environment_of(pid):
                os.kill(int(pid), signal.SIGTERM)
        super().close()


class Observed:
    def __init__(self, lines, status, complaint, visits):
        """`status` is None if it had to be ended; `visits` is how often a browser was opened so far."""
        self.lines, self.status, self.complaint, self.visits = lines, status, complaint, visits


def environment_of(pid):
    try:
        return pathlib.Path("/proc", pid, "environ").read_text(errors="replace")
    except OSError:
        return ""


STALL = {"stall": {}}
SERVER_ERROR = {"error": {"error": "server_error", "code": 90033, "message": "A transient error has occurred."}}
MFA = {"resource": "https://management.azure.com", "require": "mfa"}

MATTERS = {
    "dev is signed in": lambda world: world.sign_in("dev"),
    "ops is signed in": lambda world: world.sign_in("ops"),
    "the person is dev": lambda world: world.person("dev"),
    "the person is guest": lambda world: world.person("guest"),
    "the person declines": lambda world: world.person("dev", "--deny"),
    "the person walks away": lambda world: world.person("dev", "--abandon"),
    "no broker": lambda world: None,
    "our program is not installed": World.has_no_program,
    "the bus never starts the broker": World.never_starts_a_broker,
    "the broker is stopped": World.stop_broker,
    "the provider's token endpoint stalls": lambda world: world.fault("token", STALL),
    "the provider's metadata stall": lambda world: world.fault("metadata", STALL),
    "the provider's token endpoint fails": lambda world: world.fault("token", SERVER_ERROR),
    "a policy wants a second factor": lambda world: world.emulator("POST", "policies", MFA),
    "the provider throttles": lambda world: world.fault("token", {"status": {"code": 429, "retry_after": 7}}),
    "the provider is two seconds late": lambda world: world.fault("token", {"stall": {"milliseconds": 2000}}),
    "no browser": lambda world: None,
}
# It ends with the bus.
SLEEPER = "/usr/bin/setpriv --pdeathsig TERM /bin/sleep 600"
NO_BROKER = {"no broker", "the bus never starts the broker"}
