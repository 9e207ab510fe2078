"""What all models share: enumerations that stay open, and how a field says its other names on the wire."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Self

from attrs import field


class OpenEnum(StrEnum):
    """An enumeration that also holds values nobody has documented yet; compare with `==`."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        member = str.__new__(cls, value)
        member._name_ = value
        member._value_ = value
        return member


def named(*names: str) -> Any:
    """Return an optional attrs field whose key on the wire is one of `names`; the first that stands in the answer wins."""
    return field(default=None, metadata={"names": names})


def guessed(*names: str) -> Any:
    """Return an optional field that no page documents: a value of another type stands in `extra`, and breaks nothing."""
    return field(default=None, metadata={"names": names, "guessed": True})


def extra_fields() -> Any:
    """Return the attrs field for what the model does not know: JSON key -> value, credentials as `Secret`."""
    return field(factory=dict, hash=False)
