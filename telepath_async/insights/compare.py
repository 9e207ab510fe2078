"""Compare two periods: how much a figure changed, with its 95 % interval, and if beyond chance.

Pure; the random numbers are handed in.
"""

from __future__ import annotations

import math
from random import Random
from typing import Final

from attrs import frozen

from .groups import ENOUGH, Measure, Sample, nearest_rank

_RESAMPLES: Final = 1000
_PERCENT: Final = 95
_SLOW_PERCENTS: Final = (50, 90)
_LEAST_SHARE: Final = 0.1  # of a latency: what is less is not worth a name
_LEAST_POINTS: Final = 3.0  # of the failed calls, in percent


@frozen(kw_only=True)
class Change:
    """A figure of two periods: a latency's p95 in ms, or failed calls in percent.

    `low`, `high`: the 95 % interval of the difference, by bootstrap.
    """

    measure: Measure
    before: float
    after: float
    low: float
    high: float
    calls_before: int
    calls_after: int

    @property
    def difference(self) -> float:
        return self.after - self.before


def figure(measure: Measure, sample: Sample) -> float:
    """Return a latency's p95 in ms, or the failed calls in percent."""
    if measure == "failed":
        return 100 * sample.failed / sample.calls
    return nearest_rank(sorted(sample.latencies(measure)), _PERCENT)


def is_large(measure: Measure, before: Sample, after: Sample) -> bool:
    """Whether a change is worth a name, beyond chance or not."""
    if min(_count(measure, before), _count(measure, after)) < ENOUGH:
        return False
    old, new = figure(measure, before), figure(measure, after)
    return abs(new - old) >= (_LEAST_POINTS if measure == "failed" else _LEAST_SHARE * old)


def _count(measure: Measure, sample: Sample) -> int:
    return sample.calls if measure == "failed" else len(sample.latencies(measure))


def compare(measure: Measure, before: Sample, after: Sample, rng: Random) -> Change | None:
    """Return how a measure changed; None where either period has too few calls."""
    counts = _count(measure, before), _count(measure, after)
    if min(counts) < ENOUGH:
        return None
    resampled = _failed_percents if measure == "failed" else _p95s
    old, new = resampled(measure, before, rng), resampled(measure, after, rng)
    differences = sorted(late - early for early, late in zip(old, new, strict=True))
    edge = round(_RESAMPLES * 0.025)
    return Change(
        measure=measure,
        before=figure(measure, before),
        after=figure(measure, after),
        low=differences[edge],
        high=differences[-edge - 1],
        calls_before=counts[0],
        calls_after=counts[1],
    )


def _p95s(measure: Measure, sample: Sample, rng: Random) -> list[float]:
    """Return the p95 of bootstrap resamples.

    The k-th smallest of n indexes drawn at random is n times a Beta(k, n - k + 1): no resample
    need be drawn, nor sorted.
    """
    ordered = sorted(sample.latencies(measure))
    n = len(ordered)
    k = -(-n * _PERCENT // 100)
    return [ordered[min(n - 1, int(n * rng.betavariate(k, n - k + 1)))] for _ in range(_RESAMPLES)]


def _failed_percents(measure: Measure, sample: Sample, rng: Random) -> list[float]:
    """Return shares of failed calls, in percent, that fit those seen (Jeffreys)."""
    good = sample.calls - sample.failed
    return [100 * rng.betavariate(sample.failed + 0.5, good + 0.5) for _ in range(_RESAMPLES)]


def chance(measure: Measure, before: Sample, after: Sample) -> float:
    """Return a bound on the chance of a difference like this where nothing changed; 1: too few.

    By the ratio of likelihoods, which holds for few calls too, unlike the G-test's distribution.
    """
    if measure == "failed":
        return min(1.0, 2 * _likeness(measure, before, after, 0.0))
    values = sorted([*before.latencies(measure), *after.latencies(measure)])
    thresholds = [nearest_rank(values, percent) for percent in _SLOW_PERCENTS] if values else []
    found = [_likeness(measure, before, after, threshold) for threshold in thresholds]
    return min([1.0, *(2 * len(found) * likeness for likeness in found)])


def _likeness(measure: Measure, before: Sample, after: Sample, threshold: float) -> float:
    """Return the likelihood of one rate for both periods, against a rate for each."""
    (n1, k1), (n2, k2) = (part.events(measure, threshold) for part in (before, after))
    if min(n1, n2) < ENOUGH or k1 + k2 in (0, n1 + n2):
        return 1.0
    share = (k1 + k2) / (n1 + n2)
    cells = (
        (k1, n1 * share),
        (n1 - k1, n1 * (1 - share)),
        (k2, n2 * share),
        (n2 - k2, n2 * (1 - share)),
    )
    return math.exp(-sum(count * math.log(count / mean) for count, mean in cells if count))
