"""Figures of values in ascending parts equal those of all values, sorted."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hypothesis import example, given
from hypothesis import strategies as st

from telepath_async.dashboard.latencies import above, largest, mean, merged, nearest_ranks

PERCENTS = (0, 50, 95, 99, 100)
VALUES = st.one_of(
    st.integers(0, 50).map(float),  # many alike
    st.floats(allow_nan=False, allow_infinity=False),
)
PARTS = st.lists(st.lists(VALUES, min_size=1, max_size=40).map(sorted), min_size=1, max_size=9)


@given(PARTS)
@example([[7.0] * 5000, [7.0, 8.0]])
@example([[-1e308, 1e308], [0.0, 5e-324]])
@example([[float(n) for n in range(part, 20_000, 7)] for part in range(7)])
def test_a_percentile_of_parts_is_the_nearest_rank(parts: list[Sequence[float]]) -> None:
    ordered = sorted(value for part in parts for value in part)
    ranks = (max(1, math.ceil(len(ordered) * percent / 100)) for percent in PERCENTS)
    assert nearest_ranks(parts, PERCENTS) == [ordered[rank - 1] for rank in ranks]
    assert merged(parts) == [ordered]


@given(PARTS, VALUES, st.integers(1, 50))
def test_what_is_above_a_limit_and_the_largest(
    parts: list[Sequence[float]], limit: float, most: int
) -> None:
    ordered = sorted(value for part in parts for value in part)
    assert above(parts, limit) == sum(value > limit for value in ordered)
    assert largest(parts, most) == ordered[::-1][:most]


def test_a_mean_does_not_depend_on_the_order() -> None:
    assert mean([[0.1] * 10]) == mean([[0.1]] * 10) == 0.1


def test_of_no_value_there_is_no_figure() -> None:
    assert nearest_ranks([], (50, 95)) == [None, None]
    assert mean([]) is None
    assert (merged([]), largest([], 3), above([], 1.0)) == ([], [], 0)


def test_a_mean_of_values_whose_sum_no_double_holds_is_finite() -> None:
    assert math.isclose(mean([[1e308, 1e308], [1e308]]) or 0.0, 1e308)
