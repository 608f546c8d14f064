"""Waiting in an event loop without a thread, with one pair of sockets for all that wait."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from keybearer import _native

if TYPE_CHECKING:
    from keybearer._native import Request


class Lookout:
    """The tasks of one event loop that wait. One of them looks out for all.

    Whoever leaves, done or cancelled, lets another look out. Only the tasks hold on to this: it
    goes with the last of them, also where a loop is closed or forgotten under its tasks.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin without tasks."""
        # As long as this lives, no other loop gets the id.
        self._loop = loop
        self._completions = _native.CompletionSocket()
        self._is_manned = False
        self._waiting: dict[int, asyncio.Future[None]] = {}

    @staticmethod
    def of_this_loop() -> Lookout:
        """Return the one of the running event loop."""
        loop = asyncio.get_running_loop()
        lookout = _lookouts.get(id(loop))
        if lookout is None:
            lookout = _lookouts[id(loop)] = Lookout(loop)
        return lookout

    async def wait(self, request: Request) -> Any:
        """Begin the request and wait for its result; a cancelled task takes it along."""
        request.start(self._completions)
        try:
            while (result := request.result()) is None:
                if self._is_manned:
                    await self._until_told(request)
                else:
                    await self._look_out(request)
            return result
        finally:
            request.cancel()
            if self._waiting and not self._is_manned:
                self._tell(next(iter(self._waiting)))

    async def _look_out(self, request: Request) -> None:
        self._is_manned = True
        try:
            with socket.socket(fileno=request.listen(self._completions)) as rings:
                rings.setblocking(False)
                await self._loop.sock_recv(rings, 1)
        finally:
            self._is_manned = False
            for number in self._completions.rung():
                self._tell(number)

    async def _until_told(self, request: Request) -> None:
        told = self._waiting[id(request)] = self._loop.create_future()
        try:
            await told
        finally:
            self._waiting.pop(id(request), None)

    def _tell(self, number: int) -> None:
        """Have that one see whether it is done, or look out from now on."""
        told = self._waiting.pop(number, None)
        if told and not told.done() and not self._loop.is_closed():
            told.set_result(None)


_lookouts: WeakValueDictionary[int, Lookout] = WeakValueDictionary()
