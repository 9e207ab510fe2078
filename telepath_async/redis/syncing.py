"""The one task that exchanges requests and replies with Redis, for as long as there is a reason."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable
from typing import final

from .member import Member
from .queue import Queue
from .server import OUTAGE, REFUSAL, Server


@final
class SyncTask:
    """Sends a request whenever one is due, and calls `on_synced` after each.

    `key`: of the bucket in Redis; `error`: the class of the latest failure; `task`: the one that
    runs or has ended, or None.
    """

    def __init__(
        self,
        server: Server,
        member: Member,
        queue: Queue,
        *,
        clock: Callable[[], float],
        on_synced: Callable[[], None],
    ) -> None:
        self.server = server
        self.key = ""
        self.error = ""
        self.task: asyncio.Task[None] | None = None
        self._member = member
        self._queue = queue
        self._clock = clock
        self._on_synced = on_synced
        self._wake = asyncio.Event()
        self._sleeps_until = -math.inf

    def schedule(self, now: float) -> None:
        """Make sure that the next request is sent in time, for those who wait and for what is left
        in hand.
        """
        if self.task is None or self.task.done():
            loop = asyncio.get_running_loop()
            self.task = loop.create_task(self._run(), name="telepath RedisLimiter")
        elif self._due(now) < self._sleeps_until:
            self._wake.set()

    def _due(self, now: float) -> float:
        return self._member.due(now, self._queue.count("interactive"), self._queue.count("bulk"))

    async def _run(self) -> None:
        while (due := self._due(self._clock())) < math.inf:
            delay = due - self._clock()
            if delay > 0:
                self._sleeps_until = due
                self._wake.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(delay):
                        await self._wake.wait()
                self._sleeps_until = -math.inf
                if self._due(self._clock()) > self._clock():
                    continue
            await self._sync()
            self._on_synced()

    async def _sync(self, *, leaving: bool = False) -> None:
        """Send one request, and apply the reply or the lack of one."""
        member, link, task = self._member, self._member.link, asyncio.current_task()
        assert task is not None
        cancelled_before = task.cancelling()
        try:
            if link.needs_time(self._clock()):
                link.probe(self._clock())
                server_time = await self.server.time()
                link.note_time(server_time, self._clock())
            request = member.request(
                self._clock(),
                self._queue.count("interactive"),
                self._queue.count("bulk"),
                leaving=leaving,
            )
            reply = await self.server.sync(self.key, request)
        except OUTAGE as error:
            self.error = type(error).__name__  # its text may hold the URL
            member.fail(refused=isinstance(error, REFUSAL))
            await self.server.disconnect()
            if task.cancelling() > cancelled_before:
                # redis-py can turn a cancellation, while it connects, into an error of its own.
                raise asyncio.CancelledError from None
        else:
            member.apply(reply, self._clock())

    async def aclose(self) -> None:
        """Stop, return to Redis what it has lent, and disconnect."""
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait([self.task])
        try:
            if self._member.link.registered:
                await self._sync(leaving=True)
        finally:
            await self.server.aclose()
