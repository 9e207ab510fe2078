"""The sliding windows of a limit."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

from telepath_async import LocalLimiter


def most_in_a_window(grants: list[float], period: float) -> int:
    """Count the grants in [t, t + period) for every grant t, and return the most."""
    grants = sorted(grants)
    return max((bisect_left(grants, t + period, i) - i for i, t in enumerate(grants)), default=0)


class _RecordedBucket:
    """Knows when every token was taken that was not given back."""

    def __init__(self, bucket: Any) -> None:
        self.bucket = bucket
        self.grants: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.bucket, name)

    def take(self, now: float) -> bool:
        taken: bool = self.bucket.take(now)
        self.grants += [now] * taken
        return taken

    def give_back(self, taken_at: float) -> None:
        self.grants.remove(taken_at)
        self.bucket.give_back(taken_at)


def recorded(limiter: LocalLimiter) -> list[float]:
    """Return when the limiter gave its permits from now on, by its own clock."""
    bucket = _RecordedBucket(limiter._bucket)
    limiter._bucket = bucket  # type: ignore[assignment]
    return bucket.grants
