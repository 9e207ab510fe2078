"""Moments as people type them in a shell. Pure: the present is handed in."""

from __future__ import annotations

from datetime import UTC, datetime

from telepath_async import UsageError
from telepath_async.spans import is_span, read_span

__all__ = ["read_moment", "read_span"]


def read_moment(text: str, now: datetime) -> datetime:
    """Return a date (its first moment), a time, or a span before `now`, in UTC.

    UTC is meant where no zone is given. Raises UsageError.
    """
    if is_span(text):
        return (now - read_span(text)).astimezone(UTC)
    try:
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise UsageError(
        f"{text[:40]!r} is not a time; write 2026-11-01, 2026-11-01T12:00:00Z, or how long "
        "ago: 24h, 7d"
    )
