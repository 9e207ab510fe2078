"""`Checkpoint`: a position in a list, with the filters bound into it, as a short JSON string."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import msgspec
from attrs import evolve, frozen

from ..errors import UsageError
from .wire import one_line

Style = Literal["offset", "cursor"]
_VERSION: Final = 1


@frozen(kw_only=True)
class Checkpoint:
    """Stands after the row `last` of the list `of`.

    `style`: None until the first answer has shown it. Offset style: `at` rows of `total` lie
    before this position. Cursor style: `at` rows of the page that `cursor` opens (None: the first).
    `unsure`: rows after this position may have been handed out. `done`: there is nothing more.
    """

    of: str
    filters: Mapping[str, str] = {}
    style: Style | None = None
    at: int = 0
    total: int | None = None
    cursor: str | None = None
    last: str | None = None
    unsure: bool = False
    done: bool = False

    def text(self) -> str:
        """Return the JSON string; what has its default value is left out."""
        values = {
            name: value
            for name, default in _OPTIONAL.items()
            if (value := getattr(self, name)) != default
        }
        return msgspec.json.encode({"v": _VERSION, "of": self.of} | values).decode()


_OPTIONAL: Final[dict[str, object]] = {
    "filters": {}, "style": None, "at": 0, "total": None, "cursor": None, "last": None,
    "unsure": False, "done": False,
}  # fmt: skip


@frozen
class PagePosition:
    """Where one page stands in its list: the checkpoints before, among and after its rows.

    `first`: position of its first row. `skip`: rows at its beginning that were handed out before
    the resume. `asked_twice`: rows at its beginning that were asked for again on purpose.
    `inexact_before`: a checkpoint before this position may have received rows after it.
    """

    here: Checkpoint
    after: Checkpoint
    first: int = 0
    skip: int = 0
    asked_twice: int = 0
    inexact_before: int = 0

    def after_row(self, index: int, row_id: str) -> Checkpoint:
        """Return the checkpoint after the row at this index of the page."""
        at = self.first + index + 1
        return evolve(self.here, at=at, last=row_id, unsure=at < self.inexact_before)


def read_checkpoints(text: object, *, of: str, filters: Mapping[str, str]) -> list[Checkpoint]:
    """Return the checkpoints in `text`: one, or one of each shard.

    Raises UsageError when it is not a checkpoint, is of another list, or `filters` differ.
    """
    if not isinstance(text, str):
        raise _unusable(f"expected a string, got {type(text).__name__}")
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        unusable = _unusable(str(error))
    else:
        shards = found if isinstance(found, list) and found else [found]
        return [_checked(_structured(shard), of, filters) for shard in shards]
    raise unusable


def read_checkpoint(text: object, *, of: str, filters: Mapping[str, str]) -> Checkpoint:
    """Return the one checkpoint in `text`. Raises UsageError as `read_checkpoints` does."""
    checkpoint, *others = read_checkpoints(text, of=of, filters=filters)
    if others:
        raise _unusable("it holds one checkpoint of each shard")
    return checkpoint


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_filters(value: object) -> bool:
    return isinstance(value, dict) and all(map(_is_text, value.values()))


_CHECKS: Final[dict[str, Callable[[object], bool]]] = {
    "v": lambda value: value == _VERSION and _is_count(value), "of": _is_text,
    "filters": _is_filters, "style": lambda value: value in ("offset", "cursor"),
    "at": _is_count, "total": _is_count, "cursor": _is_text, "last": _is_text,
    "unsure": _is_flag, "done": _is_flag,
}  # fmt: skip


def _structured(found: Any) -> Checkpoint:
    if not isinstance(found, dict):
        raise _unusable(f"expected an object, got {type(found).__name__}")
    missing = [name for name in ("v", "of") if name not in found]
    wrong = [
        name for name, value in found.items() if name not in _CHECKS or not _CHECKS[name](value)
    ]
    if missing or wrong:
        raise _unusable(f"{(missing + wrong)[0][:40]!r} is missing, unknown or has a wrong value")
    return Checkpoint(**{name: value for name, value in found.items() if name != "v"})


def _checked(checkpoint: Checkpoint, of: str, filters: Mapping[str, str]) -> Checkpoint:
    if checkpoint.of != of:
        raise _unusable(f"it belongs to the list of {checkpoint.of[:40]!r}, not of {of!r}")
    differing = [name for name, value in filters.items() if checkpoint.filters.get(name) != value]
    if differing:
        raise _unusable(
            f"its own filters differ in {', '.join(differing)}; leave the filters out, the "
            "checkpoint holds them"
        )
    return checkpoint


def _unusable(why: str) -> UsageError:
    return UsageError(
        f"resume cannot be used: {one_line(why)}; pass what `Paginator.checkpoint` gave, unchanged"
    )
