"""What all models share: how a field names itself on the wire, and enumerations that stay open.

How an answer becomes a model is decided in `protocol/convert.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Self

import attrs

from .plain import to_dict

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema


def wire(*names: str) -> Any:
    """Return an optional field that stands on the wire under the first of these names that is sent.

    The first one is documented.
    """
    return attrs.field(default=None, metadata={"names": names})


def nested(kind: type[Any], *names: str) -> Any:
    """Return a field that is an object or a list, empty where nothing was sent."""
    return attrs.field(factory=kind, metadata={"names": names})


def derived(rule: Callable[[Any, Any], Any]) -> Any:
    """Return an optional field whose value is what `rule` makes of the one sent.

    `rule` also gets the model, in which only the fields above this one are set.
    """
    converter = attrs.Converter(rule, takes_self=True)
    return attrs.field(default=None, converter=converter, metadata={"rule": rule})


def collection() -> Any:
    """Return an optional field whose lists and dicts have no hash; the model's leaves it out."""
    return attrs.field(default=None, hash=False)


def extra_fields() -> Any:
    """Return the field for what has no other: JSON key -> value, credentials as `Secret`."""
    return attrs.field(factory=dict, hash=False)


def wire_names(field: attrs.Attribute[Any]) -> tuple[str, ...]:
    """Return the names of a field on the wire, the documented one first."""
    names: tuple[str, ...] = field.metadata.get("names", ())
    return names or (field.name,)


def is_model(kind: Any) -> bool:
    """Whether a type is the class of a model."""
    return isinstance(kind, type) and issubclass(kind, Model)


@cache
def known_fields(model: type[Model]) -> list[attrs.Attribute[Any]]:
    """Return all fields but `extra`, their types resolved."""
    fields = attrs.fields(attrs.resolve_types(model))
    return [field for field in fields if field.name != "extra"]


def is_identity(field: attrs.Attribute[Any]) -> bool:
    """Whether no row goes without this field."""
    return field.name == "id" and field.default is attrs.NOTHING


class Model(metaclass=type):  # noqa: UP050  # mypy takes its classes for unhashable without it
    """What every answer of the API has in common; the models are frozen attrs classes.

    They have no slot for weak references: `protocol/fast.py` gives objects of the same layout their
    class.

    `extra` holds the fields that the model does not know, and each value that is not of its field's
    type, under the name that the server gave it; the field itself is None, or empty, then.
    """

    __slots__ = ()
    __attrs_attrs__: ClassVar[Any]

    extra: dict[str, Any]

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        """Yield what `to_dict` holds: web frameworks make JSON of anything that `dict()` takes."""
        return iter(to_dict(self).items())

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        fields = attrs.fields(attrs.resolve_types(cls))
        types = {field.name: handler.generate_schema(_in_json(field.type)) for field in fields}
        shape = core_schema.typed_dict_schema(
            {name: core_schema.typed_dict_field(kind) for name, kind in types.items()}
        )
        return core_schema.is_instance_schema(
            cls,
            serialization=core_schema.plain_serializer_function_ser_schema(
                to_dict, return_schema=shape
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: Any, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        # A document with one schema for what is sent and what is taken asks for the latter.
        return handler(schema["serialization"]["return_schema"])


def _in_json(kind: Any) -> Any:
    """Return the type of what `to_dict` makes of a value: a time or a credential becomes text."""
    from types import GenericAlias, UnionType
    from typing import Union, get_args, get_origin

    from ..secret import Secret

    if isinstance(kind, type) and issubclass(kind, datetime | Secret | OpenEnum):
        return str
    if get_origin(kind) in (Union, UnionType):
        return Union[tuple(_in_json(part) for part in get_args(kind))]  # noqa: UP007
    if get_origin(kind) in (list, tuple):
        return GenericAlias(list, (_in_json(get_args(kind)[0]),))
    return dict[str, Any] if attrs.has(kind) else kind


class Listed(Model):
    """What has an id, and comes in lists."""

    __slots__ = ()

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
