"""The accelerator: answers that look as the API's pages show them, straight from bytes to models.

msgspec decodes rows into a shadow Struct of the model, and a generated function moves its values
into the attrs object. Whatever needs a judgement (a value of another type, a time in another zone,
one field under two names) is left to `convert.py`: these functions return None then, and otherwise
just what it would. No state: an unknown field costs a second decoding, into dicts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import cache
from types import GenericAlias, NoneType
from typing import Any, Final, TypeVar, get_args, get_origin

import attrs
import msgspec

from ..models.fields import Model, OpenEnum, wire_names
from ..secret import Secret
from .redaction import redact

T = TypeVar("T", bound=Model)
Make = Callable[[Any], Any]

_PLAIN: Final = (str, int, float, bool, datetime, Secret, NoneType)
_FAILURES: Final = (msgspec.DecodeError, ValueError, RecursionError)
_PAGE: Final = ("pagination", "next_cursor", "has_more")


def fast_object(model: type[T], body: bytes) -> T | None:
    """Decode one object, enveloped or bare, or return None."""
    enveloped = body.startswith(b'{"data"')
    make, decode = _readers(model)[enveloped]
    try:
        row = decode(body)
        return make(row.data if enveloped else row)  # type: ignore[no-any-return]
    except msgspec.ValidationError:  # an unknown field, most likely
        pass
    except _FAILURES:
        return None
    try:
        row, plain = _decoder(model, enveloped, False).decode(body), msgspec.json.decode(body)
        pair = ([row.data], [plain["data"]]) if enveloped else ([row], [plain])
        return _with_extra(model, make, *pair)[0]
    except _FAILURES:
        return None


def fast_list(model: type[T], key: str, body: bytes) -> tuple[list[T], dict[str, Any]] | None:
    """Decode one page: its rows, and what it says of the list; or return None."""
    make = _make(model)
    try:
        page = _page_decoder(model, key, True).decode(body)
        return [*map(make, _rows(page))], _said(page)
    except msgspec.ValidationError:
        pass
    except _FAILURES:
        return None
    try:
        page = _page_decoder(model, key, False).decode(body)
        plain = msgspec.json.decode(body)
        objects = plain["data" if "data" in plain else key]
        return _with_extra(model, make, _rows(page), objects), _said(page)
    except _FAILURES:
        return None


def _rows(page: Any) -> list[Any]:
    rows = page.rows if page.data is msgspec.UNSET else page.data
    if rows is msgspec.UNSET:
        raise _NeedsJudgement
    return rows  # type: ignore[no-any-return]


def _said(page: Any) -> dict[str, Any]:
    said = {name: getattr(page, name) for name in _PAGE}
    return {name: value for name, value in said.items() if value is not msgspec.UNSET}


def _with_extra(
    model: type[T], make: Make, rows: Iterable[Any], objects: Iterable[dict[str, Any]]
) -> list[T]:
    """Return the models of rows, each with the fields of its JSON object that the model lacks."""
    known = _known(model)
    found: list[T] = []
    for row, plain in zip(rows, objects, strict=True):
        made = make(row)
        unknown = plain.keys() - known
        if "data" in unknown:
            raise _NeedsJudgement  # it may be all of the answer
        if unknown:
            for key in unknown if len(unknown) == 1 else [key for key in plain if key in unknown]:
                made.extra[key] = redact(plain[key], key)
        found.append(made)
    return found


class _NeedsJudgement(ValueError):
    """`convert.py` has to decide."""


@cache
def _known(model: type[Model]) -> frozenset[str]:
    return frozenset(name for field in _fields(model) for name in wire_names(field))


@cache
def _fields(model: type[Model]) -> list[attrs.Attribute[Any]]:
    fields = attrs.fields(attrs.resolve_types(model))
    return [field for field in fields if field.name != "extra"]


def _secret(kind: type, value: object) -> Secret:
    if isinstance(value, str):
        return Secret(value)
    raise TypeError("expected text")


@cache
def _readers(model: type[Model]) -> tuple[tuple[Make, Make], tuple[Make, Make]]:
    """Return how a row becomes a model, and bytes a row: of a bare object, of an enveloped one."""
    make = _make(model)
    return (make, _decoder(model, False, True).decode), (make, _decoder(model, True, True).decode)


@cache
def _decoder(model: type[Model], enveloped: bool, strict: bool) -> msgspec.json.Decoder[Any]:
    row: Any = _shadow(model, strict)
    shape = msgspec.defstruct("Enveloped", [("data", row)]) if enveloped else row
    return msgspec.json.Decoder(shape, dec_hook=_secret)


@cache
def _page_decoder(model: type[Model], key: str, strict: bool) -> msgspec.json.Decoder[Any]:
    rows: Any = GenericAlias(list, (_shadow(model, strict),)) | msgspec.UnsetType
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
    return msgspec.json.Decoder(page, dec_hook=_secret)


@cache
def _shadow(model: type[Model], strict: bool) -> type[msgspec.Struct]:
    """Return a Struct with a field for each name on the wire; nested objects are always strict."""
    fields: list[Any] = []
    names: dict[str, str] = {}
    for field in _fields(model):
        for place, name in enumerate(wire_names(field)):
            attribute = f"{field.name}_{place}"
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
    if isinstance(kind, type) and issubclass(kind, Model):
        return _shadow(kind, True)
    return kind if all(map(_is_plain, get_args(kind) or (kind,))) else NoneType


def _is_plain(kind: Any) -> bool:
    return kind in _PLAIN or (isinstance(kind, type) and issubclass(kind, OpenEnum))


@cache
def _make(model: type[Model]) -> Make:
    """Return a function that makes the model of a shadow row.

    The generated code fills an object of a class with the same slots and no frozen `__setattr__`,
    and then gives it the model's class: half of the time that the model's own `__init__` takes
    (benchmarks/bench_decode.py).
    """
    twin = type(
        model.__name__,
        model.__bases__,
        {"__slots__": model.__slots__, "__setattr__": object.__setattr__},
    )
    scope: dict[str, Any] = {
        "new": twin.__new__, "twin": twin, "model": model, "UTC": UTC, "Judge": _NeedsJudgement,
    }  # fmt: skip
    lines = ["def make(row):", " made = new(twin)"]
    for field in _fields(model):
        lines += _stores(field, scope)
    lines += [" made.extra = {}", " made.__class__ = model"]
    if hasattr(model, "__attrs_post_init__"):
        lines.append(" made.__attrs_post_init__()")
    exec("\n".join([*lines, " return made"]), scope)  # noqa: S102  # field names alone
    made: Make = scope["make"]
    return made


def _stores(field: attrs.Attribute[Any], scope: dict[str, Any]) -> list[str]:
    """Return the lines that move one field, where it was sent under one of its names."""
    name, kinds = field.name, get_args(field.type) or (field.type,)
    lines = [f" value = row.{name}_0"]
    for place in range(1, len(wire_names(field))):
        other = f"row.{name}_{place}"
        lines += [
            f" if {other} is not None:",
            "  if value is not None: raise Judge",
            f"  value = {other}",
        ]
    if datetime in kinds:
        lines.append(" if value is not None and value.tzinfo is not UTC: raise Judge")
    if name == "id" and field.default is attrs.NOTHING:
        lines.append(" if not value or value.isspace(): raise Judge")
    model = next((k for k in kinds if isinstance(k, type) and issubclass(k, Model)), None)
    if model is not None:
        scope[f"make_{name}"] = _make(model)
        if get_origin(field.type) is tuple:
            return [*lines, f" made.{name} = tuple([*map(make_{name}, value)]) if value else ()"]
        scope[f"no_{name}"] = _shadow(model, True)()
        return [*lines, f" made.{name} = make_{name}(no_{name} if value is None else value)"]
    if field.default not in (None, attrs.NOTHING):
        scope[f"default_{name}"] = field.default
        lines.append(f" if value is None: value = default_{name}")
    return [*lines, f" made.{name} = value"]
