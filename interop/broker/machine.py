"""A developer's machine for one test: private directories, a session bus, the emulator and a browser.

Every Azure host name leads to the emulator, so clients run with their default settings.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

import requests

from proxy import Proxy

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
PROGRAMS = pathlib.Path(os.environ.get("KEYBEARER_PROGRAMS", ROOT / "target/debug"))

NAME = "com.microsoft.identity.broker1"
PATH = "/com/microsoft/identity/broker1"
INTERFACE = "com.microsoft.identity.Broker1"

# A JWT, a password of the fixture, or a refresh token or code that the emulator generated.
SECRET = re.compile(r"eyJ[\w-]{20}|Passw0rd|\b1\.[\w-]{40}|\bD[\w-]{43}\b")
REFRESH_TOKEN = re.compile(r"\b1\.[\w-]{40}")

# Seconds. Far more than any step needs; only a failing test waits this long.
TEST_LIMIT = 60


class Machine:
    """Everything is started by the constructor, except the broker and the keyring."""

    def __init__(self):
        self._directory = tempfile.mkdtemp(prefix="keybearer-interop-")
        self._running = []
        self.environment = {
            "LANG": "C.UTF-8",
            "PATH": f"{PROGRAMS}:/usr/local/bin:/usr/bin:/bin",
            "HOME": self._private("home"),
            # The private bus must not activate services of the real machine.
            "XDG_DATA_DIRS": self._private("data-dirs"),
        }
        for name in ("cache", "config", "data", "runtime", "state"):
            suffix = "DIR" if name == "runtime" else "HOME"
            self.environment[f"XDG_{name.upper()}_{suffix}"] = self._private(name)
        self.proxy = None
        self._start_emulator()
        self._install_browser()
        self.person()
        # Last: services that the bus starts inherit the environment of the bus.
        self._start_bus()

    def at(self, name):
        return pathlib.Path(self._directory, name)

    # Processes.

    def start(self, name, command, stdin=None):
        """Start a server. Its output goes to files, because its children could keep a pipe open."""
        with self.at(f"{name}.out").open("w") as out, self.at(f"{name}.log").open("w") as log:
            process = subprocess.Popen(
                command, env=self.environment, stdin=stdin or subprocess.DEVNULL, stdout=out,
                stderr=log, start_new_session=True,
            )
        self._running.append(process)
        return process

    def run(self, command, timeout=TEST_LIMIT, **variables):
        """Run a client and wait until it exits."""
        with self.at("client.out").open("w+") as out, self.at("client.err").open("w+") as err:
            status = subprocess.run(
                [str(word) for word in command], env={**self.environment, **variables},
                stdin=subprocess.DEVNULL, stdout=out, stderr=err, timeout=timeout, check=False,
            ).returncode
            out.seek(0)
            err.seek(0)
            return Output(status, out.read(), err.read())

    def python(self, program, *arguments, **variables):
        return self.run([sys.executable, HERE / program, *arguments], **variables)

    def msal(self, *steps, **variables):
        """Run these steps with MSAL Python and Microsoft's runtime in one process; return the results."""
        output = self.python("msal_client.py", json.dumps(steps), **variables)
        assert output.status == 0, output
        return json.loads(output.stdout)

    def keybearer(self, *arguments):
        return self.run([PROGRAMS / "keybearer", *arguments])

    def start_broker(self):
        broker = self.start("broker", [PROGRAMS / "keybearer", "broker", "run"])
        self.wait_for("the broker", lambda: "ready " in self.output_of("broker"))
        self.wait_for("the broker's name", lambda: self.status()["bus"]["state"] == "owned")
        return broker

    def status(self):
        """The output of `keybearer broker status`, or None if no broker runs."""
        output = self.keybearer("broker", "status", "--output", "json")
        return json.loads(output.stdout) if output.status == 0 else None

    def output_of(self, name):
        """What a server has written to standard output so far."""
        return self.at(f"{name}.out").read_text()

    def wait_for(self, what, condition):
        deadline = time.monotonic() + TEST_LIMIT
        while True:
            if answer := condition():
                return answer
            assert time.monotonic() < deadline, f"timed out waiting for {what}"
            time.sleep(0.02)

    # The person, and the requests that reached the emulator.

    def person(self, name="dev", *flags):
        """Choose the person at the browser from now on. `flags` are options of `xtask browse`."""
        [user] = [user for user in self.ready["users"] if user["upn"].startswith(f"{name}@")]
        self.at("person").write_text(
            f"export KEYBEARER_BROWSE_USER={user['upn']}\n"
            f"export KEYBEARER_BROWSE_PASSWORD='{user['password']}'\n"
            f"FLAGS='{' '.join(flags)}'\n"
        )
        return user

    def visits(self):
        """How many times a browser was opened."""
        visits = self.at("visits")
        return visits.read_text().count("\n") if visits.exists() else 0

    def emulator(self, method, what, body=None):
        url = f"https://localhost:{self.ready['ports']['authority']}/emulator/{what}"
        with requests.Session() as session:
            # Connect directly, not through the proxy of the environment.
            session.trust_env = False
            reply = session.request(method, url, json=body, verify=self.ready["ca"], timeout=TEST_LIMIT)
        reply.raise_for_status()
        return reply.text

    def grants(self, kind):
        """The token requests with this grant that the emulator received."""
        requests = json.loads(self.emulator("GET", "requests"))
        return [request for request in requests if request["grant"] == kind]

    # Setup and cleanup.

    def _private(self, name):
        path = self.at(name)
        path.mkdir(mode=0o700)
        return str(path)

    def _start_emulator(self):
        directory = self._private("emulator")
        command = [PROGRAMS / "keybearer-emulator", "serve", "--as-azure", "--dir", directory]
        self.start("emulator", [*command, "--exit-with-parent"])
        ready = pathlib.Path(directory, "ready.json")
        self.wait_for("the emulator", ready.exists)
        self.ready = json.loads(ready.read_text())
        self.proxy = Proxy(self.ready["ports"])
        self.environment.update(
            HTTPS_PROXY=self.proxy.url,
            NO_PROXY="localhost,127.0.0.1",
            SSL_CERT_FILE=self.ready["ca"],
            REQUESTS_CA_BUNDLE=self.ready["ca"],
            # No secret may be logged at any level.
            KEYBEARER_LOG="trace",
        )

    def _start_bus(self):
        socket = self.at("runtime/bus")
        address = f"unix:path={socket}"
        self.start("bus", ["dbus-daemon", "--session", "--nofork", "--nopidfile", f"--address={address}"])
        self.wait_for("the session bus", socket.exists)
        self.environment["DBUS_SESSION_BUS_ADDRESS"] = address

    def start_keyring(self):
        """Start an unlocked Secret Service, where Microsoft's runtime keeps its accounts."""
        command = ["gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets"]
        keyring = self.start("keyring", command, stdin=subprocess.PIPE)
        keyring.stdin.write(b"keyring password")
        keyring.stdin.close()
        waited = self.run(["gdbus", "wait", "--session", "--timeout", str(TEST_LIMIT), "org.freedesktop.secrets"])
        assert waited.status == 0, waited

    def _install_browser(self):
        browser = self.at("browser")
        browser.write_text(
            "#!/bin/sh\n"
            f"echo visit >> '{self.at('visits')}'\n"
            f". '{self.at('person')}'\n"
            f"exec '{PROGRAMS}/xtask' browse $FLAGS \"$1\" 2>> '{self.at('browser.log')}'\n"
        )
        browser.chmod(0o700)
        self.environment["BROWSER"] = str(browser)

    def show(self, text):
        """Print a log for the report of a failed test."""
        print(text)

    def close(self):
        if self.at("runtime/keybearer/broker.sock").exists():
            self.keybearer("broker", "stop")
        while self._running:
            process = self._running.pop()
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
        if self.proxy:
            self.proxy.close()
        for log in sorted(self.at("").rglob("*.log")):
            text = log.read_text(errors="replace")
            self.show(f"--- {log.name}\n{text[-3000:]}")
            assert not SECRET.search(text), f"invariant I5: a secret is in {log.name}"
        shutil.rmtree(self._directory)


class Output:
    def __init__(self, status, stdout, stderr):
        self.status, self.stdout, self.stderr = status, stdout, stderr

    def __repr__(self):
        return f"exit {self.status}\n{self.stdout}\n{self.stderr}"
