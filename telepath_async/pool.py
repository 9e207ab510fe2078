"""`Pool`: the aiohttp session of a client and its relatives, its loop, the calls under way."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator
from typing import Any
from weakref import WeakSet

import aiohttp

from . import transport
from .errors import ClientClosedError, UsageError
from .slots import MAX_CONNECTIONS, RESERVE, Slots, slots_of


class Pool:
    """What all clients of a family share: the aiohttp session and its loop, and the calls that are
    under way.

    The session opens at the first call.
    """

    def __init__(self, session: aiohttp.ClientSession | None) -> None:
        self._http = None if session is None else transport.Http(session)
        self.slots = _slots_for(session)
        self._left: aiohttp.ClientSession | None = None
        self._theirs = session is not None
        self._holder: AsyncGenerator[aiohttp.ClientSession] | None = None
        self._loop = None if session is None else transport.loop_of(session)
        self._process = os.getpid()
        self._calling: set[asyncio.Task[Any]] = set()
        self._cut: WeakSet[asyncio.Task[Any]] = WeakSet()
        self.closed = False

    def enter(self) -> asyncio.Task[Any]:
        """Note that the current task makes a call, and return it.

        Raises ClientClosedError, or UsageError on a second loop.
        """
        if self.closed:
            raise ClientClosedError(
                "this client is closed; open a new one, or keep its `async with` block open longer"
            )
        loop = running_loop()
        if self._loop is not loop or self._process != os.getpid():
            self._move_to(loop)
        task = asyncio.current_task()
        if task is None:
            raise UsageError(
                "a call must be awaited inside a task; use asyncio.run(...) or your framework's "
                "handlers"
            )
        self._calling.add(task)
        return task

    def leave(self, task: asyncio.Task[Any]) -> None:
        """The task's call is over."""
        self._calling.discard(task)

    def has_cut(self, task: asyncio.Task[Any], cancelled_before: int) -> bool:
        """Whether a cancellation came from `aclose` alone; the caller's own always wins."""
        if task not in self._cut:
            return False
        self._cut.discard(task)
        return task.uncancel() <= cancelled_before

    def _move_to(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is not None and (self._theirs or not self._loop.is_closed()):
            # In a forked child, the parent's loop and its connections look as if they were the
            # child's own.
            raise UsageError(
                "this client (or the session passed in) belongs to another event loop; make one "
                "for each loop, and in a child "
                "that was forked while it was in use"
            )
        self._left = self._http.session if self._http else self._left
        self._http, self._loop, self._process = None, loop, os.getpid()
        self.slots = _slots_for(None)
        self._calling.clear()

    @property
    def http(self) -> transport.Http | None:
        """The session, if it is open."""
        return None if self._http is None or self._http.session.closed else self._http

    async def open(self) -> transport.Http:
        """Open a session and return it.

        Raises ClientClosedError, or UsageError when the caller's own is closed.
        """
        if self.closed:
            raise ClientClosedError("this client was closed while a call was under way")
        if self._theirs:
            raise UsageError(
                "the aiohttp session that was passed in is closed; keep it open as long as the "
                "client is used"
            )
        self._holder = transport.hold_open()
        self._http = http = transport.Http(await anext(self._holder))
        await self._let_go()
        return http

    async def _let_go(self) -> None:
        """Abandon the session of a loop that is gone."""
        left, self._left = self._left, None
        if left is not None and not left.closed:
            await transport.abandon(left)

    async def aclose(self) -> None:
        """Cut off the calls under way and close the session, unless it is the caller's.

        Raises UsageError on a second loop.
        """
        loop = running_loop()
        if self._theirs and self._loop is not None and self._loop.is_closed():
            self._calling.clear()
        elif self._loop is not None and (self._loop is not loop or self._process != os.getpid()):
            self._move_to(loop)
        await self._let_go()
        self.closed = True
        for task in self._calling.difference(self._cut):
            self._cut.add(task)
            task.cancel()
        http, self._http = self._http, None
        if http is None or self._holder is None:
            return
        # A loop that shuts down closes the holder too, and a generator cannot be closed twice at
        # the same time.
        await http.session.close()
        with contextlib.suppress(RuntimeError):
            await self._holder.aclose()


def running_loop() -> asyncio.AbstractEventLoop:
    """Return the running loop. Raises UsageError where there is none: under trio, say."""
    with contextlib.suppress(RuntimeError):
        return asyncio.get_running_loop()
    raise UsageError(
        "no asyncio loop is running here, and this client needs one: use asyncio.run(...), and "
        "under trio a thread of its own, or trio-asyncio"
    )


def _slots_for(session: aiohttp.ClientSession | None) -> Slots:
    if session is None or session.connector is None:
        return Slots(MAX_CONNECTIONS, RESERVE)
    return slots_of(session.connector)
