"""`Checkpoint`: a place in a list, with the filters bound into it, as a short JSON string that people can store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NoReturn

import msgspec
from attrs import frozen

from ..errors import UsageError

Style = Literal["offset", "cursor"]

_VERSION: Final = 1


@frozen(kw_only=True)
class Checkpoint:
    """Stands behind the row `last` of the list `of`.

    `style`: None until the first answer has shown it. Offset style: `at` rows lie behind us, of `total`. Cursor style:
    `at` rows of the page that `cursor` opens (None = the first) lie behind us. `done`: there is nothing more.
    """

    of: str
    filters: Mapping[str, str]
    style: Style | None = None
    at: int = 0
    total: int | None = None
    cursor: str | None = None
    last: str | None = None
    done: bool = False

    def text(self) -> str:
        """Return the JSON string."""
        fields = {name: getattr(self, name) for name in _FIELDS}
        kept = {name: value for name, value in fields.items() if value not in (None, 0, False, {})}
        return msgspec.json.encode({"v": _VERSION, **kept}).decode()


_FIELDS: Final = ("of", "filters", "style", "at", "total", "cursor", "last", "done")


class _Stored(msgspec.Struct, forbid_unknown_fields=True):
    v: Literal[1]
    of: str
    filters: dict[str, str] = {}
    style: Style | None = None
    at: int = 0
    total: int | None = None
    cursor: str | None = None
    last: str | None = None
    done: bool = False


def read_checkpoint(text: object, *, of: str, filters: Mapping[str, str]) -> Checkpoint:
    """Return the checkpoint in `text`. Raises UsageError when it is none, is of another list, or `filters` differ."""
    if not isinstance(text, str):
        _refuse(f"expected a string, got {type(text).__name__}")
    try:
        stored = msgspec.json.decode(text, type=_Stored)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        why = str(error)
    else:
        return _checked(stored, of, filters)
    _refuse(why)


def _checked(stored: _Stored, of: str, filters: Mapping[str, str]) -> Checkpoint:
    if stored.of != of:
        _refuse(f"it belongs to the list of {stored.of[:40]!r}, not of {of!r}")
    if stored.at < 0 or (stored.total or 0) < 0:
        _refuse("it holds a negative number")
    differing = [name for name, value in filters.items() if stored.filters.get(name) != value]
    if differing:
        _refuse(f"its own filters differ in {', '.join(differing)}; leave the filters out, the checkpoint holds them")
    return Checkpoint(**{name: getattr(stored, name) for name in _FIELDS})


def _refuse(why: str) -> NoReturn:
    raise UsageError(f"resume={{...}} cannot be used: {why}; pass what `Paginator.checkpoint` gave, unchanged")
