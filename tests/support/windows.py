"""The sliding windows of a limit."""

from __future__ import annotations

from bisect import bisect_left

import pytest

from telepath_async import limiter
from telepath_async.protocol.token_bucket import TokenBucket


def most_in_a_window(grants: list[float], period: float) -> int:
    """Count the grants in [t, t + period) for every grant t, and return the most."""
    grants = sorted(grants)
    return max((bisect_left(grants, t + period, i) - i for i, t in enumerate(grants)), default=0)


def record_grants(patch: pytest.MonkeyPatch) -> list[float]:
    """Return when the limiters made from now on give permits that are not given back."""
    grants: list[float] = []

    class Recorded(TokenBucket):  # type: ignore[misc]  # it is final to its users
        def take(self, now: float) -> bool:
            taken = super().take(now)
            grants.extend([now] * taken)
            return taken

        def give_back(self, taken_at: float) -> None:
            grants.remove(taken_at)
            super().give_back(taken_at)

    patch.setattr(limiter, "TokenBucket", Recorded)
    return grants
