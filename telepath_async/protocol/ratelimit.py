"""The key's rate limit by the headers of an answer.

What becomes of it is decided in `token_bucket.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from attrs import frozen

from .url import http_date

MAX_LIMIT: Final = 10_000_000
"""A limit above this is a mistake, ours or the server's."""

_MOST_DIGITS: Final = 15
# 11 digits reach the year 5138: milliseconds do not pass.
_UNIX_SECONDS: Final = re.compile(r"[0-9]{1,11}(\.[0-9]{1,9})?")


@frozen
class RateLimit:
    """The key's rate limit by an answer's headers; one that is absent or garbage is None.

    `limit`: requests a minute; `remaining`: requests left in the server's window; `reset_at`: when
    that window ends, by the server's clock; `resets_in`: seconds from the answer until then, free
    of clock skew (Reset minus Date). API reference: Rate Limits.
    """

    limit: int | None
    remaining: int | None
    reset_at: datetime | None
    resets_in: float | None = None


def read_rate_limit(headers: Mapping[str, str]) -> RateLimit | None:
    """Read the `X-RateLimit-*` headers, their names in any case; None: nothing usable."""
    # The multidicts of aiohttp look names up in any case by themselves.
    named = (
        headers
        if hasattr(headers, "getall")
        else {name.lower(): value for name, value in headers.items()}
    )
    return _parsed(
        named.get("x-ratelimit-limit", ""),
        named.get("x-ratelimit-remaining", ""),
        named.get("x-ratelimit-reset", ""),
        named.get("date", ""),
    )


@lru_cache(maxsize=64)  # limiter, retry and events each ask for those of one answer
def _parsed(limit_text: str, left_text: str, reset_text: str, date: str) -> RateLimit | None:
    limit, remaining = _limit(limit_text), _whole(left_text)
    reset_at, resets_in = _reset(reset_text, date)
    if limit is None and remaining is None and reset_at is None:
        return None
    return RateLimit(limit, remaining, reset_at, resets_in)


def _whole(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isdecimal() and text.isascii() and len(text) <= _MOST_DIGITS else None


# The answers of one second carry one limit, one reset and one Date: these two are half of what an
# answer costs to learn from.


@lru_cache(maxsize=64)
def _limit(text: str) -> int | None:
    limit = _whole(text)
    return limit if limit is not None and 1 <= limit <= MAX_LIMIT else None


@lru_cache(maxsize=64)
def _reset(text: str, date: str) -> tuple[datetime | None, float | None]:
    """Return when the server's window ends, and how many seconds after its Date that is."""
    text = text.strip()
    if not _UNIX_SECONDS.fullmatch(text):
        return None, None
    reset, sent_at = float(text), http_date(date.strip())
    resets_in = None if sent_at is None or reset < sent_at else reset - sent_at
    return datetime.fromtimestamp(reset, UTC), resets_in
