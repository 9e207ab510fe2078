"""The limit of one API key: a fixed window, aligned to the wall clock as the real one is."""

import math
import time
from collections.abc import Callable


class FixedWindow:
    """Allow `limit` requests in each window of `period` seconds.

    Windows begin at multiples of `period`.
    """

    def __init__(self, limit: int, period: float, clock: Callable[[], float] = time.time) -> None:
        self._limit = limit
        self._period = period
        self._clock = clock
        self._window = -1
        self._used = 0

    def spend(self) -> bool:
        """Count one request; False when the window is used up."""
        self._turn()
        if self._used >= self._limit:
            return False
        self._used += 1
        return True

    def retry_after(self) -> int:
        """Whole seconds until the window ends, rounded up."""
        return max(1, math.ceil(self._end() - self._clock()))

    def headers(self) -> dict[str, str]:
        """Return the three headers that every response carries."""
        self._turn()
        return {
            "X-RateLimit-Limit": str(self._limit),
            "X-RateLimit-Remaining": str(self._limit - self._used),
            "X-RateLimit-Reset": str(math.ceil(self._end())),
        }

    def _turn(self) -> None:
        window = math.floor(self._clock() / self._period)
        if window != self._window:
            self._window, self._used = window, 0

    def _end(self) -> float:
        return (self._window + 1) * self._period
