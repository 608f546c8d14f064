"""The way from $BROWSER back into the tests' process."""

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


class Browser:
    """A program for $BROWSER, which fails when the browser of the test does."""

    def __init__(self, directory):
        path = directory / "seam.sock"
        self.program = directory / "seam"
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
                except Exception:  # a browser that raises, as the tests' do, has not opened
                    is_open = False
                connection.sendall(b"1" if is_open else b"0")
