"""Who may use a connection now: as many calls as the pool has connections, interactive ones first.

A call waits here before it asks the limiter, so that a token is used when it is taken: aiohttp's
own queue would hold calls that have paid, in the order of their coming, with their time running.
Over a session of the caller's own it waits once more after the limiter, for a connection that
clients with other keys use too: no key that waits for its limit keeps one from another.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from typing import Final, final
from weakref import WeakKeyDictionary

import aiohttp

from .limiter import Priority

MAX_CONNECTIONS: Final = 110  # of a session of ours; aiohttp's default, and the reserve
RESERVE: Final = 10

_Lane = OrderedDict[asyncio.Future[None], None]  # a cancelled waiter leaves the middle in O(1)


@final
class Slots:
    """Connections of one pool, on one loop. `size`: how many; bulk calls leave `reserve` of them.

    Without a reserve an interactive call would wait until a bulk call that waits for a token, or
    for a slow server, has ended.
    """

    def __init__(self, size: float, reserve: int) -> None:
        self.size = size
        self.reserve = reserve
        self._free = size
        self._free_for_bulk = size - reserve
        self._lanes: dict[Priority, _Lane] = {"interactive": OrderedDict(), "bulk": OrderedDict()}

    def alike(self) -> Slots:
        """Return as many free slots."""
        return Slots(self.size, self.reserve)

    def take(self, priority: Priority) -> bool:
        """Take a slot, or return False where this lane cannot have one now."""
        if self._free < 1 or (priority == "bulk" and self._free_for_bulk < 1):
            return False
        self._free -= 1
        if priority == "bulk":
            self._free_for_bulk -= 1
        return True

    def release(self, priority: Priority) -> None:
        """Give a slot back, and hand it to who is next."""
        self._free += 1
        if priority == "bulk":
            self._free_for_bulk += 1
        for waiting in self._lanes:  # interactive ones first
            self._grant(waiting)

    async def wait(self, priority: Priority, seconds: float) -> None:
        """Wait for a slot, after those that came before in this lane.

        Raises TimeoutError when none came within `seconds`.
        """
        lane = self._lanes[priority]
        waiter = asyncio.get_running_loop().create_future()
        lane[waiter] = None
        try:
            async with asyncio.timeout(None if seconds == math.inf else seconds):
                await waiter
        except (asyncio.CancelledError, TimeoutError):
            if waiter.done() and not waiter.cancelled():
                self.release(priority)  # it was granted in that very moment
            raise
        finally:
            lane.pop(waiter, None)

    def _grant(self, priority: Priority) -> None:
        lane = self._lanes[priority]
        while lane:
            waiter = next(iter(lane))
            if not waiter.done():
                if not self.take(priority):
                    return
                waiter.set_result(None)
            del lane[waiter]


def slots_of(connector: aiohttp.BaseConnector) -> Slots:
    """Return the slots of a connector of the caller's own, which other clients may use too."""
    slots = _of_connectors.get(connector)
    if slots is None:
        bounds = [bound for bound in (connector.limit, connector.limit_per_host) if bound]
        size = min(bounds, default=math.inf)
        reserve = 0 if size == math.inf else int(size) // 10
        slots = _of_connectors[connector] = Slots(size, reserve)
    return slots


_of_connectors: WeakKeyDictionary[aiohttp.BaseConnector, Slots] = WeakKeyDictionary()
