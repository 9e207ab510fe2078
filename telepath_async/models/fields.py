"""What all models share: their class, enumerations that stay open, and how a field says its name on the wire."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Final, Self

import msgspec

EXTRA: Final = "(extra)"
"""What `extra` is called on the wire: no server sends it, and a key `extra` is extra, too."""


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A frozen value whose fields are made by keyword; `copy` and `msgspec.structs.replace` make
    another one of it.

    It holds what JSON holds, and so no cycles: the garbage collector need not know it (`gc=False`).
    It is decoded straight from JSON (`protocol/fast.py`), and refuses a key that it does not know:
    `protocol/shapes.py` then puts that into `extra`, moves what stands under one of `_other_names`
    (name on the wire -> field) to its field, and a value of another type than a `_guessed` field,
    which no page documents, into `extra` too.
    """

    _other_names: ClassVar[dict[str, str]] = {}
    _guessed: ClassVar[tuple[str, ...]] = ()

    def __hash__(self) -> int:
        # Dicts, such as `extra`, have no hash; two models that are equal differ in nothing else
        # either.
        plain = (
            value
            for value in msgspec.structs.astuple(self)
            if isinstance(value, str | int | float | datetime)
        )
        return hash((type(self), *plain))


class Listed(Model, frozen=True):
    """What has an id, and comes in lists."""

    id: str


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


def named(name: str) -> Any:
    """Return an optional field that has another name on the wire."""
    return msgspec.field(default=None, name=name)


def extra_fields() -> Any:
    """Return the field for what the model does not know: JSON key -> value, credentials as `Secret`."""
    return msgspec.field(default_factory=dict, name=EXTRA)
