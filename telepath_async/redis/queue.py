"""The callers that wait for a token on one loop: interactive before bulk, first in, first out."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import final

from telepath_async.checks import Priority


@final
class Waiter:
    """A caller that waits; `taken_at`: when a token was taken for it."""

    __slots__ = ("future", "priority", "taken_at")

    def __init__(self, priority: Priority) -> None:
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.priority: Priority = priority
        self.taken_at: float | None = None


@final
class Queue:
    """The two lanes; a cancelled waiter leaves from the middle in O(1)."""

    def __init__(self) -> None:
        self._lanes: dict[Priority, OrderedDict[Waiter, None]] = {
            "interactive": OrderedDict(),
            "bulk": OrderedDict(),
        }

    def __len__(self) -> int:
        return self.count("interactive") + self.count("bulk")

    def count(self, priority: Priority) -> int:
        """Return how many wait in a lane."""
        return len(self._lanes[priority])

    def ahead(self, priority: Priority) -> int:
        """Return how many go before a caller that comes now."""
        return len(self) if priority == "bulk" else self.count("interactive")

    def join(self, priority: Priority) -> Waiter:
        """Go to the end of a lane."""
        waiter = Waiter(priority)
        self._lanes[priority][waiter] = None
        return waiter

    def first(self) -> Waiter | None:
        """Return the next waiter, or None."""
        lane = self._lanes["interactive"] or self._lanes["bulk"]
        return next(iter(lane), None)

    def leave(self, waiter: Waiter) -> None:
        """Leave, or do nothing where it has left."""
        self._lanes[waiter.priority].pop(waiter, None)
