"""Find the hours that stand out: a scan statistic over windows, trunks and measures. Pure.

Of a window, count the calls that are slower than nine tenths of the week's (or that failed). By
Chernoff's bound, a share q of n calls has a chance of at most exp(-n KL(q || p)). That, times the
number of windows looked at, bounds the chance of a false alarm; it holds for few calls too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final

from attrs import frozen

from .groups import ENOUGH, LATENCIES, MEASURES, Group, Hourly, Measure, merged, nearest_rank

_LENGTHS: Final = (1, 2, 3, 4, 6, 8, 12, 24, 48)
_FALSE_ALARMS: Final = 0.05
_SLOW_PERCENT: Final = 90
_LEAST_EXCESS: Final = {"failed": 0.05}  # of the calls; latencies: `_LEAST_SLOW`
_LEAST_SLOW: Final = 0.15
_FEWEST: Final = 8  # calls in a window


@frozen
class Window:
    """The hours in which a measure of a group stands out, and by how much evidence."""

    group: Group
    measure: Measure
    hours: range
    evidence: float


def standing_out(groups: Mapping[Group, Hourly], span: range) -> Window | None:
    """Return the window that stands out most; None where none does so beyond chance."""
    windows = list(_candidates(groups, span))
    looked_at = len(groups) * len(MEASURES) * len(_LENGTHS) * len(span)
    best = max(windows, key=lambda window: window.evidence, default=None)
    if best is None or best.evidence < math.log(looked_at / _FALSE_ALARMS):
        return None
    return best


def _candidates(groups: Mapping[Group, Hourly], span: range) -> Iterator[Window]:
    for group, hourly in groups.items():
        for measure in MEASURES:
            counts = _counts(hourly, span, measure)
            if sum(count for count, _ in counts) >= 2 * ENOUGH:
                yield from _best(group, measure, span, counts)


def _counts(hourly: Hourly, span: range, measure: Measure) -> list[tuple[int, int]]:
    """Return for each hour how many calls there were, and how many were bad."""
    threshold = 0.0
    if measure in LATENCIES:
        values = sorted(merged(hourly, span).latencies(measure))
        threshold = nearest_rank(values, _SLOW_PERCENT) if values else 0.0
    return [hourly[hour].events(measure, threshold) if hour in hourly else (0, 0) for hour in span]


def _best(
    group: Group, measure: Measure, span: range, counts: Sequence[tuple[int, int]]
) -> Iterator[Window]:
    """Return the window with the most evidence, where there is any."""
    calls = [0, *accumulate(count for count, _ in counts)]
    bad = [0, *accumulate(count for _, count in counts)]
    usual = bad[-1] / calls[-1]
    least = usual + _LEAST_EXCESS.get(measure, _LEAST_SLOW)
    best, where = 0.0, None
    for length in _LENGTHS:
        for begin in range(len(counts) - length + 1):
            n = calls[begin + length] - calls[begin]
            k = bad[begin + length] - bad[begin]
            if n >= _FEWEST and k > least * n:
                evidence = n * divergence(k / n, usual)
                if evidence > best:
                    best, where = evidence, range(span[begin], span[begin] + length)
    if where is not None:
        yield Window(group, measure, where, best)


def divergence(share: float, usual: float) -> float:
    """Return the Kullback-Leibler divergence of a share from the usual one, in nats."""
    if usual in (0.0, 1.0):
        return math.inf if share != usual else 0.0
    return sum(
        part * math.log(part / expected)
        for part, expected in ((share, usual), (1 - share, 1 - usual))
        if part > 0
    )
