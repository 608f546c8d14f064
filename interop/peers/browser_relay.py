"""Passes the URL that $BROWSER is started with to the process of the tests."""

import socket
import sys
import threading

import peer_names

SCRIPT = """#!{python} -ISE
import socket, sys
with socket.socket(socket.AF_UNIX) as tests:
    tests.connect({path!r})
    tests.sendall(sys.argv[1].encode())
    tests.shutdown(socket.SHUT_WR)
    sys.exit(tests.recv(1) != b"1")
"""


class BrowserRelay:
    """A program for $BROWSER, which fails if the test's own browser function fails."""

    def __init__(self, directory):
        path = directory / "browser-relay.sock"
        self.program = directory / "browser-relay"
        self.program.write_text(SCRIPT.format(python=sys.executable, path=str(path)))
        self.program.chmod(0o700)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            connection, _ = self._listener.accept()
            with connection, connection.makefile() as url:
                try:
                    is_open = peer_names._open_browser(url.read())
                except Exception:  # some tests patch in a function that raises: no browser opened
                    is_open = False
                connection.sendall(b"1" if is_open else b"0")
