"""The fast way from bytes to models, for answers that look as the API's pages show them;
`shapes.py` takes all others.

msgspec decodes straight into the models, which refuse a key that they do not know: 0.9 of what
`orjson.loads` into dicts costs (`benchmarks/bench_decode.py`). Where every answer of a server holds
the same unknown keys, as answers of a later version of the API would, they are learned: then rows
are decoded into a model with these fields besides, and made anew with them in `extra`, at 1.8 of
`orjson.loads` and not at the 10 of the exact way. Here nothing is renamed, concealed or moved to
UTC: where any of that is needed, these functions return None.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from enum import Enum
from functools import cache, lru_cache
from itertools import starmap
from operator import attrgetter
from types import GenericAlias
from typing import Any, Final, Generic, TypeVar, get_args, get_type_hints

import msgspec

from ..models.fields import Model
from ..secret import Secret
from .wire import CREDENTIAL, concealed

T = TypeVar("T", bound=Model)

_PLAIN: Final = (str, int, float, bool, datetime, Secret, type(None))
_RESPELLED: Final = ("sip_endpoint",)
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MOST_LEARNED: Final = 64  # a server whose keys are ids is none that can be learned
_learned: Final[dict[type[Model], tuple[str, ...]]] = {}


def secret(kind: type, value: object) -> Secret:
    """Make the one type that msgspec does not know; for its `dec_hook`."""
    if isinstance(value, str):
        return Secret(value)
    raise TypeError(f"Expected a credential as text, got {type(value).__name__}")


def fast_object(model: type[T], body: bytes) -> T | None:
    """Decode one object, enveloped or bare, or return None."""
    reader = _reader(model, _learned.get(model, ()))
    try:
        row = (
            reader.enveloped.decode(body).data
            if body.startswith(b'{"data"')
            else reader.bare.decode(body)
        )
        rows = reader.settled([row])
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return None if rows is None else rows[0]


def fast_list(model: type[T], key: str, body: bytes) -> tuple[list[T], dict[str, Any]] | None:
    """Decode one page: its rows, and what it says of the list (`pagination`, `next_cursor`, `has_more`); or return None."""
    reader = _reader(model, _learned.get(model, ()))
    try:
        page = reader.page(key).decode(body)
        rows = page.rows if page.data is msgspec.UNSET else page.data
        models = None if rows is msgspec.UNSET else reader.settled(rows)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    if models is None:
        return None
    said = {name: getattr(page, name) for name in ("pagination", "next_cursor", "has_more")}
    return models, {name: value for name, value in said.items() if value is not msgspec.UNSET}


def learn(model: type[Model], rows: Iterable[Any]) -> None:
    """Note the unknown keys of rows that were decoded in the exact way; a credential needs that way every time."""
    unknown = {
        key
        for row in rows
        for key in row.extra
        if _NAME.fullmatch(key) and not CREDENTIAL.search(key)
    }
    known = _learned.get(model, ())
    # What stands under `data` may be all of the answer.
    new = unknown.difference(known, model._other_names, model.__struct_encode_fields__, ["data"])
    if new and len(new) + len(known) <= _MOST_LEARNED:
        _learned[model] = (*known, *sorted(new))


class _Reader(Generic[T]):
    """How rows of one model are decoded that may hold these unknown keys."""

    def __init__(self, model: type[T], unknown: tuple[str, ...]) -> None:
        self._row = _row_type(model, unknown)
        self._model = model
        self._times = [(attrgetter(f"{name}.tzinfo"), attrgetter(name)) for name in _times(model)]
        self._inexact = [(attrgetter(field.name), field.default) for field in _inexact(model)]
        self._unknown = [(key, attrgetter(f"unknown_{place}")) for place, key in enumerate(unknown)]
        self._all_fields = attrgetter(*model.__struct_fields__)
        self._pages: dict[str, msgspec.json.Decoder[Any]] = {}
        self.bare = msgspec.json.Decoder(self._row, dec_hook=secret)
        envelope: Any = msgspec.defstruct("Enveloped", [("data", self._row)])
        self.enveloped = msgspec.json.Decoder(envelope, dec_hook=secret)

    def page(self, key: str) -> msgspec.json.Decoder[Any]:
        """Return the decoder of a page whose rows stand under `key`, or under `data`."""
        if key not in self._pages:
            self._pages[key] = _page_decoder(self._row, key)
        return self._pages[key]

    def settled(self, rows: list[Any]) -> list[T] | None:
        """Return the models of decoded rows, or None where a value must be arranged."""
        for zone, moment in self._times:
            if not _in_utc(rows, zone, moment):
                return None
        for value_of, default in self._inexact:
            if [*map(value_of, rows)].count(default) != len(rows):
                return None
        if not self._unknown:
            return rows
        for key, value_of in self._unknown:
            for row, value in zip(rows, map(value_of, rows), strict=True):
                if value is not msgspec.UNSET:
                    row.extra[key] = (
                        concealed(value, key) if isinstance(value, dict | list) else value
                    )
        return list(starmap(self._model, map(self._all_fields, rows)))


_reader = lru_cache(maxsize=256)(_Reader)


def _in_utc(rows: Sequence[Any], zone: attrgetter[Any], moment: attrgetter[Any]) -> bool:
    try:
        # Without a loop in Python: this takes 0.06 µs a row, a plain loop twice that.
        return [*map(zone, rows)].count(UTC) == len(rows)
    except AttributeError:  # some are None
        return all(time is None or time.tzinfo is UTC for time in map(moment, rows))


def _page_decoder(row: type[msgspec.Struct], key: str) -> msgspec.json.Decoder[Any]:
    rows = GenericAlias(list, (row,)) | msgspec.UnsetType
    page = msgspec.defstruct(
        "Page",
        [
            ("rows", rows, msgspec.UNSET),
            ("data", rows, msgspec.UNSET),
            ("pagination", Any, msgspec.UNSET),
            ("next_cursor", str | None | msgspec.UnsetType, msgspec.UNSET),
            ("has_more", bool | None | msgspec.UnsetType, msgspec.UNSET),
        ],
        rename={"rows": key},
    )
    return msgspec.json.Decoder(page, dec_hook=secret)


def _row_type(model: type[Model], unknown: tuple[str, ...]) -> type[msgspec.Struct]:
    if not unknown:
        return model
    names = {f"unknown_{place}": key for place, key in enumerate(unknown)}
    fields = [(name, Any, msgspec.UNSET) for name in names]
    return msgspec.defstruct(
        f"Learned{model.__name__}", fields, bases=(model,), rename=names, frozen=True
    )


@cache
def _inexact(model: type[Model]) -> list[msgspec.structs.FieldInfo]:
    """Return the fields whose values `shapes.py` must arrange wherever they are sent."""
    hints = get_type_hints(model)
    fields = [field for field in msgspec.structs.fields(model) if field.name != "extra"]
    return [
        field for field in fields if field.name in _RESPELLED or not _is_exact(hints[field.name])
    ]


def _is_exact(hint: Any) -> bool:
    parts = get_args(hint)
    if parts:
        return all(part is Ellipsis or _is_exact(part) for part in parts)
    if isinstance(hint, type) and issubclass(hint, Model):
        return not _times(hint) and not _inexact(
            hint
        )  # only the times of the outer model are looked at
    return hint in _PLAIN or (isinstance(hint, type) and issubclass(hint, Enum))


@cache
def _times(model: type[Model]) -> list[str]:
    hints = get_type_hints(model)
    return [name for name in model.__struct_fields__ if datetime in get_args(hints[name])]
