"""A test double of a broker, on the socket that a real one serves. The test supplies the replies.

It speaks D-Bus through jeepney, which shares no code with Keybearer.
"""

from __future__ import annotations

import itertools
import json
import socket
import threading
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Callable, Optional

from jeepney import HeaderFields, Message, new_method_return
from jeepney.low_level import Parser

if TYPE_CHECKING:
    from pathlib import Path

Reply = dict[str, Any]
Answer = Callable[[str, Reply], Optional[Reply]]

CALL = 1
HOME_ACCOUNT_ID = "11111111-1111-1111-1111-111111111111.22222222-2222-2222-2222-222222222222"
USERNAME = "dev@contoso.example"


class BrokerDouble:
    """Serves until the test ends. `answer` is called with the method and its request.

    If it returns None, no reply is sent.
    """

    def __init__(self, path: Path, answer: Answer) -> None:
        """Listen on the socket `path`."""
        self.answer = answer
        self.calls: Counter[str] = Counter()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        path.chmod(0o600)
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop listening; open connections stay open."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        parser, serials = Parser(), itertools.count(1)
        parser.add_data(_authenticate(connection))
        while True:
            message = parser.get_next_message()
            if message is not None:
                reply = self._reply(message)
                if reply is not None:
                    with suppress(BrokenPipeError):  # the client may have disconnected
                        connection.sendall(reply.serialise(serial=next(serials)))
                continue
            data = connection.recv(65536)
            if not data:
                return
            parser.add_data(data)

    def _reply(self, call: Message) -> Message | None:
        if call.header.message_type.value != CALL:
            return None
        name = call.header.fields[HeaderFields.member]
        self.calls[name] += 1
        reply = self.answer(name, json.loads(call.body[2]))
        return None if reply is None else new_method_return(call, "s", (json.dumps(reply),))


def _authenticate(connection: socket.socket) -> bytes:
    """Accept any client; return the bytes after the handshake, which start the first message."""
    data = b""
    while True:
        line, end, rest = data.partition(b"\r\n")
        if not end:
            data += connection.recv(4096)
            continue
        data = rest
        command = line.lstrip(b"\0").split(b" ")
        if command[0] == b"BEGIN":
            return data
        if command[0] == b"AUTH" and len(command) < 3:
            connection.sendall(b"DATA\r\n")
        elif command[0] in (b"AUTH", b"DATA"):
            connection.sendall(b"OK 00112233445566778899aabbccddeeff\r\n")
        else:
            connection.sendall(b"ERROR\r\n")


def token(text: str = "the-token", *, seconds: int = 3600, scopes: str = "") -> Reply:
    """Make a reply with a token that expires after this time."""
    uid, utid = HOME_ACCOUNT_ID.split(".")
    now = int(time.time())
    return {
        "brokerTokenResponse": {
            "accessToken": text,
            "accessTokenType": 0,
            "account": {
                "environment": "login.windows.net",
                "homeAccountId": HOME_ACCOUNT_ID,
                "localAccountId": uid,
                "realm": utid,
                "username": USERNAME,
                "givenName": "Dev",
            },
            "expiresOn": (now + seconds) * 1000,
            "extendedExpiresOn": (now + seconds) * 1000,
            "grantedScopes": scopes,
            "idToken": "",
        },
        "telemetry": {
            "keybearer_source": "refresh",
            "keybearer_refresh_on_ms": str((now + seconds // 2) * 1000),
        },
    }


def error(kind: str, **details: str) -> Reply:
    """Make a reply with an error of this kind."""
    diagnostics = {"keybearer_kind": kind, "keybearer_message": f"a case of {kind}"}
    diagnostics.update({f"keybearer_{name}": value for name, value in details.items()})
    found = {"context": "", "diagnostics": diagnostics, "errorCode": 0, "status": 5, "tag": 0}
    return {"brokerTokenResponse": {"error": found}}
