"""Rows in the order of their time, or of their names, and slices of them.

A row's key is `seconds << 32 | serial`: unique, sorted by time, small enough for an `array("Q")`,
and all that a cursor needs.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from math import ceil, floor
from typing import Any, Literal

import attrs

Order = Literal["newest", "oldest", "name"]
ORDERS: tuple[Order, ...] = ("newest", "oldest", "name")

_SERIAL_BITS = 32
_SERIAL_MASK = (1 << _SERIAL_BITS) - 1
_LAST_SECOND = 2**32 - 1


def row_key(seconds: float, serial: int) -> int:
    """Return the key of a row. Raises ValueError outside the years 1970 to 2106."""
    if not 0 <= seconds <= _LAST_SECOND:
        raise ValueError("a sandbox's rows lie between 1970 and 2106")
    return floor(seconds) << _SERIAL_BITS | serial


def serial_of(key: int) -> int:
    """Return the serial number inside a row's key."""
    return key & _SERIAL_MASK


@attrs.frozen
class Selection:
    """The rows `keys[low:high]` of an ascending sequence, read backwards: the newest first.

    `rank`: what they ascend by; None: by themselves, and so by time.
    """

    keys: Sequence[int]
    low: int
    high: int
    newest_first: bool = True
    rank: Callable[[int], Any] | None = None

    @classmethod
    def of(cls, keys: Sequence[int]) -> "Selection":
        """Select all of `keys`."""
        return cls(keys, 0, len(keys))

    def __len__(self) -> int:
        return max(0, self.high - self.low)

    def between(self, since: float | None, until: float | None) -> "Selection":
        """Keep the rows of a time range in Unix seconds, both ends included.

        Rows have whole seconds.
        """
        low, high = self.low, self.high
        if since is not None:
            low = bisect_left(self.keys, ceil(since) << _SERIAL_BITS, low, high)
        if until is not None:
            high = bisect_left(self.keys, floor(until) + 1 << _SERIAL_BITS, low, high)
        return attrs.evolve(self, low=low, high=high)

    def by_name(self, name_of: Callable[[int], str]) -> "Selection":
        """Read the same rows in the order of their names."""

        def rank(key: int) -> tuple[str, int]:
            return name_of(key), key

        keys = sorted(self.keys[self.low : self.high], key=rank)
        return Selection(keys, 0, len(keys), newest_first=False, rank=rank)

    def after(self, key: int) -> "Selection":
        """Keep the rows that come after `key` in reading order; it need not exist any more."""
        where: Any = key if self.rank is None else self.rank(key)
        if self.newest_first:
            high = bisect_left(self.keys, where, self.low, self.high, key=self.rank)
            return attrs.evolve(self, high=high)
        low = bisect_right(self.keys, where, self.low, self.high, key=self.rank)
        return attrs.evolve(self, low=low)

    def page(self, skip: int, limit: int) -> Sequence[int]:
        """Return up to `limit` keys after the first `skip`, in reading order."""
        if not self.newest_first:
            start = min(self.low + skip, self.high)
            return self.keys[start : min(start + limit, self.high)]
        stop = max(self.low, self.high - skip)
        return self.keys[max(self.low, stop - limit) : stop][::-1]
