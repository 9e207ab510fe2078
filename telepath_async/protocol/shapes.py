"""Both shapes of the API's answers -> models: envelopes, other names, times in UTC, unknown fields
into `extra`.

Where `fast.py` cannot decode an answer, it is done exactly here, in two steps: `_arranged` puts a
row's keys where the model wants them, and msgspec checks every type and names the path of what is
wrong (`$.trunks[3].created_at`). Nothing is coerced: null never becomes 'None'.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, Generic, TypeGuard, TypeVar, get_args, get_type_hints

import msgspec

from ..models.fields import EXTRA, Model
from .fast import fast_list, fast_object, learn, secret
from .wire import Response, concealed, read_json, unreadable

T = TypeVar("T")
M = TypeVar("M", bound=Model)

_SIP_SCHEME: Final = re.compile(r"^sip:(//)?", re.IGNORECASE)
_HOST: Final = re.compile(r"[A-Za-z0-9.-]+(:\d+)?")


class ListBody(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """One page as the server sent it.

    `paged_by_cursor`: which of the two paging styles it shows.
    """

    rows: list[T]
    paged_by_cursor: bool
    total: int | None = None
    limit: int | None = None
    offset: int | None = None
    next_cursor: str | None = None
    has_more: bool | None = None


def read_object(model: type[M], response: Response) -> M:
    """Decode one object, enveloped or bare.

    Raises ResponseError when it is not of the model's shape.
    """
    quick = fast_object(model, response.body)
    return (
        quick
        if quick is not None
        else _exactly(response, lambda: _object(model, read_json(response)))
    )


def read_list(model: type[M], key: str, response: Response) -> ListBody[M]:
    """Decode one page: `{"data": [...]}` or `{key: [...]}`.

    Raises ResponseError on any other shape.
    """
    quick = fast_list(model, key, response.body)
    return _exactly(
        response, lambda: _list_body(*(quick or _page(model, key, read_json(response))))
    )


def _exactly(response: Response, read: Callable[[], T]) -> T:
    try:
        return read()
    except msgspec.ValidationError as error:
        why = str(error)
    except RecursionError:
        why = "it is nested too deeply"
    # Raised out here: the frames in there hold secrets in plain text, and a traceback would keep
    # them.
    raise unreadable(response, why)


def _object(model: type[M], body: Any) -> M:
    if isinstance(body, dict) and isinstance(body.get("data"), dict):
        found = _convert(_arranged(model, body["data"]), model, "$.data")
    else:
        found = _convert(_arranged(model, body), model, "$")
    learn(model, [found])
    return found


def _page(model: type[M], key: str, body: Any) -> tuple[list[M], Mapping[str, Any]]:
    if isinstance(body, dict) and isinstance(body.get("data"), dict):
        body = body["data"]
    if not isinstance(body, dict):
        raise msgspec.ValidationError(
            f"expected an object that holds a list, got {type(body).__name__}"
        )
    name = "data" if "data" in body else key
    rows = body.get(name)
    if not isinstance(rows, list):
        raise msgspec.ValidationError(f"expected a list under 'data' or {key!r}")
    found = _convert([_arranged(model, row) for row in rows], list[model], f"$.{name}")  # type: ignore[valid-type]
    learn(model, found)
    return found, body


def _list_body(rows: list[T], body: Mapping[str, Any]) -> ListBody[T]:
    pagination = body.get("pagination")
    paging = pagination if isinstance(pagination, dict) else {}
    has_more = body.get("has_more")
    return ListBody(
        rows=rows,
        paged_by_cursor="next_cursor" in body or "has_more" in body,
        total=_count(paging.get("total")),
        limit=_count(paging.get("limit")),
        offset=_count(paging.get("offset")),
        next_cursor=_cursor(body.get("next_cursor")),
        has_more=has_more if isinstance(has_more, bool) else None,
    )


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _cursor(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value or None
    raise msgspec.ValidationError(
        f"expected next_cursor to be a string or null, got {type(value).__name__}"
    )


def _convert(value: object, shape: type[T], path: str) -> T:
    try:
        return msgspec.convert(value, shape, dec_hook=secret)
    except msgspec.ValidationError as error:
        why = str(error).replace("`$", f"`{path}", 1)
    raise msgspec.ValidationError(why)


class _Layout(msgspec.Struct, frozen=True):
    """Where a model's keys go: any name on the wire -> the one that msgspec knows; and by that
    name, which fields are required, which hold models of their own, which are times.

    `guessed`: the types of the fields that no page documents; a value of another type stands in `extra`.
    """

    names: dict[str, str]
    required: frozenset[str]
    guessed: dict[str, Any]
    nested: dict[str, type[Model]]
    times: frozenset[str]


@cache
def _layout(model: type[Model]) -> _Layout:
    hints = get_type_hints(model)
    fields = {field.name: field for field in msgspec.structs.fields(model) if field.name != "extra"}
    types = {field.encode_name: _leaves(hints[name]) for name, field in fields.items()}
    others = {other: fields[name].encode_name for other, name in model._other_names.items()}
    return _Layout(
        names={name: name for name in types} | others,
        required=frozenset(field.encode_name for field in fields.values() if field.required),
        guessed={fields[name].encode_name: hints[name] for name in model._guessed},
        nested={name: leaf for name, leaves in types.items() for leaf in leaves if _is_model(leaf)},
        times=frozenset(name for name, leaves in types.items() if datetime in leaves),
    )


def _is_model(leaf: object) -> TypeGuard[type[Model]]:
    return isinstance(leaf, type) and issubclass(leaf, Model)


def _leaves(hint: Any) -> set[Any]:
    """Return the plain types inside `str | list[Action] | None`."""
    inside = get_args(hint)
    return {leaf for part in inside for leaf in _leaves(part)} if inside else {hint}


def _arranged(model: type[Model], row: object) -> object:
    if not isinstance(row, dict):
        return row
    layout = _layout(model)
    known: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for key, value in row.items():
        name = layout.names.get(key)
        if name is None or name in known:
            extra[key] = concealed(value, key)
        elif value is not None or name in layout.required:
            arranged = _value(layout, name, value)
            if name in layout.guessed and not _fits(arranged, layout.guessed[name]):
                extra[key] = concealed(value, key)
            else:
                known[name] = arranged
    if known.get("sip_endpoint"):
        known["sip_endpoint"] = _sip_address(known["sip_endpoint"], known.get("sip_username"))
    if extra:
        known[EXTRA] = extra
    return known


def _fits(value: object, shape: Any) -> bool:
    try:
        msgspec.convert(value, shape, dec_hook=secret)
    except msgspec.ValidationError:
        return False
    return True


def _value(layout: _Layout, name: str, value: object) -> object:
    if name in layout.times:
        return _utc(value)
    if isinstance(value, dict | list):
        nested = layout.nested.get(name)
        if nested is None:
            return concealed(value, name)
        return (
            [_arranged(nested, item) for item in value]
            if isinstance(value, list)
            else _arranged(nested, value)
        )
    return value


def _utc(value: object) -> object:
    """Return a time in UTC where the server names another zone, or none (seed 003: all timestamps are in UTC)."""
    if not isinstance(value, str) or value.endswith("Z"):
        return value
    try:
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        # msgspec refuses what is no time; one that UTC's calendar cannot hold keeps its own zone
        return value


def _sip_address(endpoint: object, username: object) -> object:
    """Return `user@host` from `host`, `user@host`, `sip:user@host` or `sip://user@host`."""
    if not isinstance(endpoint, str):
        return endpoint
    address = _SIP_SCHEME.sub("", endpoint)
    return (
        f"{username}@{address}"
        if isinstance(username, str) and _HOST.fullmatch(address)
        else address
    )
