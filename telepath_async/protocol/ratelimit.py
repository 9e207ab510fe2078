"""Rate-limit arithmetic: the token bucket, and the rate-limit headers.

No await, no lock, no clock, no random: `now` is monotonic seconds, handed in. Who waits, and how,
is `limiter.py`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, final

from attrs import frozen

from ..checks import check_seconds, check_whole
from .url import http_date

MAX_LIMIT: Final = 10_000_000
"""A limit above this is a mistake, ours or the server's."""

_MAX_PERIOD: Final = 366 * 86_400
_HEADER_PERIOD: Final = (
    60.0  # X-RateLimit-Limit is a figure per minute (API reference: Rate Limits)
)

MAX_PAUSE: Final = 60.0
"""The longest pause in seconds that a 429 can cause: the limit is per minute, so that its window is
over by then."""

# Requests leave when they are granted and arrive when the network pleases. Without slack, grant n
# and grant n + limit are exactly one period apart, and the least jitter makes them meet in the
# server's window. 60 ms in a minute cost 0.1 %.
_SLACK: Final = 1.001

# A spacing of whole ticks adds up without any rounding while the clock reads less than 2**27 s:
# four years of uptime.
_TICKS_PER_SECOND: Final = 2**26

_MOST_DIGITS: Final = 15
# 11 digits reach the year 5138: milliseconds do not pass.
_UNIX_SECONDS: Final = re.compile(r"[0-9]{1,11}(\.[0-9]{1,9})?")


@frozen
class RateLimit:
    """The key's rate limit by an answer's headers; one that is absent or garbage is None.

    `limit`: requests a minute; `remaining`: requests left in the server's window; `reset_at`: when
    that window ends, by the server's clock; `resets_in`: seconds from the answer until then, free
    of clock skew (Reset minus Date). API reference: Rate Limits.
    """

    limit: int | None
    remaining: int | None
    reset_at: datetime | None
    resets_in: float | None = None


def read_rate_limit(headers: Mapping[str, str]) -> RateLimit | None:
    """Read the `X-RateLimit-*` headers, their names in any case; None: nothing usable."""
    # The multidicts of aiohttp look names up in any case by themselves.
    named = (
        headers
        if hasattr(headers, "getall")
        else {name.lower(): value for name, value in headers.items()}
    )
    return _parsed(
        named.get("x-ratelimit-limit", ""),
        named.get("x-ratelimit-remaining", ""),
        named.get("x-ratelimit-reset", ""),
        named.get("date", ""),
    )


@lru_cache(maxsize=64)  # limiter, retry and events each ask for what one answer says
def _parsed(limit_text: str, left_text: str, reset_text: str, date: str) -> RateLimit | None:
    limit, remaining = _limit(limit_text), _whole(left_text)
    reset_at, resets_in = _reset(reset_text, date)
    if limit is None and remaining is None and reset_at is None:
        return None
    return RateLimit(limit, remaining, reset_at, resets_in)


def _whole(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isdecimal() and text.isascii() and len(text) <= _MOST_DIGITS else None


# The answers of one second carry one limit, one reset and one Date: these two are half of what an
# answer costs to learn from.


@lru_cache(maxsize=64)
def _limit(text: str) -> int | None:
    limit = _whole(text)
    return limit if limit is not None and 1 <= limit <= MAX_LIMIT else None


@lru_cache(maxsize=64)
def _reset(text: str, date: str) -> tuple[datetime | None, float | None]:
    """Return when the server's window ends, and how many seconds after its Date that is."""
    text = text.strip()
    if not _UNIX_SECONDS.fullmatch(text):
        return None, None
    reset, sent_at = float(text), http_date(date.strip())
    resets_in = None if sent_at is None or reset < sent_at else reset - sent_at
    return datetime.fromtimestamp(reset, UTC), resets_in


@final
class TokenBucket:
    """At most `limit` grants in every `period` seconds, wherever they begin; at most `burst` of
    them at once.

    In GCRA form: the bucket is one number, the earliest time of the next grant. The n-th grant of a
    row comes at least (n - burst) * spacing after the first, so that limit + 1 grants span (limit +
    1 - burst) * spacing: one whole window. A bucket with burst = limit would let twice the limit
    through in one window if it refilled at limit / period.
    """

    __slots__ = (
        "_burst", "_earliest", "_left", "_left_learned_at", "_left_until", "_limit",
        "_paused_until", "_period", "_reset_at", "_shrunk",
        "_spacing", "_taken_at", "_tolerance", "_wanted_burst", "_window",
    )  # fmt: skip

    def __init__(self, limit: int, period: float, burst: int | None = None) -> None:
        """`period` in seconds; `burst=None`: 1 % of the limit, at least 1. Raises UsageError."""
        _check(limit, period, burst)
        self._period = period
        self._window = _whole_ticks(period * _SLACK)
        self._wanted_burst = burst
        self._earliest = -math.inf
        self._taken_at = -math.inf
        self._shrunk = 0  # tokens that smaller bursts have taken so far
        self._left = math.inf  # requests left in the server's window, as far as we know
        self._left_until = -math.inf
        self._left_learned_at = -math.inf
        self._reset_at = datetime.min.replace(tzinfo=UTC)
        self._paused_until = -math.inf
        self._set_limit(limit)

    def _set_limit(self, limit: int) -> None:
        self._limit = limit
        self._burst = (
            max(1, limit // 100) if self._wanted_burst is None else min(self._wanted_burst, limit)
        )
        self._spacing = _whole_ticks(self._window / (limit + 1 - self._burst))
        self._tolerance = (self._burst - 1) * self._spacing

    def take(self, now: float) -> bool:
        """Take one token, or return False and take nothing."""
        if (
            now < self._earliest
            or now < self._paused_until
            or (self._left <= 0 and now < self._left_until)
        ):
            self._bound_waits(now)
            return False
        full = now - self._tolerance
        if full > self._earliest:  # `max` would be a sixth of the cost of an acquire
            self._earliest = full
        self._earliest += self._spacing
        self._left -= 1
        self._taken_at = now
        return True

    def give_back(self, taken_at: float) -> None:
        """Return a token that was taken at `taken_at` and not used.

        Once another was taken at a later time, the bucket may have run over in between, and the
        window would no longer hold: then the token is gone.
        """
        if taken_at == self._taken_at:
            self._earliest -= self._spacing
            if (
                self._left_learned_at <= taken_at
            ):  # what the server counted since does not include it
                self._left += 1

    def next_at(self, now: float, ahead: int = 0) -> float:
        """Return when there will be a token for a caller with `ahead` others before it."""
        now = max(now, self._paused_until)
        ready = max(self._earliest, now - self._tolerance)
        if now < self._left_until and ahead >= self._left:
            ready = max(ready + self._left * self._spacing, self._left_until - self._tolerance)
            return max(self._left_until, ready + (ahead - self._left) * self._spacing)
        return max(now, ready + ahead * self._spacing)

    def batch(self, queued: int) -> int:
        """Return how many tokens to let gather before waking caller number `queued`.

        One wake-up for each token is what a long queue costs. 1 % of the queue delays nobody by
        more than that, and half the burst leaves the other half for timers that fire late: the
        bucket does not run over.
        """
        return max(1, int(min(queued // 100, (self._burst + 1) // 2, self._left)))

    def is_idle(self, now: float) -> bool:
        """Return whether all grants, and all that the server named, lie more than a window back."""
        return now >= max(self._earliest + self._window, self._left_until, self._paused_until)

    def pause(self, seconds: float, now: float) -> None:
        """Grant nothing for so long, MAX_PAUSE at most. It never ends an earlier pause sooner."""
        self._paused_until = max(self._paused_until, now + min(seconds, MAX_PAUSE))

    def learn(self, seen: RateLimit, now: float) -> None:
        """Take over the server's limit, and its count where that slows us down.

        `X-RateLimit-Limit` counts only for a period of 60 s; `X-RateLimit-Remaining` only with
        Reset and Date beside it.
        """
        if seen.limit is not None and seen.limit != self._limit and self._period == _HEADER_PERIOD:
            self._change_limit(seen.limit, now)
        if seen.remaining is not None and seen.reset_at is not None and seen.resets_in is not None:
            self._learn_left(
                seen.remaining, seen.reset_at, now + min(seen.resets_in, self._period), now
            )

    def _change_limit(self, limit: int, now: float) -> None:
        """Change the limit without making a token: a larger burst fills, a smaller one is owed."""
        owed = (max(self._earliest, now - self._tolerance) - now) / self._spacing
        burst = self._burst
        self._set_limit(limit)
        # What a smaller burst took, a larger one gives back: limits that alternate must not eat a
        # burst at each turn.
        shrunk = max(burst - self._burst, -self._shrunk)
        self._shrunk += shrunk
        owed += shrunk
        # Nobody waits for more than a window.
        self._earliest = now + min(owed * self._spacing, self._window)

    def _learn_left(self, remaining: int, reset_at: datetime, until: float, now: float) -> None:
        if now >= self._left_until or reset_at > self._reset_at:
            self._left, self._left_until, self._reset_at, self._left_learned_at = (
                remaining,
                until,
                reset_at,
                now,
            )
        elif reset_at == self._reset_at and remaining < self._left:
            # Ours also counts the requests that are still on their way; theirs, those of other
            # processes.
            self._left, self._left_learned_at = remaining, now

    def _bound_waits(self, now: float) -> None:
        """Bound all waits after a clock was set back.

        A clock that was set back by less than a window, and goes on, owes what it owed; beyond
        that, a window is enough.
        """
        if self._earliest > now + 2 * self._window:
            self._earliest = now + self._window
        if self._left_until > now + 2 * self._window:
            self._left_until = now + self._window
        self._paused_until = min(self._paused_until, now + MAX_PAUSE)


def _whole_ticks(seconds: float) -> float:
    return math.ceil(seconds * _TICKS_PER_SECOND) / _TICKS_PER_SECOND


def _check(limit: object, period: object, burst: object) -> None:
    most = check_whole("limit", limit, 1, MAX_LIMIT)
    check_seconds("period", period, exclusive=True, most=_MAX_PERIOD)
    if burst is not None:
        check_whole("burst", burst, 1, most)
