"""Which range of time is complete, and what reading one more range proves. No I/O, no clock.

A walk proves that every call is stored that was listed when it began: calls that begin meanwhile
may or may not be seen, since the order of the list is not documented. So the watermark moves only
when a walk has ended, and never past the moment (of the server's clock) at which it began. Ends of
ranges: None is open.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from attrs import frozen

from .columns import to_utc
from .protocol.url import http_date

UNFINISHED_FOR: Final = timedelta(hours=24)
"""How long after its start a call that had not ended is asked for again."""
FINAL: Final = frozenset(
    ("completed", "failed", "disconnected", "busy", "no-answer", "canceled", "cancelled")
)
UNDER_WAY: Final = frozenset(
    ("queued", "initiated", "ringing", "in-progress", "in_progress", "active")
)

_BEGINNING: Final = datetime.min.replace(tzinfo=UTC)


@frozen
class Coverage:
    """The table is complete from `since` up to the `watermark`."""

    since: datetime | None
    watermark: datetime


@frozen(kw_only=True)
class RangeWalk:
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


def verified_until(walk: RangeWalk) -> datetime | None:
    """Return up to which start time a walk that has ended makes the table complete.

    None: nothing is proven.
    """
    if walk.uncertain or walk.started is None:
        return None
    if walk.until is not None and walk.until <= walk.started:
        return walk.until
    return None if walk.newest is None else min(walk.newest, walk.started)


def merge(coverage: Coverage | None, walk: RangeWalk) -> Coverage | None:
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


def has_ended(status: str | None, end_time: datetime | None) -> bool:
    """Whether a call has ended, by its status, or else by its end."""
    known = (status or "").lower()
    return known in FINAL or (known not in UNDER_WAY and end_time is not None)


def latest(*moments: datetime | None) -> datetime | None:
    """Return the latest of the moments that are known, in UTC.

    One that UTC's calendar cannot hold proves nothing.
    """
    return max((utc for utc in map(to_utc, moments) if utc is not None), default=None)


def server_time(date: str | None, otherwise: datetime) -> datetime:
    """Return the time in a `Date` header, or `otherwise` where it holds none."""
    seconds = http_date(date or "")
    return otherwise if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _from(since: datetime | None) -> datetime:
    return _BEGINNING if since is None else since
