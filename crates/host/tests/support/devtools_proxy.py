"""Relays DevTools messages between a program and its Chromium, so that a test can act as the person.

Messages of the program pass through. The test sends its own over the socket $DEVTOOLS_SOCKET, one
JSON object per line: `page` is the index of an open page, `close` closes that page. With $ALONE
there is no program.
"""

import contextlib
import itertools
import json
import os
import socket
import subprocess
import sys
import threading

OURS = 1_000_000_000
LAUNCH = 'exec "$0" "$@" 3<&0 4>&1 0</dev/null 1>/dev/null'

arguments = [os.environ["CHROMIUM"], "--disable-gpu", "--ignore-certificate-errors"]
# Root and many containers have no sandbox to offer. All pages here are our own.
arguments.append("--no-sandbox")
if "HEADLESS" in os.environ:
    arguments.append("--headless=new")
listener = socket.socket(socket.AF_UNIX)
with contextlib.suppress(FileNotFoundError):  # Left by one that was killed.
    os.unlink(os.environ["DEVTOOLS_SOCKET"])
listener.bind(os.environ["DEVTOOLS_SOCKET"])
listener.listen(1)
browser = subprocess.Popen(
    ["/bin/sh", "-c", LAUNCH, *arguments, *sys.argv[1:]],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    stderr=subprocess.DEVNULL,
)
writing = threading.Lock()
pages: list[dict] = []
waiting: dict[int, tuple[socket.socket, int]] = {}
ids = itertools.count(OURS)


def to_browser(message: bytes) -> None:
    with writing:
        browser.stdin.write(message + b"\0")
        browser.stdin.flush()


def frames(descriptor: int):
    rest = b""
    while data := os.read(descriptor, 1 << 16):
        *whole, rest = (rest + data).split(b"\0")
        yield from whole


def program() -> None:
    for message in frames(3):
        to_browser(message)
    browser.stdin.close()


def person(connection: socket.socket) -> None:
    for line in connection.makefile():
        message = json.loads(line)
        page, own = message.pop("page", None), message.pop("id")
        number = next(ids)
        try:
            if message.pop("close", False):
                message |= {"method": "Target.closeTarget"}
                message |= {"params": {"targetId": pages[page]["targetInfo"]["targetId"]}}
            elif page is not None:
                message["sessionId"] = pages[page]["sessionId"]
        except IndexError:
            connection.sendall(json.dumps({"id": own}).encode() + b"\n")
            continue
        waiting[number] = connection, own
        to_browser(json.dumps(message | {"id": number}).encode())


def accept() -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=person, args=[connection], daemon=True).start()


threading.Thread(target=program, daemon=True).start()
threading.Thread(target=accept, daemon=True).start()
for frame in frames(browser.stdout.fileno()):
    event = json.loads(frame)
    if event.get("id", 0) >= OURS:
        connection, own = waiting.pop(event["id"])
        with contextlib.suppress(OSError):  # The test may have disconnected.
            connection.sendall(json.dumps(event | {"id": own}).encode() + b"\n")
        continue
    params = event.get("params", {})
    if event.get("method") == "Target.attachedToTarget":
        if params["targetInfo"]["type"] == "page":
            pages.append(params)
        if "ALONE" in os.environ:
            release = {"id": 0, "method": "Runtime.runIfWaitingForDebugger"}
            to_browser(json.dumps(release | {"sessionId": params["sessionId"]}).encode())
    elif event.get("method") == "Target.detachedFromTarget":
        pages[:] = [page for page in pages if page["sessionId"] != params["sessionId"]]
    try:
        os.write(4, frame + b"\0")
    except BrokenPipeError:
        break
os.unlink(os.environ["DEVTOOLS_SOCKET"])
os._exit(browser.wait())
