"""What a column of a database can hold of a value: the rest is None, or replaced."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

_LONGEST_BEGINNING: Final = 100


def text(value: str | None) -> str | None:
    """Return text that every database takes."""
    # PostgreSQL takes no U+0000, neither in text nor in JSON, and nothing takes half a character;
    # str() makes a plain string of an enumeration's.
    if value is None:
        return None
    return str(value).replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def storable_id(value: str) -> str:
    """Return an id that every database takes; two that differ only by what it cannot stay two."""
    return value if text(value) == value else hashed_id(value)


def hashed_id(value: str) -> str:
    """Return the beginning of an id, and its hash."""
    digest = sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{text(value[:_LONGEST_BEGINNING])}...{digest}"


def figure(value: float | None) -> float | None:
    """Return a number as a double; None for one beyond all doubles."""
    try:
        return None if value is None else float(value)
    except OverflowError:
        return None


def to_utc(moment: datetime | None) -> datetime | None:
    """Return a time in UTC; None for one that its calendar cannot hold."""
    try:
        return None if moment is None else moment.astimezone(UTC)
    except OverflowError:
        return None


def json_value(value: Any) -> Any:
    """Return JSON in which every text is one that every database takes."""
    if isinstance(value, dict):
        return {text(name): json_value(item) for name, item in value.items()}
    if isinstance(value, list):
        return [json_value(item) for item in value]
    return text(value) if isinstance(value, str) else value
