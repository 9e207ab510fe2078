"""`Checkpoint`: a position in a list, with the filters bound into it, as a short JSON string."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal

import attrs
import msgspec
from attrs import evolve, field, frozen
from attrs.validators import ge, optional

from ..errors import UsageError
from .redaction import sanitize
from .strict import strict_converter, structure_json

if TYPE_CHECKING:
    from cattrs import Converter

Style = Literal["offset", "cursor"]


@frozen(kw_only=True)
class Checkpoint:
    """Stands after the row `last` of the list `of`.

    `style`: None until the first answer has shown it. Offset style: `at` rows of `total` lie
    before this position. Cursor style: `at` rows of the page that `cursor` opens (None: the first).
    `unsure`: rows after this position may have been handed out. `done`: there is nothing more.
    """

    of: str
    filters: dict[str, str] = field(factory=dict)
    style: Style | None = None
    at: int = field(default=0, validator=ge(0))
    total: int | None = field(default=None, validator=optional(ge(0)))
    cursor: str | None = None
    last: str | None = None
    unsure: bool = False
    done: bool = False
    v: Literal[1] = 1

    def text(self) -> str:
        """Return the JSON string; what has its default value is left out."""
        given = {
            name: value
            for name in _NAMES
            if (value := getattr(self, name)) != getattr(_DEFAULTS, name)
        }
        return msgspec.json.encode({"v": self.v, **given}).decode()


_DEFAULTS: Final = Checkpoint(of="")
_NAMES: Final = [field.name for field in attrs.fields(Checkpoint)]


@frozen
class PagePosition:
    """Where one page stands in its list: the checkpoints among and after its rows.

    `start`: of the walk; `page`, `end`: what differs from it at all rows of the page, and after the
    last one. Most checkpoints are never asked for, so they are made when one is.
    `first`: position of its first row. `skip`: rows at its beginning that were handed out before
    the resume. `asked_twice`: rows at its beginning that were asked for again on purpose.
    `inexact_before`: a checkpoint before this position may have received rows after it.
    """

    start: Checkpoint
    page: Mapping[str, Any] = {}
    end: Mapping[str, Any] = {}
    first: int = 0
    skip: int = 0
    asked_twice: int = 0
    inexact_before: int = 0

    @property
    def after(self) -> Checkpoint:
        """The checkpoint after the last row."""
        return evolve(self.start, **{**self.page, **self.end})

    def after_row(self, index: int, row_id: str) -> Checkpoint:
        """Return the checkpoint after the row at this index of the page."""
        at = self.first + index + 1
        return evolve(self.start, **self.page, at=at, last=row_id, unsure=at < self.inexact_before)


def read_checkpoints(text: object, *, of: str, filters: Mapping[str, str]) -> list[Checkpoint]:
    """Return the checkpoints in `text`: one, or one of each shard.

    Raises UsageError when it is not a checkpoint, is of another list, or `filters` differ.
    """
    if not isinstance(text, str):
        raise _unusable(f"expected a string, got {type(text).__name__}")
    try:
        if text.startswith("["):
            found = structure_json(_converter(), text, list[Checkpoint])
        else:
            found = [structure_json(_converter(), text, Checkpoint)]
        for checkpoint in found:
            checkpoint.text()  # Unicode that can be sent
    except (ValueError, RecursionError) as error:
        unusable = _unusable(str(error))
    else:
        if found:
            return [_checked(checkpoint, of, filters) for checkpoint in found]
        unusable = _unusable("it holds no checkpoint")
    raise unusable


@cache
def _converter() -> Converter:
    return strict_converter(forbid_extra_keys=True)


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
        f"resume cannot be used: {sanitize(why)}; pass the checkpoint that a list gave, unchanged"
    )
