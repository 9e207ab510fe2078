"""Moments and spans of time as people type them in a shell. Pure: the present is handed in."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from telepath_async import UsageError

_SPAN: Final = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def read_span(text: str) -> timedelta:
    """Return `90s`, `30m`, `24h`, `7d` or `2w` as a span of time. Raises UsageError."""
    match = _SPAN.fullmatch(text.strip())
    try:
        return timedelta(seconds=float(match[1]) * _SECONDS[match[2]]) if match else _none(text)
    except OverflowError:
        return _none(text)


def _none(text: str) -> timedelta:
    raise UsageError(f"{text[:40]!r} is no span of time; write 90s, 30m, 24h, 7d or 2w")


def read_moment(text: str, now: datetime) -> datetime:
    """Return a date (its first moment), a time, or a span before `now`, in UTC.

    UTC is meant where no zone is given. Raises UsageError.
    """
    try:
        if _SPAN.fullmatch(text.strip()):
            return (now - read_span(text)).astimezone(UTC)
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise UsageError(
        f"{text[:40]!r} is no time; write 2026-11-01, 2026-11-01T12:00:00Z, or how long "
        "ago: 24h, 7d"
    )
