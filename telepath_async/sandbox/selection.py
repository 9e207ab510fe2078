"""Rows in the order of their time, and slices of them.

A row's key is `seconds << 32 | serial`: unique, sorted by time, small enough for an `array("Q")`,
and all that a cursor needs.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from math import ceil, floor

import attrs

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
    """Select the rows `keys[low:high]` of an ascending sequence.

    They are read newest first unless told otherwise.
    """

    keys: Sequence[int]
    low: int
    high: int
    newest_first: bool = True

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

    def after(self, key: int) -> "Selection":
        """Keep the rows after `key` in reading order, whether or not that row still exists."""
        if self.newest_first:
            return attrs.evolve(self, high=bisect_left(self.keys, key, self.low, self.high))
        return attrs.evolve(self, low=bisect_right(self.keys, key, self.low, self.high))

    def page(self, skip: int, limit: int) -> Sequence[int]:
        """Return up to `limit` keys behind the first `skip`, in reading order."""
        if not self.newest_first:
            start = min(self.low + skip, self.high)
            return self.keys[start : min(start + limit, self.high)]
        stop = max(self.low, self.high - skip)
        return self.keys[max(self.low, stop - limit) : stop][::-1]
