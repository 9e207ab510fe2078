"""One limiter's side of the shared bucket: the tokens in hand, what to tell Redis and when, and
when to go on alone.

No await, no clock, no random: `now` is monotonic seconds, handed in. The bucket itself is
bucket.lua; the proof that both together hold the limit is in limiter.py.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from math import ceil, inf
from typing import Any, Final, Literal, final

from attrs import evolve, frozen

from telepath_async import RateLimit
from telepath_async.protocol.ratelimit import MAX_LIMIT, MAX_PAUSE, TokenBucket

from .shares import Shares

State = Literal["shared", "local"]

TIMEOUT: Final = 0.5
"""Seconds that a word with Redis may take."""

LEASE: Final = 1.0
"""Seconds after which tokens in hand are void, and who was not heard counts as alone."""

SETTLE: Final = 3.0
"""Seconds after an outage in which Redis holds back the shares of the unheard: over _FRESH."""

_FRESH: Final = 2.0  # a local share is for those who saw Redis fail as lately as that
_PROBE_SOON: Final = (
    0.25  # without a gap between two timeouts, so that no short recovery goes unseen
)
_PROBE: Final = 1.0
_PATIENT_WORDS: Final = (
    3  # so many in a row without an answer, and we keep silent for long enough to go alone
)
_BEAT: Final = 0.4  # an idle limiter gives back what it holds by then; well within LEASE
_AHEAD: Final = 0.5  # seconds of demand to hold tokens for
_PATIENCE: Final = 0.1  # between two words for new waiters: at most ten a second
_NEVER: Final = datetime.min.replace(tzinfo=UTC)
_BATCH: Final = 12  # tokens a word that those who wait should bring home
_CLOCK_AGE: Final = 60.0  # two clocks drift apart by milliseconds in that
_KEEP: Final = 3600.0
_FORGET_PERIODS: Final = 10


@frozen
class Answer:
    """What bucket.lua said."""

    late: bool
    server_time: float
    number: int = 0
    granted: int = 0
    renewed: bool = False
    again: float = 0.0
    pause: float = 0.0
    limit: int = 0
    peers: int = 0


def read_answer(reply: list[Any]) -> Answer:
    """Read the script's reply; its times are microseconds."""
    if reply[0] in (b"late", "late"):
        return Answer(True, reply[1] / 1e6)
    _, server_time, number, granted, renewed, again, pause, limit, peers = reply
    return Answer(
        False,
        server_time / 1e6,
        number,
        granted,
        bool(renewed),
        again / 1e6,
        pause / 1e6,
        int(limit),
        peers,
    )


@final
class Member:
    """Counts tokens, and knows what Redis may believe of this limiter."""

    def __init__(self, member_id: str, shares: Shares) -> None:
        self._id = member_id
        self.shares = shares
        self._conf = f"{shares.limit} {shares.burst}"
        self._tokens = 0
        self._use_by = -inf
        self._void_at = -inf
        self._taken = 0
        self._pace = 0.0  # tokens a second
        self._taken_at = -inf
        self._paused_until = -inf
        self._pause_ends = -inf  # of the longest pause that a 429 of ours asked for
        # What Redis knows of us.
        self._present = False
        self._number = 0
        self._peers = 0
        self._enrolled = False
        self._clock: tuple[float, float] | None = (
            None  # Redis's time, and the latest of ours at which it was that
        )
        self._spoken_at = -inf
        self._heard_at: float | None = None
        self._again = 0.0
        self._asked = (0, 0)  # interactive, bulk
        self._unmet = False
        self._short = False  # not even those who do not wait yet got all
        self._asked_spare = 0
        # What Redis has still to hear.
        self._news: RateLimit | None = None
        self._known: RateLimit | None = None  # the strictest of the API's present window
        self._news_ends = -inf
        self._learned = False
        self._urgent = False
        # Without Redis.
        self._failed_at = -inf
        self._probed_at = -inf
        self._alone_from = inf
        self._local: TokenBucket | None = None
        self._was_alone = False
        self._unanswered = 0  # words in a row
        self._before_word: tuple[float, TokenBucket | None] = (inf, None)  # _alone_from and _local
        self._told: tuple[RateLimit | None, bool, bool] = (
            None,
            False,
            False,
        )  # _news, _learned, _urgent

    @property
    def state(self) -> State:
        """Where tokens come from."""
        return "local" if self._was_alone else "shared"

    @property
    def is_present(self) -> bool:
        """Whether Redis may count on us, or hold something for us."""
        return self._present

    def take(self, now: float) -> bool:
        """Take one token, or return False."""
        if now < self._paused_until:
            return False
        if self._tokens and now < self._use_by:
            self._tokens -= 1
        elif not self._may_go_alone(now) or not self._alone(now).take(now):
            return False
        self._taken += 1
        self._taken_at = now
        return True

    def give_back(self, taken_at: float, now: float) -> None:
        """Return a token that was not used. Once Redis was told that it was, it is gone."""
        if self._local is not None:
            self._local.give_back(taken_at)
        elif taken_at > self._spoken_at and taken_at >= self._void_at and now < self._use_by:
            self._tokens += 1
            self._taken -= 1

    def next_at(self, now: float) -> float:
        """Return when there may be a token without another word from Redis."""
        if self._tokens and max(now, self._paused_until) < self._use_by:
            return max(now, self._paused_until)
        if self._failed_at == -inf:
            return inf
        soonest = max(now, self._alone_from, self._paused_until)
        if not self._may_go_alone(soonest):
            return inf
        return soonest if self._local is None else max(soonest, self._local.next_at(now))

    def least_wait(self, ahead: int, now: float) -> float:
        """Return the seconds that one with `ahead` others before him waits at the least."""
        if self._local is not None and self._may_go_alone(now):
            wait = self._local.next_at(now, ahead) - now
        else:
            wait = (ahead + 1 - self.shares.burst) / self.shares.rate
        return max(0.0, wait, self._paused_until - now)

    def _may_go_alone(self, now: float) -> bool:
        return self._alone_from <= now <= self._failed_at + _FRESH

    def _alone(self, now: float) -> TokenBucket:
        if self._local is None:
            self._tokens = 0
            self._local = self.shares.local(now)
            self._was_alone = True
        return self._local

    # --- what is said, and when ---

    def due(self, now: float, interactive: int, bulk: int) -> float:
        """Return when to speak with Redis next; inf: not before somebody wants something."""
        waiting = interactive + bulk
        if self._failed_at != -inf:
            wanted = waiting or self._urgent or now < self._taken_at + self.shares.period
            return self._probed_at + self._probe_pause(now) if wanted else inf
        if self._urgent:
            return now
        due = self._spoken_at + _BEAT if self._present else inf
        if waiting and self._unmet:
            due = self._spoken_at + self._again
            if interactive and not self._asked[0]:
                due = min(due, self._spoken_at + _PATIENCE / 4)
        elif waiting:
            due = self._spoken_at + min(self._again, _PATIENCE)
        elif self._present and not self._short and self._tokens < self._spare() // 4:
            due = self._spoken_at + self._again
        if waiting and self._paused_until > now:
            due = min(max(due, self._spoken_at + _BEAT), self._paused_until)
        return due

    def _probe_pause(self, now: float) -> float:
        if self._unanswered >= _PATIENT_WORDS:
            return _FRESH
        return _PROBE if self._may_go_alone(now) else _PROBE_SOON

    def _spare(self) -> int:
        return ceil(self._pace * _AHEAD)

    def needs_time(self, now: float) -> bool:
        """Say whether Redis must be asked for its time first: it believes nothing of us."""
        return self._clock is None or now > self._clock[1] + _CLOCK_AGE

    def probe(self, now: float) -> None:
        """Note that Redis is asked for its time."""
        self._probed_at = now

    def told_time(self, server_time: float, now: float) -> None:
        """Note Redis's time."""
        self._clock = (server_time, now)

    def ask(self, now: float, interactive: int, bulk: int, *, leaving: bool = False) -> str:
        """Return what to tell the script. From here on Redis may believe that we are with it."""
        assert self._clock is not None
        self._measure(now)
        if now >= self._use_by:
            self._tokens = 0
        leaving = leaving or not (interactive or bulk or self._taken)
        keep = 0 if leaving else min(self._tokens, self._spare() + interactive + bulk)
        returned, self._tokens = self._tokens - keep, keep
        self._taken = 0
        self._asked = (interactive, bulk)
        self._asked_spare = max(0, self._spare() - keep)
        self._present = not leaving
        said = {
            "id": self._id,
            "void_after": round(self._clock[0] + now + TIMEOUT - self._clock[1], 6),
            "seen": self._number,
            "peers": self._peers,
            "enrolled": self._enrolled,
            "idle": 0 if self._was_alone or self._heard_at is None else now - self._heard_at,
            "learned": self._learned,
            "held": keep,
            "returned": returned,
            "interactive": min(interactive, MAX_LIMIT),
            "bulk": min(bulk, MAX_LIMIT),
            "spare": self._asked_spare,
            "leaving": leaving,
            **self._terms(),
            **self._told_by_the_api(now),
        }
        if now < self._pause_ends:
            said["pause"] = round(self._pause_ends - now, 6)
        self._told = self._news, self._learned, self._urgent
        self._news, self._learned, self._urgent = None, False, False
        self._spoken_at = self._probed_at = now
        self._before_word = self._alone_from, self._local
        self._alone_from = now + TIMEOUT + LEASE
        self._local = None
        return json.dumps(said)

    def _terms(self) -> dict[str, float | str]:
        shares = self.shares
        return {
            "conf": self._conf,
            "expected": shares.expected,
            "limit": shares.limit,
            "burst": shares.burst,
            "rate": shares.rate,
            "period": shares.period,
            "lease": LEASE,
            "settle": SETTLE,
            "max_pause": MAX_PAUSE,
            "forget": _FORGET_PERIODS * shares.period,
            "keep": ceil(1000 * (_KEEP + _FORGET_PERIODS * shares.period)),
            "batch": _BATCH,
        }

    def _told_by_the_api(self, now: float) -> dict[str, float | None]:
        if self._news is None or self._news.reset_at is None or self._news_ends <= now:
            return {}
        reset = self._news.reset_at.timestamp()
        return {
            "remaining": self._news.remaining,
            "reset": reset,
            "resets_in": self._news_ends - now,
        }

    def _measure(self, now: float) -> None:
        pace = self._taken / max(now - self._spoken_at, _BEAT / 2)
        self._pace = max(pace, self._pace / 2) if self._taken else 0.0

    def answered(self, answer: Answer, now: float) -> None:
        """Take what the script said to what was asked last."""
        self.told_time(answer.server_time, now)
        if answer.late:
            self._present, self._unmet, self._again, self._tokens = False, True, _PATIENCE / 2, 0
            self._void_at = now
            self._tell_again()  # what it said was not heard
            return
        self._failed_at = -inf
        self._was_alone = False
        self._unanswered = 0
        self._heard_at = now
        self._number = answer.number
        self._peers = answer.peers
        self._enrolled = self._present
        self._again = answer.again
        if not answer.renewed:
            self._tokens = 0
            self._void_at = now  # also of what was taken since we spoke
        self._tokens += answer.granted
        # By our clock this is before Redis takes them for void: it heard us after we spoke.
        self._use_by = self._spoken_at + LEASE * 0.999
        self._unmet = answer.granted < sum(self._asked)
        self._short = answer.granted < sum(self._asked) + self._asked_spare
        if not self._urgent:
            self._paused_until = now + answer.pause
        if answer.limit != self.shares.limit and not self._learned:
            self.shares = evolve(self.shares, limit=answer.limit)

    def failed(self, *, refused: bool) -> None:
        """Note that Redis did not answer what was asked last, or asked for its time; or that it
        refused to do it.

        The script writes once, at its end: where it failed, nothing was written, and Redis has not
        heard us.
        """
        spoke = self._spoken_at == self._probed_at
        if spoke:
            self._tell_again()
        if spoke and refused:
            self._alone_from, self._local = self._before_word
        unanswered = spoke and not refused
        if unanswered or self._probed_at > self._failed_at + _FRESH:
            # It may have heard us until the timeout, and believes that we are with it for a lease
            # more. Only what was not answered for as long shows that the others, too, may have seen
            # it fail.
            self._alone_from = self._probed_at + TIMEOUT + LEASE
            self._local = None
        self._unanswered = self._unanswered + 1 if unanswered else 0
        self._failed_at = self._probed_at
        self._clock = None

    def _tell_again(self) -> None:
        news, learned, urgent = self._told
        self._news = _strictest(self._news, news)
        self._learned = self._learned or learned
        self._urgent = self._urgent or urgent

    # --- what the API says ---

    def pause(self, seconds: float, now: float) -> None:
        """Grant nothing for so long, and have Redis tell the others at once."""
        ends = now + min(seconds, MAX_PAUSE)
        if ends > self._pause_ends:
            self._pause_ends = ends
            self._urgent = True
        self._paused_until = max(self._paused_until, ends)

    def learn(self, seen: RateLimit, now: float) -> bool:
        """Learn from an answer's headers; say whether Redis must hear of it at once."""
        if (
            seen.limit is not None
            and seen.limit != self.shares.limit
            and self.shares.period == 60.0
        ):
            self._urgent = self._urgent or seen.limit < self.shares.limit
            self.shares = evolve(self.shares, limit=seen.limit)
            self._learned = True
            self._local = None
        if seen.remaining is not None and seen.reset_at is not None and seen.resets_in is not None:
            if self._news_ends <= now:
                self._known = None
            self._known = _strictest(seen, self._known)
            if self._known is seen:
                self._news_ends = now + min(seen.resets_in, self.shares.period)
            self._news = self._known
            if self._local is not None:
                self._local.learn(evolve(seen, limit=None), now)
            if (
                self._known is seen
                and seen.remaining == 0
                and self._news_ends > max(now, self._paused_until)
            ):
                self._paused_until = self._news_ends
                self._urgent = True
        return self._urgent


def _strictest(*answers: RateLimit | None) -> RateLimit | None:
    """Return what counts of answers in any order: the latest window's least that is left."""
    seen = [answer for answer in answers if answer is not None]
    return max(
        seen, key=lambda answer: (answer.reset_at or _NEVER, -(answer.remaining or 0)), default=None
    )
