"""The local share of a limiter that has lost Redis, and from when to when it may be used."""

from __future__ import annotations

from math import inf

from attrs import define, field

from telepath_async.protocol.token_bucket import TokenBucket

from .times import LEASE, RECENT, TIMEOUT


@define
class Fallback:
    """`starts_at`: no request of ours counts in Redis from then on; `failed_at`: when Redis last
    failed, -inf while it replies; `degraded`: the local share has been used since then.
    """

    starts_at: float = inf
    failed_at: float = -inf
    bucket: TokenBucket | None = None
    degraded: bool = False
    _before: tuple[float, TokenBucket | None] = field(default=(inf, None), init=False)

    def may_fall_back(self, now: float) -> bool:
        """Return whether tokens of the local share may be used."""
        return self.starts_at <= now <= self.failed_at + RECENT

    def start(self, bucket: TokenBucket) -> TokenBucket:
        """Use the local share's bucket from here on, and return it."""
        self.bucket = bucket
        self.degraded = True
        return bucket

    def postpone(self, sent_at: float) -> None:
        """End the local share: a request that was sent then may count in Redis for a lease."""
        self.starts_at = sent_at + TIMEOUT + LEASE
        self.bucket = None

    def request_sent(self, now: float) -> None:
        """End the local share, until it is known whether the request counts."""
        self._before = self.starts_at, self.bucket
        self.postpone(now)

    def request_refused(self) -> None:
        """Go on as before the request: Redis did not carry it out."""
        self.starts_at, self.bucket = self._before

    def recover(self) -> None:
        """Note that Redis replies."""
        self.failed_at = -inf
        self.degraded = False
