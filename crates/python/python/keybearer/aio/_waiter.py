"""Waits for requests in an event loop, without threads and with one socket for all tasks."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from keybearer import _native

if TYPE_CHECKING:
    from keybearer._native import Request


class Waiter:
    """Waits for the requests of all tasks of one event loop.

    One task listens on the socket on behalf of all of them and wakes those whose requests have
    finished. When it leaves, finished or cancelled, it wakes another task, which listens next. Only
    the tasks keep this object alive, so it is gone after the last of them, even if the loop was
    closed or dropped before they finished.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Make a waiter without tasks."""
        # The reference keeps the id of the loop from being reused, which is the key in `_waiters`.
        self._loop = loop
        self._socket = _native.CompletionSocket()
        self._has_listener = False
        self._wake_ups: dict[int, asyncio.Future[None]] = {}

    @staticmethod
    def of_running_loop() -> Waiter:
        """Return the waiter of the running event loop."""
        loop = asyncio.get_running_loop()
        waiter = _waiters.get(id(loop))
        if waiter is None:
            waiter = _waiters[id(loop)] = Waiter(loop)
        return waiter

    async def wait(self, request: Request) -> Any:
        """Start the request and return its result. Cancelling the task cancels the request."""
        request.start(self._socket)
        try:
            while (result := request.result()) is None:
                if self._has_listener:
                    await self._sleep(request)
                else:
                    await self._listen(request)
            return result
        finally:
            request.cancel()
            if self._wake_ups and not self._has_listener:
                self._wake(next(iter(self._wake_ups)))

    async def _listen(self, request: Request) -> None:
        """Wait until any request has finished and wake the tasks of all that have."""
        self._has_listener = True
        try:
            with socket.socket(fileno=request.listen(self._socket)) as completion:
                completion.setblocking(False)
                await self._loop.sock_recv(completion, 1)
        finally:
            self._has_listener = False
            for number in self._socket.take_finished():
                self._wake(number)

    async def _sleep(self, request: Request) -> None:
        """Wait until the listening task wakes this one."""
        wake_up = self._wake_ups[id(request)] = self._loop.create_future()
        try:
            await wake_up
        finally:
            self._wake_ups.pop(id(request), None)

    def _wake(self, number: int) -> None:
        """Wake the task of this request: it either has its result or listens next."""
        wake_up = self._wake_ups.pop(number, None)
        if wake_up and not wake_up.done() and not self._loop.is_closed():
            wake_up.set_result(None)


_waiters: WeakValueDictionary[int, Waiter] = WeakValueDictionary()
