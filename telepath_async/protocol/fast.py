"""The accelerator: answers that look as the API's pages show them, straight to models.

msgspec reads rows into a shadow Struct of the model, and a generated function moves their values
into the attrs object: from bytes where every field is known, and from plain rows otherwise. What
needs a judgement (a value of another type, a time in another zone, one field under two names) is
left to `convert.py`: these functions return None then, and otherwise just what it would.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from types import GenericAlias, NoneType
from typing import Any, Final, TypeVar, get_args, get_origin

import attrs
import msgspec

from ..models.fields import Model, OpenEnum, is_identity, is_model, known_fields, wire_names
from ..secret import Secret
from .redaction import redact

T = TypeVar("T", bound=Model)
Make = Callable[[Any], Any]

_PLAIN: Final = (str, int, float, bool, datetime, Secret, NoneType)
_FAILURES: Final = (msgspec.DecodeError, ValueError, RecursionError)
_PAGE: Final = ("pagination", "next_cursor", "has_more")


def fast_object(model: type[T], body: bytes) -> T | None:
    """Decode one object of known fields, enveloped or bare, or return None."""
    enveloped = body.startswith(b'{"data"')
    try:
        row = _object_decoder(model, enveloped).decode(body)
        return _make(model)(row.data if enveloped else row)  # type: ignore[no-any-return]
    except _FAILURES:
        return None


def fast_list(model: type[T], key: str, body: bytes) -> tuple[list[T], dict[str, Any]] | None:
    """Decode one page of known fields: its rows, and its paging fields; or return None."""
    try:
        page = _page_decoder(model, key).decode(body)
        rows = page.rows if page.data is msgspec.UNSET else page.data
        if rows is msgspec.UNSET:
            return None
        models = [*map(_make(model), rows)]
    except _FAILURES:
        return None
    return models, {
        name: value for name in _PAGE if (value := getattr(page, name)) is not msgspec.UNSET
    }


def fast_rows(model: type[T], objects: list[Any]) -> list[T] | None:
    """Return the models of JSON objects, unknown fields in `extra`, or None."""
    make, known = _make(model), _known(model)
    keys: list[str] = []
    unknown: list[str] = []
    models: list[T] = []
    try:
        table = msgspec.convert({"rows": objects}, _table(model), dec_hook=_secret)
        for row, plain in zip(table.rows, objects, strict=True):
            if (own := [*plain]) != keys:  # the rows of a page have the same, as a rule
                keys, unknown = own, [key for key in own if key not in known]
            made = make(row)
            for key in unknown:
                made.extra[key] = redact(plain[key], key)
            models.append(made)
    except _FAILURES:
        return None
    return models


@cache
def _known(model: type[Model]) -> frozenset[str]:
    return frozenset(name for field in known_fields(model) for name in wire_names(field))


def _secret(kind: type, value: object) -> Secret:
    if isinstance(value, str):
        return Secret(value)
    raise TypeError("expected text")


@cache
def _object_decoder(model: type[Model], enveloped: bool) -> msgspec.json.Decoder[Any]:
    row: Any = _shadow(model, True)
    return _decoder(msgspec.defstruct("Enveloped", [("data", row)]) if enveloped else row)


@cache
def _page_decoder(model: type[Model], key: str) -> msgspec.json.Decoder[Any]:
    rows: Any = GenericAlias(list, (_shadow(model, True),)) | msgspec.UnsetType
    fields: list[tuple[str, Any, Any]] = [
        ("rows", rows, msgspec.UNSET),
        ("data", rows, msgspec.UNSET),
        ("pagination", Any, msgspec.UNSET),
        ("next_cursor", str | None | msgspec.UnsetType, msgspec.UNSET),
        ("has_more", bool | None | msgspec.UnsetType, msgspec.UNSET),
    ]
    return _decoder(msgspec.defstruct("Page", fields, rename={"rows": key}))


@cache
def _table(model: type[Model]) -> Any:
    """Return a Struct of rows with unknown fields; of a `list[…]`, msgspec remembers nothing."""
    rows: Any = GenericAlias(list, (_shadow(model, False),))
    return msgspec.defstruct("Table", [("rows", rows)])


def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind, dec_hook=_secret)


@cache
def _shadow(model: type[Model], strict: bool) -> type[msgspec.Struct]:
    """Return a Struct with a field for each name on the wire; nested objects are always strict."""
    fields: list[Any] = []
    names: dict[str, str] = {}
    for field in known_fields(model):
        for index, name in enumerate(wire_names(field)):
            attribute = f"{field.name}_{index}"
            names[attribute] = name
            kind = _shadow_type(field.type)
            needed = field.default is attrs.NOTHING
            fields.append((attribute, kind) if needed else (attribute, kind | None, None))
    return msgspec.defstruct(
        f"{model.__name__}Row",
        sorted(fields, key=len),
        rename=names,
        forbid_unknown_fields=strict,
        gc=False,
    )


def _shadow_type(kind: Any) -> Any:
    if get_origin(kind) is tuple:
        return GenericAlias(list, (_shadow_type(get_args(kind)[0]),))
    if is_model(kind):
        return _shadow(kind, True)
    return kind if all(map(_is_plain, get_args(kind) or (kind,))) else NoneType


def _is_plain(kind: Any) -> bool:
    return kind in _PLAIN or (isinstance(kind, type) and issubclass(kind, OpenEnum))


@cache
def _make(model: type[Model]) -> Make:
    """Return a function that makes the model of a shadow row, with generated code such as

        made = twin()
        made.trunk_id = row.trunk_id_0
        value = row.start_time_0
        if value is not None and value.tzinfo is not UTC: raise ValueError
        made.start_time = value
        made.extra = {}
        made.__class__ = model

    The twin is a class with the same slots and no frozen `__setattr__`: 0.5 µs for a call, and 1.5
    by the model's own `__init__` (`orjson.loads` makes a dict of it in 0.75 µs).
    """
    same_slots = {
        "__slots__": model.__slots__,
        "__setattr__": object.__setattr__,
        "__init__": object.__init__,
    }
    twin = type(model.__name__, model.__bases__, same_slots)
    scope: dict[str, Any] = {"twin": twin, "model": model, "UTC": UTC}
    lines = ["def make(row):", " made = twin()"]
    for field in known_fields(model):
        lines += _stores(field, scope)
    lines += [" made.extra = {}", " made.__class__ = model"]
    if hasattr(model, "__attrs_post_init__"):
        lines.append(" made.__attrs_post_init__()")
    exec("\n".join([*lines, " return made"]), scope)  # noqa: S102  # field names alone
    made: Make = scope["make"]
    return made


def _stores(field: attrs.Attribute[Any], scope: dict[str, Any]) -> list[str]:
    """Return the lines that move one field, where it was sent under one of its names."""
    name = field.name
    kind: Any = field.type
    lines = [f" value = row.{name}_0"]
    for index in range(1, len(wire_names(field))):
        other = f"row.{name}_{index}"
        lines += [
            f" if {other} is not None:",
            "  if value is not None: raise ValueError",
            f"  value = {other}",
        ]
    if is_identity(field):
        lines.append(" if not value or value.isspace(): raise ValueError")
    elif datetime in (kind, *get_args(kind)):
        lines.append(" if value is not None and value.tzinfo is not UTC: raise ValueError")
    elif rule := field.metadata.get("rule"):
        scope[f"rule_{name}"] = rule
        lines.append(f" value = rule_{name}(value, made)")
    elif get_origin(kind) is tuple:
        scope[f"make_{name}"] = _make(get_args(kind)[0])
        lines.append(f" value = tuple([*map(make_{name}, value)]) if value else ()")
    elif is_model(kind):
        scope |= {f"make_{name}": _make(kind), f"no_{name}": _shadow(kind, True)()}
        lines.append(f" value = make_{name}(no_{name} if value is None else value)")
    elif field.default not in (None, attrs.NOTHING):
        scope[f"default_{name}"] = field.default
        lines.append(f" if value is None: value = default_{name}")
    elif len(lines) == 1:
        return [f" made.{name} = row.{name}_0"]
    return [*lines, f" made.{name} = value"]
