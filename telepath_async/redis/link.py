"""What a limiter and Redis know of each other, and since when."""

from __future__ import annotations

from math import inf
from typing import Final

from attrs import define

from .messages import Known, SyncReply
from .times import RECENT, TIMEOUT

_CLOCK_AGE: Final = 60.0  # two clocks drift apart by milliseconds in that
_PROBE_SOON: Final = 0.25  # leaves no gap between two timeouts: a short recovery is not missed
_PROBE: Final = 1.0
_MAX_TIMEOUTS: Final = 3  # in a row; then we send nothing for long enough to fall back


@define
class Link:
    """`registered`: Redis may count on this limiter, or hold something for it; `enrolled`: it did
    when it replied last; `number`, `peers`: of the state then.

    `server_time`: Redis's time, and the latest of ours at which it was that; `sent_at`, `acked_at`,
    `probed_at`: when a request was sent, a reply came, and either a request or a question for the
    time was sent; `timeouts`: requests in a row without a reply.
    """

    registered: bool = False
    enrolled: bool = False
    number: int = 0
    peers: int = 0
    server_time: tuple[float, float] | None = None
    sent_at: float = -inf
    acked_at: float | None = None
    probed_at: float = -inf
    timeouts: int = 0

    def needs_time(self, now: float) -> bool:
        """Return whether Redis must be asked for its time before a request."""
        return self.server_time is None or now > self.server_time[1] + _CLOCK_AGE

    def probe(self, now: float) -> None:
        """Note that Redis is asked for its time."""
        self.probed_at = now

    def note_time(self, server_time: float, now: float) -> None:
        """Note Redis's time."""
        self.server_time = (server_time, now)

    def void_after(self, now: float) -> float:
        """Return Redis's time after which nobody waits for the reply to a request sent now."""
        assert self.server_time is not None
        there, here = self.server_time
        return round(there + now + TIMEOUT - here, 6)

    def known(self, now: float, *, idle: bool) -> Known:
        """Return what we know of the state; `idle`: nothing was used since it was acknowledged."""
        rested = now - self.acked_at if idle and self.acked_at is not None else 0.0
        return Known(number=self.number, peers=self.peers, enrolled=self.enrolled, idle=rested)

    def request_sent(self, now: float, *, leaving: bool) -> None:
        """Note that a request was sent: from here on Redis may count on us."""
        self.registered = not leaving
        self.sent_at = self.probed_at = now

    @property
    def is_request_pending(self) -> bool:
        """Whether what was sent last was a request, and no question for the time."""
        return self.sent_at == self.probed_at

    def acknowledge(self, reply: SyncReply, now: float) -> None:
        """Note a reply that was not `late`."""
        self.timeouts = 0
        self.acked_at = now
        self.number = reply.number
        self.peers = reply.peers
        self.enrolled = self.registered

    def fail(self, *, timed_out: bool) -> None:
        """Note that no usable reply came."""
        self.timeouts = self.timeouts + 1 if timed_out else 0
        self.server_time = None

    def next_probe(self, *, falling_back: bool) -> float:
        """Return when to try again."""
        if self.timeouts >= _MAX_TIMEOUTS:
            return self.probed_at + RECENT
        return self.probed_at + (_PROBE if falling_back else _PROBE_SOON)
