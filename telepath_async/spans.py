"""Spans of time as people write them: `90s`, `30m`, `24h`, `7d`, `2w`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

from .errors import UsageError

_SPAN: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)([smhdw])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
LONGEST: Final = timedelta(weeks=5_200)


def is_span(text: str) -> bool:
    """Return whether the text is of the form of a span."""
    return _SPAN.fullmatch(text.strip()) is not None


def read_span(text: str) -> timedelta:
    """Return a span of up to 100 years. Raises UsageError."""
    match = _SPAN.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text[:40]!r} is not a span of time; write 90s, 30m, 24h, 7d or 2w")
    seconds = float(match[1]) * _SECONDS[match[2]]
    if seconds > LONGEST.total_seconds():
        raise UsageError(f"{text[:40]!r} is longer than 100 years (5200w); write a shorter span")
    return timedelta(seconds=seconds)
