"""`Checkpoint`: a place in a list, with the filters bound into it, as a short JSON string that people can store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from ..errors import UsageError
from .wire import one_line

Style = Literal["offset", "cursor"]
_Count = Annotated[int, msgspec.Meta(ge=0)]


class Checkpoint(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    tag_field="v",
    tag=1,
):
    """Stands behind the row `last` of the list `of`.

    `style`: None until the first answer has shown it. Offset style: `at` rows lie behind us, of `total`. Cursor style:
    `at` rows of the page that `cursor` opens (None = the first) lie behind us. `unsure`: rows behind this place may have
    been handed out. `done`: there is nothing more.
    """

    of: str
    filters: dict[str, str] = {}
    style: Style | None = None
    at: _Count = 0
    total: _Count | None = None
    cursor: str | None = None
    last: str | None = None
    unsure: bool = False
    done: bool = False

    def text(self) -> str:
        """Return the JSON string."""
        return msgspec.json.encode(self).decode()


def read_checkpoints(text: object, *, of: str, filters: Mapping[str, str]) -> list[Checkpoint]:
    """Return the checkpoints in `text`: one, or one of each shard.

    Raises UsageError as `read_checkpoint` does.
    """
    if not isinstance(text, str) or not text.startswith("["):
        return [read_checkpoint(text, of=of, filters=filters)]
    try:
        shards = msgspec.json.decode(
            text, type=Annotated[list[msgspec.Raw], msgspec.Meta(min_length=1)]
        )
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        unusable = _unusable(str(error))
    else:
        return [read_checkpoint(bytes(shard).decode(), of=of, filters=filters) for shard in shards]
    raise unusable


def read_checkpoint(text: object, *, of: str, filters: Mapping[str, str]) -> Checkpoint:
    """Return the checkpoint in `text`.

    Raises UsageError when it is none, is of another list, or `filters` differ.
    """
    if not isinstance(text, str):
        raise _unusable(f"expected a string, got {type(text).__name__}")
    try:
        checkpoint = msgspec.json.decode(text, type=Checkpoint)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        unusable = _unusable(str(error))
    else:
        return _checked(checkpoint, of, filters)
    raise unusable


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
