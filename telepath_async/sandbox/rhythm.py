"""When calls come: a rhythm over day and week, and an end that reaches into the present."""

import random
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from itertools import pairwise

from . import timestamps

PERIOD_SECONDS = 30 * 86_400
_HOUR = 3600
_DAY = (2, 1, 1, 1, 2, 3, 6, 11, 17, 22, 24, 23, 20, 22, 24, 23, 20, 15, 10, 7, 5, 4, 3, 2)  # UTC
_WEEK = (21, 21, 20, 20, 18, 6, 5)  # from Monday on
_DAYS_FROM_MONDAY = 3  # 1970-01-01 was a Thursday
_WORDS = 2**32

_RECENT_SECONDS = 600
_MOST_RECENT = 8
_LEAST_RATE = 1 / 20  # so that somebody who watches at night sees something move


def weight(moment: int) -> int:
    """Return how busy the hour of a moment is, against other hours."""
    days, seconds = divmod(moment, 24 * _HOUR)
    return _DAY[seconds // _HOUR] * _WEEK[(days + _DAYS_FROM_MONDAY) % 7]


def start_times(rng: random.Random, count: int, now: int) -> "array[int]":
    """Return `count` ascending start times in the 30 days before `now`; the newest are recent."""
    starts = list(_in_rhythm(sorted(array("I", rng.randbytes(4 * count))), now))
    recent = min(_MOST_RECENT, -(-count // 20))
    if recent:
        ages = [
            rng.randrange(1, 20),
            *(rng.randrange(1, _RECENT_SECONDS) for _ in range(1, recent)),
        ]
        starts[-recent:] = [now - age for age in ages]
    return array("I", sorted(starts))


def _in_rhythm(words: list[int], now: int) -> Iterator[int]:
    """Turn ascending words of 32 bits into start times; an hour gets its weight's share of them."""
    edges = _edges(now)
    share = _WORDS / _total(edges)
    low, first = 0.0, 0
    for begin, end in pairwise(edges):
        high = low + weight(begin) * (end - begin) * share
        stop = bisect_left(words, high, first) if end < now else len(words)
        seconds = (end - begin) / (high - low)
        last = end - 1
        yield from [min(begin + int((word - low) * seconds), last) for word in words[first:stop]]
        low, first = high, stop


def _edges(now: int) -> list[int]:
    """Return the period's two ends, and every full hour between them."""
    first = now - PERIOD_SECONDS
    return [first, *range(first + _HOUR - first % _HOUR, now, _HOUR), now]


def _total(edges: list[int]) -> int:
    return sum(weight(begin) * (end - begin) for begin, end in pairwise(edges))


class Arrivals:
    """The calls that come while a sandbox runs: as busy as the `count` calls before `now`."""

    def __init__(self, rng: random.Random, count: int, now: int) -> None:
        self._rng = rng
        self._calls_per_weight = count / _total(_edges(now))
        self._next = float(now)
        self._wait()

    def due(self) -> Iterator[int]:
        """Return the moments since the last look at which a call ended, in Unix seconds."""
        present = timestamps.now()
        while self._next <= present:
            yield int(self._next)
            self._wait()

    def _wait(self) -> None:
        rate = max(weight(int(self._next)) * self._calls_per_weight, _LEAST_RATE)
        self._next += self._rng.expovariate(rate)
