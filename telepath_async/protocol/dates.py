"""The date range of `/calls`: how it is spelled in a query, which rows it holds, how it is cut."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from attrs import evolve, frozen

from ..checks import check_time_range
from ..errors import UsageError
from .checkpoint import Style
from .url import Query, query_of

_LAST_SECOND: Final = datetime(9999, 12, 30, tzinfo=UTC)  # no zone's calendar ends before


@frozen(kw_only=True)
class DateRange:
    """From `since` to `until`, both inclusive, both aware; None = open."""

    since: datetime | None = None
    until: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether every moment lies inside."""
        return self.since is None and self.until is None

    def filters(self) -> dict[str, str]:
        """Return the exact range as a checkpoint holds it."""
        return dict(self.query(None))

    def query(self, style: Style | None) -> Query:
        """Return `from`/`to` and, for an offset server, `start_date`/`end_date` too.

        A server ignores the spelling that it does not know.
        """
        spelled = query_of(**{"from": self.since, "to": self.until})
        if style != "offset":
            return spelled
        return spelled + query_of(start_date=self.since, end_date=self.until)

    def rounded(self) -> DateRange:
        """Return the range to ask for: up to a whole second, since a server may count in those.

        `holds` drops the rest.
        """
        until = self.until
        if until is None or not until.microsecond or until > _LAST_SECOND:
            return self
        return evolve(self, until=until.replace(microsecond=0) + timedelta(seconds=1))

    def holds(self, moment: datetime | None) -> bool:
        """Whether `moment` lies inside; a row without a time counts as inside."""
        if moment is None:
            return True
        return (self.since is None or self.since <= moment) and (
            self.until is None or moment <= self.until
        )

    def shards(self, count: int) -> list[DateRange]:
        """Return `count` ranges that together are this one and share no moment.

        Raises UsageError where an end is open, or a shard would be shorter than a second.
        """
        if count == 1:
            return [self]
        if self.since is None or self.until is None:
            raise UsageError("shards need a range to be cut into: give since and until")
        step = (self.until - self.since) / count
        if step < timedelta(seconds=1):
            raise UsageError(
                f"{count} shards of this range would be shorter than a second; use fewer"
            )
        cuts = [(self.since + index * step).replace(microsecond=0) for index in range(1, count)]
        ends = [*(cut - timedelta(microseconds=1) for cut in cuts), self.until]
        return [
            evolve(self, since=since, until=until)
            for since, until in zip([self.since, *cuts], ends, strict=True)
        ]


def date_range(since: datetime | None, until: datetime | None) -> DateRange:
    """Return the range, both ends inclusive.

    Raises UsageError on a naive time, or when `since` is later than `until`.
    """
    check_time_range(since, until)
    return DateRange(since=since, until=until)


def read_range(filters: Mapping[str, str]) -> DateRange:
    """Return the range that a checkpoint's filters hold.

    Raises UsageError on a text that is not a time with a zone.
    """
    return DateRange(since=_moment(filters.get("from")), until=_moment(filters.get("to")))


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.utcoffset() is None:
        raise UsageError(
            f"resume={{...}} holds {text[:40]!r}, which is not a time with a time zone; pass the "
            "checkpoint that a list gave, unchanged"
        )
    return moment
