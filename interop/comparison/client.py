"""Runs one case with one of the two classes: `client.py official|keybearer CODE`.

Prints a line of JSON when a step begins and one with its result. Tokens are not printed, only their claims.
"""

import asyncio
import base64
import importlib
import json
import logging
import os
import signal
import sys
import tempfile
import threading
import time

import msal

PACKAGES = {"official": "azure.identity.broker", "keybearer": "keybearer"}
# Where AuthenticationRecord and the exceptions of each class are.
IDENTITIES = {"official": "azure.identity", "keybearer": "keybearer"}

SIDE = sys.argv[1]
package = importlib.import_module(PACKAGES[SIDE])
identity = importlib.import_module(IDENTITIES[SIDE])

WINDOW = msal.PublicClientApplication.CONSOLE_WINDOW_HANDLE
STORAGE = "https://storage.azure.com/.default"
ARM = "https://management.azure.com/.default"
CHALLENGE = '{"access_token":{"acrs":{"essential":true,"value":"c1"}}}'
CONTOSO = "6d8f2c1e-3b64-4f0a-9c57-1f2e8a7b9d01"
FABRIKAM = "a1b5e7d3-92c4-4c6d-8f10-5e3d7c9b2f02"
SAMPLE_APP = "c0ffee00-1111-4222-8333-444455556666"
APP_WITHOUT_LOOPBACK = "c0ffee00-1111-4222-8333-777788889999"
DEFAULT_APP = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
SIGNED_REQUEST = {"resource_request_method": "GET", "resource_request_url": "https://example.com/a", "nonce": "n"}
RECORD_OF_DEV = json.dumps({
    "authority": "login.microsoftonline.com",
    "clientId": DEFAULT_APP,
    "homeAccountId": f"11111111-aaaa-4bbb-8ccc-000000000001.{CONTOSO}",
    "tenantId": CONTOSO,
    "username": "dev@contoso.example",
    "version": "1.0",
})


def credential(**keywords):
    """Make a credential with the console's window handle, without which the official class uses no broker."""
    return package.InteractiveBrowserBrokerCredential(**{"parent_window_handle": WINDOW, **keywords})


def credential_for_asyncio(**keywords):
    module = importlib.import_module(f"{PACKAGES[SIDE]}.aio")
    return module.InteractiveBrowserBrokerCredential(**{"parent_window_handle": WINDOW, **keywords})


def step(call, *arguments, **keywords):
    """Make the call and print its result and how many browsers were opened meanwhile."""
    report(begin=True)
    visits, begun = visited(), time.monotonic()
    value = None
    try:
        value = call(*arguments, **keywords)
        if asyncio.iscoroutine(value):
            value = asyncio.run(value)
        result = described(value)
    except (Exception, KeyboardInterrupt) as error:
        result = described_error(error)
    report(step=result, seconds=time.monotonic() - begun, asked=visited() - visits)
    return value


def fact(text):
    """Print something that the code of the case found out."""
    report(fact=text)


def interrupt_soon():
    """Send this process SIGINT, as Ctrl-C does, in a second."""
    threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()


def kill_broker_soon():
    """Kill the broker in a second."""
    threading.Timer(1, os.kill, (int(os.environ["TEST_BROKER"]), signal.SIGKILL)).start()


def in_threads(count, call):
    """Make the call in `count` threads at the same time and print how many got a token."""
    barrier, results = threading.Barrier(count), []

    def work():
        barrier.wait()
        try:
            results.append(described(call()).removeprefix("the same "))
        except Exception as error:
            results.append(described_error(error))

    def run():
        threads = [threading.Thread(target=work) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return Summary(results)

    step(run)


def others_run_during(call):
    """Print whether another thread runs while this one waits for the call."""
    ticks, done = [], threading.Event()

    def tick():
        while not done.wait(0.01):
            ticks.append(time.monotonic())

    thread = threading.Thread(target=tick)
    thread.start()
    begun = time.monotonic()
    step(call)
    seconds = time.monotonic() - begun
    done.set()
    thread.join()
    # An idle machine reaches 100 ticks a second; a busy one may reach few.
    fact("another thread ran" if len(ticks) > 5 * seconds else "no other thread ran")


def in_child(call):
    """Make the call in a forked child and wait for the child."""
    child = os.fork()
    if child == 0:
        step(call)
        sys.stdout.flush()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        fact(f"the child ended by {signal.Signals(os.WTERMSIG(status)).name}")


class CapturedLog:
    """Captures standard error and Python's logging at DEBUG while the block runs."""

    def __enter__(self):
        self._file = tempfile.TemporaryFile("w+")
        self._before = os.dup(2)
        os.dup2(self._file.fileno(), 2)
        self._handler = logging.StreamHandler(sys.stderr)
        logging.getLogger().addHandler(self._handler)
        logging.getLogger().setLevel(logging.DEBUG)
        return self

    def __exit__(self, *_):
        logging.getLogger().removeHandler(self._handler)
        os.dup2(self._before, 2)
        self._file.seek(0)
        self.text = self._file.read()


class Summary(list):
    """The results of several callers."""


def described_error(error):
    return f"{type(error).__name__}: {error}".strip(": ")


def described(value):
    if isinstance(value, Summary):
        return ", ".join(f"{value.count(kind)} × {kind}" for kind in sorted(set(value)))
    if hasattr(value, "token"):
        return described_token(value.token)
    if hasattr(value, "home_account_id"):
        return f"record of {short(value.username)}"
    return "nothing raised"


seen = set()


def described_token(token):
    noun = "the same token" if token in seen else "token"
    seen.add(token)
    claims = claims_of(token)
    if "at" in claims:  # A signed HTTP request contains the token.
        noun, claims = "signed request", claims_of(claims["at"])
    words = [f"{noun} of {short(claims.get('upn') or claims.get('preferred_username', ''))}"]
    if claims.get("tid") != CONTOSO:
        words.append("of the other tenant")
    if claims.get("appid", claims.get("azp")) != DEFAULT_APP:
        words.append("for the other app")
    if claims.get("acrs"):
        words.append(f"with {' '.join(claims['acrs'])}")
    if claims.get("xms_cc"):
        words.append(f"with {' '.join(claims['xms_cc']).lower()}")
    return " ".join(words)


def short(name):
    return name.split("@")[0]


def claims_of(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def visited():
    """How many times a browser was opened on this machine."""
    try:
        with open(os.environ["TEST_VISITS"]) as visits:
            return visits.read().count("\n")
    except FileNotFoundError:
        return 0


def report(**values):
    print(json.dumps(values), flush=True)


if __name__ == "__main__":
    exec(compile(sys.argv[2], "case", "exec"), globals())
