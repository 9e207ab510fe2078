"""The tokens in hand, how fast they are used, and what holds them back."""

from __future__ import annotations

from math import ceil, inf
from typing import Final

from attrs import define

from telepath_async.protocol.token_bucket import MAX_PAUSE

from .times import HEARTBEAT

_AHEAD: Final = 0.5  # seconds of demand to hold tokens for


@define
class Lease:
    """Tokens that Redis has lent, and that are void from `use_by` on.

    `void_at`: when Redis last refused to renew them.
    """

    tokens: int = 0
    use_by: float = -inf
    void_at: float = -inf

    def take(self, now: float) -> bool:
        """Take a token, or return False."""
        if not self.tokens or now >= self.use_by:
            return False
        self.tokens -= 1
        return True

    def give_back(self, taken_at: float, now: float) -> bool:
        """Return a token that was not used, unless its lease is over; return whether it is back."""
        if taken_at < self.void_at or now >= self.use_by:
            return False
        self.tokens += 1
        return True

    def release(self, keep: int, now: float) -> int:
        """Keep at most `keep` tokens, and return the number of those to give back to Redis."""
        if now >= self.use_by:
            self.tokens = 0
        released = max(0, self.tokens - keep)
        self.tokens -= released
        return released

    def void(self, now: float) -> None:
        """Drop all tokens, those that were taken and may come back included."""
        self.tokens = 0
        self.void_at = now


@define
class Usage:
    """The tokens that were used since the last request, and how many a second (`pace`)."""

    taken: int = 0
    taken_at: float = -inf
    pace: float = 0.0

    def count(self, now: float) -> None:
        """Count a token as used."""
        self.taken += 1
        self.taken_at = now

    def measure(self, seconds: float) -> None:
        """Note the pace of the last `seconds`, and begin to count anew."""
        pace = self.taken / max(seconds, HEARTBEAT / 2)
        self.pace = max(pace, self.pace / 2) if self.taken else 0.0
        self.taken = 0

    @property
    def spare(self) -> int:
        """The tokens to hold before anybody waits for them."""
        return ceil(self.pace * _AHEAD)


@define
class Pause:
    """No token is given out `until` then; `asked_until`: the longest pause a 429 of ours named."""

    until: float = -inf
    asked_until: float = -inf

    def ask(self, seconds: float, now: float) -> bool:
        """Begin a pause; return whether it is the longest so far, which the others must learn."""
        ends = now + min(seconds, MAX_PAUSE)
        self.until = max(self.until, ends)
        if ends <= self.asked_until:
            return False
        self.asked_until = ends
        return True

    def left(self, now: float) -> float | None:
        """Return the seconds that are left of the pause that was asked for, or None."""
        return round(self.asked_until - now, 6) if now < self.asked_until else None
