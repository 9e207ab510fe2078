"""One limiter's side of the shared bucket: what to send to Redis and when, and when to fall back to
the local share.

No await, no clock, no random: `now` is monotonic seconds, handed in. The bucket itself is
bucket.lua; the proof that both together hold the limit is in limiter.py.
"""

from __future__ import annotations

from math import ceil, inf
from typing import Final, Literal, final

from attrs import evolve, frozen

from telepath_async import RateLimit
from telepath_async.protocol.ratelimit import MAX_LIMIT
from telepath_async.protocol.token_bucket import MAX_PAUSE

from .fallback import Fallback
from .lease import Lease, Pause, Usage
from .link import Link
from .messages import Demand, SyncReply, SyncRequest, Terms, Tokens
from .report import Report, Reports
from .shares import Shares
from .times import HEARTBEAT, LEASE, RECENT, SETTLE

State = Literal["shared", "local"]

_PATIENCE: Final = 0.1  # between two requests for new waiters: at most ten a second
_BATCH: Final = 12  # tokens that a reply should bring to those who wait
_KEEP: Final = 3600.0
_FORGET_PERIODS: Final = 10


@frozen
class _Asked:
    """What the last request asked for, how far it was met, and when to ask again, in seconds.

    `unmet`: not all who wait got a token; `short`: nor was all of the spare granted.
    """

    demand: Demand = Demand()
    unmet: bool = False
    short: bool = False
    again: float = 0.0


@final
class Member:
    """Counts tokens, and knows what Redis may believe of this limiter."""

    def __init__(self, member_id: str, shares: Shares) -> None:
        self.shares = shares
        self.link = Link()
        self._id = member_id
        self._config = f"{shares.limit} {shares.burst}"
        self._lease = Lease()
        self._usage = Usage()
        self._pause = Pause()
        self._asked = _Asked()
        self._reports = Reports()
        self._fallback = Fallback()

    @property
    def state(self) -> State:
        """Where tokens come from."""
        return "local" if self._fallback.degraded else "shared"

    @property
    def in_hand(self) -> int:
        """The tokens that Redis has lent."""
        return self._lease.tokens

    def take(self, now: float) -> bool:
        """Take one token, or return False."""
        if now < self._pause.until:
            return False
        if not self._lease.take(now) and not self._take_local(now):
            return False
        self._usage.count(now)
        return True

    def _take_local(self, now: float) -> bool:
        fallback = self._fallback
        if not fallback.may_fall_back(now):
            return False
        bucket = fallback.bucket
        if bucket is None:
            self._lease.tokens = 0
            bucket = fallback.start(self.shares.local(now))
        return bucket.take(now)

    def give_back(self, taken_at: float, now: float) -> None:
        """Return a token that was not used. Once a request has reported it as used, it is gone."""
        if self._fallback.bucket is not None:
            self._fallback.bucket.give_back(taken_at)
        elif taken_at > self.link.sent_at and self._lease.give_back(taken_at, now):
            self._usage.taken -= 1

    def next_at(self, now: float) -> float:
        """Return when there may be a token without another reply from Redis."""
        fallback = self._fallback
        soonest = max(now, self._pause.until)
        if self._lease.tokens and soonest < self._lease.use_by:
            return soonest
        if fallback.failed_at == -inf:
            return inf
        soonest = max(soonest, fallback.starts_at)
        if not fallback.may_fall_back(soonest):
            return inf
        return soonest if fallback.bucket is None else max(soonest, fallback.bucket.next_at(now))

    def least_wait(self, ahead: int, now: float) -> float:
        """Return the seconds that a caller with `ahead` others before it waits at the least."""
        bucket = self._fallback.bucket
        if bucket is not None and self._fallback.may_fall_back(now):
            wait = bucket.next_at(now, ahead) - now
        else:
            wait = (ahead + 1 - self.shares.burst) / self.shares.rate
        return max(0.0, wait, self._pause.until - now)

    # --- requests and replies ---

    def due(self, now: float, interactive: int, bulk: int) -> float:
        """Return when to send the next request; inf: not before somebody wants something."""
        link, waiting = self.link, interactive + bulk
        urgent = self._reports.pending.urgent
        if self._fallback.failed_at != -inf:
            wanted = waiting or urgent or now < self._usage.taken_at + self.shares.period
            falling_back = self._fallback.may_fall_back(now)
            return link.next_probe(falling_back=falling_back) if wanted else inf
        if urgent:
            return now
        due = self._due_by_demand(interactive, bulk)
        if waiting and self._pause.until > now:
            due = min(max(due, link.sent_at + HEARTBEAT), self._pause.until)
        return due

    def _due_by_demand(self, interactive: int, bulk: int) -> float:
        sent_at, asked = self.link.sent_at, self._asked
        if (interactive or bulk) and asked.unmet:
            due = sent_at + asked.again
            is_first = interactive and not asked.demand.interactive
            return min(due, sent_at + _PATIENCE / 4) if is_first else due
        if interactive or bulk:
            return sent_at + min(asked.again, _PATIENCE)
        if not self.link.registered:
            return inf
        if not asked.short and self._lease.tokens < self._usage.spare // 4:
            return sent_at + asked.again
        return sent_at + HEARTBEAT

    def request(self, now: float, interactive: int, bulk: int, *, leaving: bool = False) -> str:
        """Return the request to send now. From here on Redis may count on us."""
        leaving = leaving or not (interactive or bulk or self._usage.taken)
        self._usage.measure(now - self.link.sent_at)
        spare = self._usage.spare
        returned = self._lease.release(0 if leaving else spare + interactive + bulk, now)
        held = self._lease.tokens
        self._asked = evolve(
            self._asked,
            demand=Demand(interactive=interactive, bulk=bulk, spare=max(0, spare - held)),
        )
        report = self._reports.send()
        request = SyncRequest(
            id=self._id,
            void_after=self.link.void_after(now),
            known=self.link.known(now, idle=not self._fallback.degraded),
            tokens=Tokens(held=held, returned=returned),
            demand=evolve(
                self._asked.demand,
                interactive=min(interactive, MAX_LIMIT),
                bulk=min(bulk, MAX_LIMIT),
            ),
            terms=self._terms(),
            leaving=leaving,
            new_limit=report.new_limit,
            api=self._reports.api_window(report, now),
            pause=self._pause.left(now),
        )
        self.link.request_sent(now, leaving=leaving)
        self._fallback.request_sent(now)
        return request.text()

    def _terms(self) -> Terms:
        shares = self.shares
        return Terms(
            config=self._config,
            expected=shares.expected,
            limit=shares.limit,
            burst=shares.burst,
            rate=shares.rate,
            period=shares.period,
            lease=LEASE,
            settle=SETTLE,
            max_pause=MAX_PAUSE,
            forget=_FORGET_PERIODS * shares.period,
            keep=ceil(1000 * (_KEEP + _FORGET_PERIODS * shares.period)),
            batch=_BATCH,
        )

    def apply(self, reply: SyncReply, now: float) -> None:
        """Apply the reply to the request that was sent last."""
        self.link.note_time(reply.server_time, now)
        if reply.late:
            self.link.registered = False
            self._asked = evolve(self._asked, unmet=True, again=_PATIENCE / 2)
            self._lease.void(now)
            self._reports.requeue()
            return
        self._fallback.recover()
        self.link.acknowledge(reply, now)
        if not reply.renewed:
            self._lease.void(now)  # also what was taken since the request was sent
        self._lease.tokens += reply.granted
        # By our clock this is before they are void in Redis: it got the request after we sent it.
        self._lease.use_by = self.link.sent_at + LEASE * 0.999
        demand = self._asked.demand
        self._asked = _Asked(
            demand,
            unmet=reply.granted < demand.waiting,
            short=reply.granted < demand.waiting + demand.spare,
            again=reply.again,
        )
        pending = self._reports.pending
        if not pending.urgent:
            self._pause.until = now + reply.pause
        if reply.limit != self.shares.limit and not pending.new_limit:
            self.shares = evolve(self.shares, limit=reply.limit)

    def fail(self, *, refused: bool) -> None:
        """Note that Redis did not reply to what was sent last, or (`refused`) with an error.

        The script writes once, at its end: where it failed, nothing was written, and Redis does not
        count the request.
        """
        link, fallback = self.link, self._fallback
        was_request = link.is_request_pending
        if was_request:
            self._reports.requeue()
        if was_request and refused:
            fallback.request_refused()
        timed_out = was_request and not refused
        if timed_out or link.probed_at > fallback.failed_at + RECENT:
            # Redis may have carried it out until the timeout, and counts on us for a lease more.
            # Only where there was no reply for as long may the others, too, have seen it fail.
            fallback.postpone(link.probed_at)
        fallback.failed_at = link.probed_at
        link.fail(timed_out=timed_out)

    # --- the API's own rate limit ---

    def pause(self, seconds: float, now: float) -> None:
        """Take no token for so long, and have Redis pass it on to the others at once."""
        if self._pause.ask(seconds, now):
            self._reports.add(Report(urgent=True))

    def learn(self, seen: RateLimit, now: float) -> bool:
        """Learn from an answer's headers; return whether a request is due at once."""
        limit = seen.limit
        if limit is not None and limit != self.shares.limit and self.shares.period == 60.0:
            self._reports.add(Report(new_limit=True, urgent=limit < self.shares.limit))
            self.shares = evolve(self.shares, limit=limit)
            self._fallback.bucket = None
        if seen.remaining is not None and seen.reset_at is not None and seen.resets_in is not None:
            self._learn_window(seen, min(seen.resets_in, self.shares.period), now)
        return self._reports.pending.urgent

    def _learn_window(self, seen: RateLimit, resets_in: float, now: float) -> None:
        is_strictest = self._reports.learn(seen, resets_in, now)
        if self._fallback.bucket is not None:
            self._fallback.bucket.learn(evolve(seen, limit=None), now)
        ends = self._reports.window_ends
        if is_strictest and seen.remaining == 0 and ends > max(now, self._pause.until):
            self._pause.until = ends
            self._reports.add(Report(urgent=True))
