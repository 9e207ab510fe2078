"""The meaning of an answer: JSON values -> models, by one strict cattrs converter.

Strict per row: one without a usable id is not a row. Lenient per field: a value that is not of its
field's type goes into `extra` under its own name, and costs nothing else. Nothing is coerced, but a
whole number that stands for an id. Every fault is named with its path.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import cache
from types import NoneType
from typing import TYPE_CHECKING, Any, Final, TypeVar, get_args, get_origin

import attrs

from ..models.fields import Model, OpenEnum, is_identity, is_model, known_fields, wire_names
from ..secret import Secret
from .redaction import redact
from .strict import STRUCTURE_ERRORS, Hook, expect, faults, strict_converter

if TYPE_CHECKING:
    from cattrs import Converter

M = TypeVar("M", bound=Model)

_UNKNOWN: Final[tuple[str, Any, Any]] = ("extra", expect, object)
"""What a key without a field is known as."""

_KINDS: Final = {
    str: "text", int: "a whole number", float: "a number", bool: "true or false",
    datetime: "a time", Secret: "text", list: "a list", tuple: "a list", dict: "an object",
}  # fmt: skip


def structure(value: object, model: type[M], path: str) -> M:
    """Return the model that a JSON object means. Raises ValueError that names each fault's path."""
    try:
        return _converter().structure(value, model)
    except RecursionError:
        why = f"it is nested too deeply at {path}"
    except STRUCTURE_ERRORS as error:
        why = "; ".join(f"{text} at {where}" for where, text in faults(error, path))
    raise ValueError(why)  # out here: the frames in there hold secrets in plain text


def odd_values(found: Model, inside: str = "") -> Iterator[tuple[str, str]]:
    """Yield where a value stands in `extra` because it is not of its field's type, and that type.

    `turns[1].turn_number`, `expected a whole number`.
    """
    for name, names in _nested(type(found)):
        value = getattr(found, name)
        if isinstance(value, Model):
            yield from odd_values(value, f"{inside}{names[0]}.")
        for index, part in enumerate(value if isinstance(value, tuple) else ()):
            yield from odd_values(part, f"{inside}{names[0]}[{index}].")
    for field in known_fields(type(found)) if found.extra else ():
        for name in found.extra.keys() & set(wire_names(field)):
            if _is_empty(getattr(found, field.name), field.default):
                yield f"{inside}{name}", f"expected {_expected(field.type)}"


def _is_empty(value: object, default: object) -> bool:
    """Whether a field holds nothing of what was sent: `metrics` may have the call's figures."""
    return value == default or value == () or isinstance(value, Model)


@cache
def _nested(model: type[Model]) -> list[tuple[str, tuple[str, ...]]]:
    """Return the fields in which other models stand: their names, and those on the wire."""
    return [
        (field.name, wire_names(field))
        for field in known_fields(model)
        if any(map(is_model, _leaves(field.type)))
    ]


def _leaves(kind: Any) -> Iterator[Any]:
    """Yield the plain types inside `str | list[Action] | None`."""
    for part in get_args(kind):
        yield from _leaves(part)
    yield kind


def _expected(kind: Any) -> str:
    parts = [part for part in get_args(kind) if part is not NoneType]
    plain = get_origin(kind) or kind
    if plain in _KINDS:
        return _KINDS[plain]
    if parts:
        return _expected(parts[-1])
    return "text" if issubclass(plain, OpenEnum) else "an object"


@cache
def _converter() -> Converter:
    converter = strict_converter()
    converter.register_structure_hook(OpenEnum, _member)
    register = converter.register_structure_hook_factory
    register(_is_choice, lambda kind: _choice(kind, converter))
    register(_is_json, _json)
    register(is_model, lambda kind: _model(kind, converter))
    return converter


def _member(value: Any, kind: type[OpenEnum]) -> Any:
    # The members by their values first: `kind(value)` takes three times as long.
    return kind._value2member_map_.get(expect(value, str)) or kind(value)


def _is_choice(kind: Any) -> bool:
    """Whether it is an id or the object itself: `str | Agent | None`."""
    return str in get_args(kind) and any(map(is_model, get_args(kind)))


def _choice(kind: Any, converter: Converter) -> Hook:
    (model,) = filter(is_model, get_args(kind))
    return lambda value, _: value if type(value) is str else converter.structure(value, model)


def _is_json(kind: Any) -> bool:
    """Whether it is an object or a list that no page describes: `dict[str, Any] | list[Any]`."""
    parts = [part for part in get_args(kind) if part is not NoneType]
    if get_origin(kind) in (dict, list):
        return Any in parts
    return bool(parts) and all(map(_is_json, parts))


def _json(kind: Any) -> Hook:
    origins = {get_origin(part) for part in (kind, *get_args(kind))} & {dict, list}

    def check(value: Any, _: Any) -> Any:
        if type(value) not in origins:
            raise TypeError("expected an object or a list")
        return value

    return check


def _identifier(value: Any, _: Any) -> str:
    if type(value) is int:
        return str(value)
    if isinstance(value, str) and value.strip():
        return value
    raise TypeError("expected an id: text that is not blank, or a whole number")


def _model(model: Any, converter: Converter) -> Hook:
    fields = known_fields(model)
    required = {field.name for field in fields if field.default is attrs.NOTHING}
    known_as = {
        name: (field.name, _hook(field, converter), field.type)
        for field in fields
        for name in wire_names(field)
    }

    def structure(row: Any, _: Any) -> Any:
        extra: dict[str, Any] = {}
        known: dict[str, Any] = {"extra": extra}
        wrong: dict[str, Exception] = {}
        for key, value in expect(row, dict).items():
            name, hook, kind = known_as.get(key, _UNKNOWN)
            if name in known:
                if value is not None or name == "extra":
                    extra[key] = redact(value, key)
            elif value is not None or name in required:
                try:
                    known[name] = hook(value, kind)
                except STRUCTURE_ERRORS as error:
                    wrong[name] = error
                    extra[key] = redact(value, key)
        if not known.keys() >= required:
            missing = sorted(required - known.keys())
            raise _refused(model, {name: wrong.get(name, KeyError(name)) for name in missing})
        return model(**known)

    return structure


def _hook(field: attrs.Attribute[Any], converter: Converter) -> Hook:
    if is_identity(field):
        return _identifier
    hook: Hook = converter.get_structure_hook(field.type)
    if any(map(_is_json, (field.type, *get_args(field.type)))):
        return lambda value, kind: redact(hook(value, kind), field.name)
    return hook


def _refused(model: type[Any], wrong: dict[str, Exception]) -> Exception:
    """Return the error of a row without its required fields, as cattrs' own hooks raise it."""
    from cattrs import AttributeValidationNote, ClassValidationError

    for name, error in wrong.items():
        error.add_note(AttributeValidationNote(name, name, str))  # pyright: ignore
    message, faults = f"not a {model.__name__}", [*wrong.values()]
    return ClassValidationError(message, faults, model)  # pyright: ignore[reportCallIssue]
