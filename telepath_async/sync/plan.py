"""Where a walk that was cut off goes on, and how walks are cut into parts. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from attrs import define, evolve

from telepath_async.columns import to_utc
from telepath_async.coverage import RangeWalk

_NEAR = timedelta(minutes=5)
_PRESENT = timedelta(minutes=1)  # where calls still appear, and clocks differ


def may_resume(walk: RangeWalk, fresh: RangeWalk, lookback: timedelta) -> bool:
    """Whether `walk`, which was cut off, leads to what `fresh` gives, without much else.

    People who pass `since` or `until` often count them from the present, so that they have moved
    on. A walk that ends earlier than `fresh` is followed by another one.
    """
    if walk.since != fresh.since and (
        walk.since is None
        or fresh.since is None
        or not timedelta(0) < fresh.since - walk.since <= lookback
    ):
        return False
    if walk.until is None:
        return fresh.until is None
    return fresh.until is None or walk.until <= fresh.until


def spans_of(starts: Iterable[datetime]) -> list[tuple[datetime, datetime]]:
    """Return the spans, in whole seconds, in which calls began; near ones are one span."""
    spans: list[tuple[datetime, datetime]] = []
    for start in sorted(starts):
        first = start.replace(microsecond=0)
        last = first + timedelta(seconds=1)
        if spans and first - spans[-1][1] <= _NEAR:
            first = spans.pop()[0]
        spans.append((first, last))
    return spans


def up_to_present(walk: RangeWalk, now: datetime) -> list[RangeWalk]:
    """Cut an open walk shortly before the present, so that shards can read the time before it."""
    cut = now.replace(microsecond=0) - _PRESENT
    return [evolve(walk, until=cut), evolve(walk, since=cut)]


@define
class Seen:
    """The calls that a walk has given so far: how many, and their start times from when to when."""

    rows: int = 0
    oldest: datetime | None = None
    newest: datetime | None = None

    def note(self, starts: Iterable[datetime | None]) -> None:
        """Take in a page, by the start times of its calls."""
        found = list(starts)
        known = [utc for utc in map(to_utc, (*found, self.oldest, self.newest)) if utc is not None]
        self.rows += len(found)
        self.oldest, self.newest = min(known, default=None), max(known, default=None)

    def halves(self, walk: RangeWalk) -> tuple[RangeWalk, ...]:
        """Cut a walk in the middle of the time that it has shown; none where that is too short."""
        if self.oldest is None or self.newest is None:
            return ()
        cut = (self.oldest + (self.newest - self.oldest) / 2).replace(microsecond=0)
        if cut <= self.oldest:
            return ()
        return RangeWalk(since=walk.since, until=cut), RangeWalk(since=cut, until=walk.until)
