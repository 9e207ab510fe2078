"""Callers that wait for a permit: the lanes they stand in, and the timer of each loop.

Everything here is used under the lock of the limiter that they wait for.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, final

NEVER: Final = math.inf

# Loops count in milliseconds: a shorter timer would spin, and wake fewer at a time.
_MIN_DELAY: Final = 0.001


@final
class LoopWaiters:
    """The waiters of one loop: its timer, and those that were granted a permit and not woken yet.

    Every loop has its own timer, and whichever fires serves all: a blocked or dead loop never holds
    up the others.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.waiting = 0
        self.granted: list[Waiter] = []
        self.timer: asyncio.TimerHandle | None = None
        self.due = NEVER

    def wake(self) -> None:
        for waiter in self.granted:
            if not waiter.future.done():  # cancelled since; its task gives the permit back
                waiter.future.set_result(waiter.granted_at)
        self.granted.clear()

    def arm(self, due: float, delay: float, on_timer: Callable[[LoopWaiters], None]) -> None:
        """Come back in `delay` seconds, unless a timer fires before `due` or nobody waits."""
        if not self.waiting:
            self.disarm()
        elif due < self.due:
            self.disarm()
            self.due = due
            self.timer = self.loop.call_later(max(delay, _MIN_DELAY), on_timer, self)

    def disarm(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        self.timer = None
        self.due = NEVER


@final
class Waiter:
    """A caller in its lane; `ahead`: how many stood before it when it came."""

    __slots__ = ("ahead", "future", "granted_at", "group", "lane")

    def __init__(self, group: LoopWaiters, lane: Lane, ahead: int) -> None:
        self.future: asyncio.Future[float] = group.loop.create_future()
        self.granted_at = NEVER
        self.group = group
        self.lane = lane
        self.ahead = ahead


Lane = OrderedDict[Waiter, None]  # a cancelled waiter leaves from the middle in O(1)
