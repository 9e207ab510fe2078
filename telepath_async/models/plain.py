"""`to_dict`: a model as what JSON can hold."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Any

import attrs

from ..secret import Secret


def to_dict(model: Any) -> dict[str, Any]:
    """Return a model, a page or a report as a dict that any JSON encoder takes.

    Keys are the names of the fields; times are ISO 8601 text in UTC, secrets are masked.
    """
    return {field.name: _plain(getattr(model, field.name)) for field in attrs.fields(type(model))}


def _plain(value: Any) -> Any:
    if isinstance(value, Secret):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, Enum):
        return value.value
    if attrs.has(type(value)):
        return to_dict(value)
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value
