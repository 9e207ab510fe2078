"""The token bucket: when the next request may leave.

No await, no lock, no clock, no random: `now` is monotonic seconds, handed in. Who waits, and how,
is `limiter.py`.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Final, Self, final

from attrs import define, frozen

from ..checks import check_seconds, check_whole
from .ratelimit import MAX_LIMIT, RateLimit

MAX_PAUSE: Final = 60.0
"""The longest pause in seconds that a 429 can cause: the limit is per minute, so that its window is
over by then."""

_MAX_PERIOD: Final = 366 * 86_400
_HEADER_PERIOD: Final = 60.0  # X-RateLimit-Limit counts a minute (API reference: Rate Limits)

# Requests leave when they are granted and arrive when the network pleases. Without slack, grant n
# and grant n + limit are exactly one period apart, and the least jitter makes them meet in the
# server's window. 60 ms in a minute cost 0.1 %.
_SLACK: Final = 1.001

# A spacing of whole ticks adds up without any rounding while the clock reads less than 2**27 s:
# four years of uptime.
_TICKS_PER_SECOND: Final = 2**26


@frozen
class _Pace:
    """How a limit is spread over its period: times in seconds.

    `window`: the period and some slack; `spacing`: from one token to the next; `tolerance`: by how
    much a full bucket is ahead of that.
    """

    limit: int
    burst: int
    window: float
    spacing: float
    tolerance: float

    @classmethod
    def of(cls, limit: int, period: float, burst: int | None) -> Self:
        burst = max(1, limit // 100) if burst is None else min(burst, limit)
        window = _whole_ticks(period * _SLACK)
        spacing = _whole_ticks(window / (limit + 1 - burst))
        return cls(limit, burst, window, spacing, (burst - 1) * spacing)


@define
class _ServerCount:
    """The requests `left` in the server's window, which ends at `until`, as far as we know.

    `reset_at`: when it ends by the server's clock; `learned_at`: when its count came.
    """

    left: float = math.inf
    until: float = -math.inf
    reset_at: datetime = datetime.min.replace(tzinfo=UTC)
    learned_at: float = -math.inf

    def learn(self, remaining: int, reset_at: datetime, until: float, now: float) -> None:
        if now >= self.until or reset_at > self.reset_at:
            self.until, self.reset_at = until, reset_at
        elif reset_at < self.reset_at or remaining >= self.left:
            # Ours also counts the requests that are still on their way; theirs, those of other
            # processes.
            return
        self.left, self.learned_at = remaining, now


@final
class TokenBucket:
    """At most `limit` grants in every `period` seconds, wherever they begin; at most `burst` of
    them at once.

    In GCRA form: the bucket is one number, the earliest time of the next grant. The n-th grant of a
    row comes at least (n - burst) * spacing after the first, so that limit + 1 grants span (limit +
    1 - burst) * spacing: one whole window. A bucket with burst = limit would let twice the limit
    through in one window if it refilled at limit / period.
    """

    def __init__(self, limit: int, period: float, burst: int | None = None) -> None:
        """`period` in seconds; `burst=None`: 1 % of the limit, at least 1. Raises UsageError."""
        most = check_whole("limit", limit, 1, MAX_LIMIT)
        check_seconds("period", period, exclusive=True, most=_MAX_PERIOD)
        if burst is not None:
            check_whole("burst", burst, 1, most)
        self._period, self._burst = period, burst
        self._pace = _Pace.of(limit, period, burst)
        self._server = _ServerCount()
        self._earliest = -math.inf
        self._taken_at = -math.inf
        self._paused_until = -math.inf
        self._shrunk = 0  # tokens that smaller bursts have taken so far

    @property
    def limit(self) -> int:
        """Requests a period: what was given, or what the server has named since."""
        return self._pace.limit

    def take(self, now: float) -> bool:
        """Take one token, or return False and take nothing."""
        server, pace = self._server, self._pace
        if (
            now < self._earliest
            or now < self._paused_until
            or (server.left <= 0 and now < server.until)
        ):
            self._bound_waits(now)
            return False
        full = now - pace.tolerance
        if full > self._earliest:  # `max` would be a sixth of the cost of an acquire
            self._earliest = full
        self._earliest += pace.spacing
        server.left -= 1
        self._taken_at = now
        return True

    def give_back(self, taken_at: float) -> None:
        """Return a token that was taken at `taken_at` and not used.

        Once another was taken at a later time, the bucket may have run over in between, and the
        window would no longer hold: then the token is gone.
        """
        if taken_at == self._taken_at:
            self._earliest -= self._pace.spacing
            if self._server.learned_at <= taken_at:  # what was counted since does not include it
                self._server.left += 1

    def next_at(self, now: float, ahead: int = 0) -> float:
        """Return when there will be a token for a caller with `ahead` others before it."""
        pace, server = self._pace, self._server
        now = max(now, self._paused_until)
        ready = max(self._earliest, now - pace.tolerance)
        if now < server.until and ahead >= server.left:
            ready = max(ready + server.left * pace.spacing, server.until - pace.tolerance)
            return max(server.until, ready + (ahead - server.left) * pace.spacing)
        return max(now, ready + ahead * pace.spacing)

    def batch(self, queued: int) -> int:
        """Return how many tokens to let gather before waking caller number `queued`.

        One wake-up for each token is what a long queue costs. 1 % of the queue delays nobody by
        more than that, and half the burst leaves the other half for timers that fire late: the
        bucket does not run over.
        """
        return max(1, int(min(queued // 100, (self._pace.burst + 1) // 2, self._server.left)))

    def is_idle(self, now: float) -> bool:
        """Return whether all grants, and all that the server named, lie more than a window back."""
        spent_until = self._earliest + self._pace.window
        return now >= max(spent_until, self._server.until, self._paused_until)

    def pause(self, seconds: float, now: float) -> None:
        """Grant nothing for so long, MAX_PAUSE at most. It never ends an earlier pause sooner."""
        self._paused_until = max(self._paused_until, now + min(seconds, MAX_PAUSE))

    def learn(self, seen: RateLimit, now: float) -> None:
        """Take over the server's limit, and its count where that slows us down.

        `X-RateLimit-Limit` counts only for a period of 60 s; `X-RateLimit-Remaining` only with
        Reset and Date beside it.
        """
        if seen.limit not in (None, self.limit) and self._period == _HEADER_PERIOD:
            self._change_limit(seen.limit, now)
        if seen.remaining is not None and seen.reset_at is not None and seen.resets_in is not None:
            until = now + min(seen.resets_in, self._period)
            self._server.learn(seen.remaining, seen.reset_at, until, now)

    def _change_limit(self, limit: int, now: float) -> None:
        """Change the limit without making a token: a larger burst fills, a smaller one is owed."""
        before = self._pace
        self._pace = pace = _Pace.of(limit, self._period, self._burst)
        owed = (max(self._earliest, now - before.tolerance) - now) / before.spacing
        # What a smaller burst took, a larger one gives back: limits that alternate must not eat a
        # burst at each turn.
        shrunk = max(before.burst - pace.burst, -self._shrunk)
        self._shrunk += shrunk
        # Nobody waits for more than a window.
        self._earliest = now + min((owed + shrunk) * pace.spacing, pace.window)

    def _bound_waits(self, now: float) -> None:
        """Bound all waits after a clock was set back.

        A clock that was set back by less than a window, and goes on, owes what it owed; beyond
        that, a window is enough.
        """
        window = self._pace.window
        if self._earliest > now + 2 * window:
            self._earliest = now + window
        if self._server.until > now + 2 * window:
            self._server.until = now + window
        self._paused_until = min(self._paused_until, now + MAX_PAUSE)


def _whole_ticks(seconds: float) -> float:
    return math.ceil(seconds * _TICKS_PER_SECOND) / _TICKS_PER_SECOND
