"""Some calls' values of a latency, in parts that are each ascending: no million is sorted. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from heapq import nlargest
from itertools import chain
from math import fsum
from typing import Final, TypeAlias

Parts: TypeAlias = list[Sequence[float]]  # none is empty

_HALVINGS: Final = 12  # of the range: what is left then is 1 of 4,096 of evenly spread values


def count(parts: Parts) -> int:
    """Return how many values there are."""
    return sum(map(len, parts))


def merged(parts: Parts) -> Parts:
    """Return the same values in one part."""
    return [sorted(chain.from_iterable(parts))] if parts else []


def nearest_ranks(parts: Parts, percents: Iterable[int]) -> list[float | None]:
    """Return percentiles by nearest rank: the ceil(n * percent / 100)-th smallest value."""
    total = count(parts)
    if not total:
        return [None for _ in percents]
    return [_smallest(parts, max(1, -(-total * percent // 100))) for percent in percents]


def _smallest(parts: Parts, rank: int) -> float:
    """Return the `rank`-th smallest value: halve the range it lies in, and sort what is left."""
    low, high = min(part[0] for part in parts), max(part[-1] for part in parts)
    for _ in range(_HALVINGS if len(parts) > 1 else 0):
        middle = (low + high) / 2
        if sum(bisect_right(part, middle) for part in parts) >= rank:
            high = middle
        else:
            low = middle
    begins = [bisect_left(part, low) for part in parts]
    left = sorted(
        chain.from_iterable(
            part[begin : bisect_right(part, high)]
            for part, begin in zip(parts, begins, strict=True)
        )
    )
    return left[rank - 1 - sum(begins)]


def above(parts: Parts, limit: float) -> int:
    """Return how many values are larger than a limit."""
    return sum(len(part) - bisect_right(part, limit) for part in parts)


def largest(parts: Parts, most: int) -> list[float]:
    """Return the largest values, the largest first."""
    return nlargest(most, chain.from_iterable(part[-most:] for part in parts))


def mean(parts: Parts) -> float | None:
    """Return the average, whatever the order of the values."""
    total = count(parts)
    if not total:
        return None
    try:
        return fsum(chain.from_iterable(parts)) / total
    except OverflowError:  # no double holds the sum
        return fsum(value / total for value in chain.from_iterable(parts))
