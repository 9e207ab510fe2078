"""`to_dict`: a model as what JSON can hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import Enum
from functools import cache
from types import NoneType
from typing import Any, Final

import attrs

from ..secret import Secret

_JSON: Final = (str, int, float, bool, NoneType)


def to_dict(model: Any) -> dict[str, Any]:
    """Return a model, a page or a report as a dict that any JSON encoder takes.

    Keys are the names of the fields; times are ISO 8601 text in UTC, spans are seconds, secrets are
    masked. What a `repr` does not show, such as `Response.body`, is left out.
    """
    found: dict[str, Any] = plain(model)
    return found


def plain(value: Any, secret: Callable[[Secret], str] = str) -> Any:
    """Return a value as JSON can hold it; `secret` returns what stands for each secret."""
    kind: Any = type(value)
    if kind in _JSON:
        return value
    if isinstance(value, Secret):
        return secret(value)
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Enum):
        return value.value
    if attrs.has(kind):
        return {name: plain(getattr(value, name), secret) for name in _shown(kind)}
    if isinstance(value, Mapping):
        return {key: plain(part, secret) for key, part in value.items()}
    if isinstance(value, list | tuple | frozenset):
        return [plain(part, secret) for part in value]
    if isinstance(value, Exception):
        return f"{kind.__name__}: {value}"
    return value.__fspath__() if hasattr(value, "__fspath__") else value


@cache
def _shown(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in attrs.fields(kind) if field.repr)
