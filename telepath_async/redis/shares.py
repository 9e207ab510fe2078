"""The figures of a shared limit: what the bucket in Redis may hold and hand out, and the local
share of one process.

Arithmetic only. `burst + rate * period <= limit`; a local share is one part in `expected` of both,
so that the shares that Redis hands out and the local ones never add up to more.
"""

from __future__ import annotations

from attrs import frozen

from telepath_async import UsageError
from telepath_async.checks import check_whole
from telepath_async.protocol.token_bucket import TokenBucket

# Requests leave when they are granted and arrive when the network pleases: 60 ms in a minute, as in
# the local limiter.
_SLACK = 1.001


@frozen
class Shares:
    """`limit` in every `period` seconds, for `expected` processes; `burst` at once, None = 2 %."""

    limit: int
    period: float
    wanted_burst: int | None
    expected: int

    @property
    def burst(self) -> int:
        """Tokens that may be ready or out on leases, together."""
        wanted = self.limit // 50 if self.wanted_burst is None else self.wanted_burst
        return max(1, min(max(wanted, self.expected), self.limit // 2))

    @property
    def rate(self) -> float:
        """Tokens a second."""
        # A limit of 1 (the API may set it) leaves nothing besides the burst: one in two periods is
        # never two in one.
        return ((self.limit - self.burst) or 0.5) / (self.period * _SLACK)

    def local(self, now: float) -> TokenBucket:
        """Return the local share's bucket: it starts empty, as if all had just been used."""
        burst = max(1, self.burst // self.expected)
        share = (self.limit - self.burst) // self.expected
        # A bucket of n refills (n + 1 - burst) in a period; a limit below two for each process
        # leaves less than one.
        bucket = (
            TokenBucket(share + burst - 1, self.period, burst)
            if share
            else TokenBucket(1, self.period * self.expected)
        )
        while bucket.take(now):
            pass
        return bucket


def check(limit: object, period: object, burst: object, expected: object) -> None:
    """Raise UsageError when a figure makes no sense."""
    processes = check_whole("expected_processes", expected, 1, 10_000)
    TokenBucket(limit, period)  # type: ignore[arg-type]  # refuses what is wrong with those
    assert isinstance(limit, int)
    if limit < 2 * processes:
        raise UsageError(
            f"limit is {limit}; {processes} processes need at least {2 * processes}: set "
            "expected_processes to what really runs"
        )
    if burst is not None:
        # Each process has one token of it, and no window more than the limit.
        check_whole("burst", burst, processes, limit // 2)
