"""Structure JSON's and TOML's values strictly: nothing is coerced, and every fault has its path.

What is common to everything that comes from outside lives here. What an answer of the API means
does not (`convert.py`), and neither do the rules of a file. No message shows a value: it may be a
secret. cattrs is imported where a converter is built, because its import costs start time.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Literal,
    TypeAlias,
    TypeVar,
    Union,
    get_args,
    get_origin,
)

import attrs

from ..secret import Secret

if TYPE_CHECKING:
    from cattrs import Converter

T = TypeVar("T")
Hook: TypeAlias = Callable[[Any, Any], Any]

STRUCTURE_ERRORS: Final = (ExceptionGroup, TypeError, ValueError, OverflowError)
"""What structuring raises; `faults` reads it."""

_PLAIN: Final = (str, int, float, bool, NoneType)
_NAMES: Final = {NoneType: "null", dict: "object", list: "array"}
_BARE_KEY: Final = re.compile(r"[\w.+-]+")
_WITH_MICROSECONDS: Final = len("2026-01-31T12:00:00.123456Z")
_ROUND_UP: Final = re.compile(r"[.,]\d{6}[5-9]")
_LENGTH_OF_A_DATE: Final = len("2026-01-31")


def strict_converter(*, forbid_extra_keys: bool = False) -> Converter:
    """Return a new cattrs converter that coerces nothing and reports all faults at once.

    `str`, `int`, `float`, `bool` and None, and unions of them, take values of these types alone; a
    whole number also serves as a `float`, and a `float` is finite. A datetime is ISO 8601 text with
    a time, in UTC unless it names another zone, and becomes UTC. A `Secret` is text. `list[T]` and
    `tuple[T, ...]` are arrays; `dict[str, T]` and attrs classes are objects. Other collections are
    not covered. Structuring raises `STRUCTURE_ERRORS`. Unstructuring gives a datetime as ISO 8601
    text, and leaves a `Secret` as it is.
    """
    from cattrs import Converter
    from cattrs.cols import list_structure_factory, mapping_structure_factory
    from cattrs.gen import make_dict_structure_fn

    converter = Converter(detailed_validation=True, forbid_extra_keys=forbid_extra_keys)
    register = converter.register_structure_hook_factory
    register(_is_optional, lambda kind: _optional(kind, converter))
    register(_is_plain, _plain)
    register(_is_literal, _literal)
    for kind in _PLAIN:  # cattrs coerces to these, and its hooks of classes go before factories
        converter.register_structure_hook(kind, _plain(kind))
    converter.register_structure_hook(datetime, lambda value, _: utc(value))
    converter.register_unstructure_hook(datetime, datetime.isoformat)
    converter.register_structure_hook(Secret, lambda value, _: Secret(expect(value, str)))
    register(_is_list, lambda kind: _of(list, list_structure_factory(kind, converter)))
    register(_is_tuple, lambda kind: _as_tuple(_of(list, list_structure_factory(kind, converter))))
    register(_is_dict, lambda kind: _of(dict, mapping_structure_factory(kind, converter)))
    register(attrs.has, lambda kind: _of(dict, make_dict_structure_fn(kind, converter)))
    return converter


def faults(error: Exception, path: str = "$") -> list[tuple[str, str]]:
    """Return what a strict converter has found: (path, text), such as `$.calls[3].start_time`.

    A key that the class does not know is a fault at its own path. `path=""`: paths begin with the
    first key.
    """
    return [(where.removeprefix("."), text) for where, text in _faults(error, path)]


def structure_json(converter: Converter, text: str | bytes, kind: type[T]) -> T:
    """Structure JSON text. Raises ValueError that names every fault, and shows no value."""
    try:
        return converter.structure(json.loads(text), kind)
    except RecursionError:
        why = "it is nested too deeply"
    except (json.JSONDecodeError, UnicodeDecodeError):
        why = "it is not JSON"
    except STRUCTURE_ERRORS as error:
        why = "; ".join(map(": ".join, faults(error)))
    raise ValueError(why)  # out here: the frames in there hold values


def expect(value: Any, kind: type) -> Any:
    """Return the value if its type is exactly `kind`. Raises TypeError."""
    if type(value) is not kind:
        raise _mismatch(_name(kind), value)
    return value


def utc(value: object) -> datetime:
    """Return the time that ISO 8601 text names, in UTC. Raises TypeError and ValueError."""
    if not isinstance(value, str):
        raise _mismatch("datetime", value)
    try:
        moment = datetime.fromisoformat(f"{value[:-1]}Z" if value[-1:] == "z" else value)
        if len(value) > _WITH_MICROSECONDS and _ROUND_UP.search(value):  # Python cuts them off
            moment += timedelta(microseconds=1)
    except (ValueError, OverflowError):
        raise ValueError("expected an ISO 8601 time") from None
    if len(value) <= _LENGTH_OF_A_DATE:
        raise ValueError("expected an ISO 8601 time, got a date")
    if moment.tzinfo is UTC:
        return moment
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # of year 1 or 9999, which UTC's calendar cannot hold
        return moment


def _of(kind: type, structure: Hook) -> Hook:
    return lambda value, target: structure(expect(value, kind), target)


def _as_tuple(structure: Hook) -> Hook:
    return lambda value, target: tuple(structure(value, target))


def _mismatch(expected: str, value: object) -> TypeError:
    return TypeError(f"expected {expected}, got {_name(type(value))}")


def _name(kind: type) -> str:
    return _NAMES.get(kind, kind.__name__)


def _parts(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _is_plain(kind: Any) -> bool:
    return all(part in _PLAIN for part in _parts(kind))


def _plain(kind: Any) -> Hook:
    kinds = frozenset(_parts(kind))
    expected = " | ".join(_name(part) for part in _parts(kind) if part is not NoneType) or "null"
    from_int = float in kinds and int not in kinds

    def structure(value: Any, _: Any) -> Any:
        if type(value) is float and float in kinds and not math.isfinite(value):
            raise ValueError("expected a finite number")
        if type(value) in kinds:
            return value
        if from_int and type(value) is int:
            return float(value)
        raise _mismatch(expected, value)

    return structure


def _is_literal(kind: Any) -> bool:
    return get_origin(kind) is Literal


def _literal(kind: Any) -> Hook:
    values = {(type(value), value): value for value in get_args(kind)}
    expected = "expected one of " + ", ".join(map(repr, get_args(kind)))

    def structure(value: Any, _: Any) -> Any:
        if type(value) not in _PLAIN or (type(value), value) not in values:
            raise ValueError(expected)
        return value

    return structure


def _is_optional(kind: Any) -> bool:
    return len(_parts(kind)) == 2 and NoneType in _parts(kind) and not _is_plain(kind)


def _optional(kind: Any, converter: Converter) -> Hook:
    (inner,) = (part for part in _parts(kind) if part is not NoneType)
    structure: Hook = converter.get_structure_hook(inner)
    return lambda value, _: None if value is None else structure(value, inner)


def _is_list(kind: Any) -> bool:
    return get_origin(kind) is list


def _is_tuple(kind: Any) -> bool:
    return get_origin(kind) is tuple and get_args(kind)[1:] == (...,)


def _is_dict(kind: Any) -> bool:
    return get_origin(kind) is dict


def _faults(error: Exception, path: str) -> Iterator[tuple[str, str]]:
    from cattrs import BaseValidationError, ForbiddenExtraKeysError

    if isinstance(error, BaseValidationError):
        for inner in error.exceptions:
            yield from _faults(inner, path + _step(inner))
    elif isinstance(error, ForbiddenExtraKeysError):
        known = ", ".join(sorted(field.name for field in attrs.fields(error.cl)))
        for key in sorted(error.extra_fields):
            yield f"{path}{_key(key)}", f"there is no such field here; there are {known}"
    elif isinstance(error, KeyError):
        yield path, "it is missing"
    else:
        yield path, str(error)


def _step(error: Exception) -> str:
    """Return the last step of a fault's path: cattrs notes a field's name or an index."""
    from cattrs import AttributeValidationNote, IterableValidationNote

    for note in getattr(error, "__notes__", ()):
        if isinstance(note, AttributeValidationNote):
            return _key(note.name)
        if isinstance(note, IterableValidationNote):
            return f"[{note.index}]" if isinstance(note.index, int) else _key(note.index)
    return ""


def _key(key: str) -> str:
    return f".{key}" if _BARE_KEY.fullmatch(key) else f".{key!r}"
