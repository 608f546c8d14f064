"""An HTTP proxy that connects Azure's host names to the emulator and refuses all others."""

import asyncio
import threading


class Proxy:
    """Supports CONNECT only (RFC 9110 §9.3.6). TLS is between the client and the emulator."""

    def __init__(self, ports):
        """Listen on a free port; `ports` is the entry of the emulator's `ready.json`."""
        self.ports = ports
        self.refused = []
        self._loop = asyncio.new_event_loop()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._listening.wait(10)

    @property
    def url(self):
        return f"http://127.0.0.1:{self._port}"

    def close(self):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self):
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self._port = server.sockets[0].getsockname()[1]
        self._listening.set()
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        server.close()
        self._loop.close()

    def _port_of(self, authority):
        if authority in ("login.microsoftonline.com:443", "management.azure.com:443"):
            return self.ports["authority"]
        if authority.endswith(".blob.core.windows.net:443"):
            return self.ports["blob"]
        return None

    async def _serve(self, reader, writer):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            method, authority, *_ = head.decode("latin-1").split(" ")
            port = self._port_of(authority) if method == "CONNECT" else None
            if port is None:
                self.refused.append(f"{method} {authority}")
                writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                return
            upstream = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            await asyncio.gather(_copy(reader, upstream[1]), _copy(upstream[0], writer))
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


async def _copy(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
