"""The sliding windows of a limit."""

from __future__ import annotations

from bisect import bisect_left


def most_in_a_window(grants: list[float], period: float) -> int:
    grants = sorted(grants)
    return max((bisect_left(grants, t + period, i) - i for i, t in enumerate(grants)), default=0)
