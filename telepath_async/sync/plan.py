"""Where a walk begins and ends, whether one that was cut off can go on, and what one proves.

No I/O, no clock.

A walk proves that the table holds every call that was listed when it began: calls that begin
meanwhile may or may not be seen, since the order of the list is not documented. So the watermark
moves only when a walk has ended, and never past the moment (of the server's clock) at which it
began. Ends of ranges: None is open.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from attrs import define, evolve, frozen

from telepath_async.protocol.url import http_date

_BEGINNING = datetime.min.replace(tzinfo=UTC)
_NEAR = timedelta(minutes=5)
_PRESENT = timedelta(minutes=1)  # where calls still appear, and clocks differ


@frozen
class Coverage:
    """The table is complete from `since` up to the `watermark`."""

    since: datetime | None
    watermark: datetime


@frozen(kw_only=True)
class Walk:
    """A walk through the calls from `since` to `until`, as far as it has come.

    `rows` were handed out, up to `checkpoint`. `started`: the server's time at the first page;
    `newest`: the latest start time of all rows; `uncertain`: rows that may have been missed.
    """

    since: datetime | None
    until: datetime | None
    started: datetime | None = None
    newest: datetime | None = None
    rows: int = 0
    uncertain: int = 0
    checkpoint: str | None = None


def start_of(
    coverage: Coverage | None, since: datetime | None, until: datetime | None, lookback: timedelta
) -> datetime | None:
    """Return where to begin so that the table becomes complete from `since` to `until`.

    That is `lookback` before the watermark.
    """
    if (
        coverage is None
        or _from(since) < _from(coverage.since)
        or _from(since) > coverage.watermark
    ):
        return since
    known_until = coverage.watermark if until is None else min(coverage.watermark, until)
    if known_until - _BEGINNING < lookback:
        return since
    return max(known_until - lookback, _from(since))


def may_resume(walk: Walk, fresh: Walk, lookback: timedelta) -> bool:
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


def verified_until(walk: Walk) -> datetime | None:
    """Return up to which start time a walk that has ended makes the table complete.

    None: nothing is proven.
    """
    if walk.uncertain or walk.started is None:
        return None
    if walk.until is not None and walk.until <= walk.started:
        return walk.until
    return None if walk.newest is None else min(walk.newest, walk.started)


def merge(coverage: Coverage | None, walk: Walk) -> Coverage | None:
    """Return what the table covers once `walk` has ended.

    It is one range: the later one, where two do not touch.
    """
    watermark = verified_until(walk)
    if watermark is None:
        return coverage
    if coverage is None or _from(walk.since) > coverage.watermark:
        return Coverage(walk.since, watermark)
    if watermark < _from(coverage.since):
        return coverage
    since = walk.since if _from(walk.since) < _from(coverage.since) else coverage.since
    return Coverage(since, max(coverage.watermark, watermark))


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


def up_to_present(walk: Walk, now: datetime) -> list[Walk]:
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
        known = [utc for utc in map(_utc, (*found, self.oldest, self.newest)) if utc is not None]
        self.rows += len(found)
        self.oldest, self.newest = min(known, default=None), max(known, default=None)

    def halves(self, walk: Walk) -> tuple[Walk, ...]:
        """Cut a walk in the middle of the time that it has shown; none where that is too short."""
        if self.oldest is None or self.newest is None:
            return ()
        cut = (self.oldest + (self.newest - self.oldest) / 2).replace(microsecond=0)
        if cut <= self.oldest:
            return ()
        return Walk(since=walk.since, until=cut), Walk(since=cut, until=walk.until)


def latest(*moments: datetime | None) -> datetime | None:
    """Return the latest of the moments that are known, in UTC.

    One that UTC's calendar cannot hold proves nothing.
    """
    return max((utc for utc in map(_utc, moments) if utc is not None), default=None)


def server_time(date: str | None, otherwise: datetime) -> datetime:
    """Return the time in a `Date` header, or `otherwise` where it holds none."""
    seconds = http_date(date or "")
    return otherwise if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _from(since: datetime | None) -> datetime:
    return _BEGINNING if since is None else since


def _utc(moment: datetime | None) -> datetime | None:
    try:
        return None if moment is None else moment.astimezone(UTC)
    except OverflowError:
        return None
