"""Read what a browser asks, strictly: which calls, of which time. The present is handed in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from attrs import frozen

from telepath_async import UsageError
from telepath_async.insights.cells import Filter

from .figures import Span

RANGES: Final = {"24h": 24, "7d": 168, "30d": 720}
_MOST_HOURS: Final = 24 * 92
_HOUR: Final = 3600


@frozen
class Question:
    """The calls and the time that figures are asked for."""

    wanted: Filter
    span: Span


def read_question(query: Mapping[str, str], now: datetime) -> Question:
    """Return what is asked for: `range`, or `since` and `until`, and filters. Raises UsageError."""
    running = int(now.timestamp()) // _HOUR
    if "since" in query or "until" in query:
        first = int(read_time(query, "since").timestamp()) // _HOUR
        last = min((int(read_time(query, "until").timestamp()) - 1) // _HOUR, running)
    else:
        name = query.get("range", "7d")
        if name not in RANGES:
            raise UsageError(f"range must be one of {', '.join(RANGES)}, not {name[:20]!r}")
        first, last = running - RANGES[name], running
    if not 0 <= first <= last < first + _MOST_HOURS:
        raise UsageError(
            "since must be 1970 or later, before until and the present, and 92 days at most before"
        )
    return Question(read_filter(query), Span(first, last, running))


def read_filter(query: Mapping[str, str]) -> Filter:
    """Return the filters; one that is absent or empty takes all."""
    return Filter(
        account=query.get("account") or None,
        trunk=query.get("trunk") or None,
        direction=query.get("direction") or None,
    )


def read_time(query: Mapping[str, str], name: str) -> datetime:
    """Return the time under `name`, UTC where no zone is given. Raises UsageError."""
    try:
        moment = datetime.fromisoformat(query[name])
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return aware.astimezone(UTC)
    except (KeyError, ValueError, OverflowError):
        raise UsageError(f"{name} must be a time such as 2026-11-28T14:00:00Z") from None
