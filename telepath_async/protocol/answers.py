"""Envelopes: one object, or one page of a list, in both dialects of the API.

`{"data": {...}}` or the object itself; `{"data": [...], "next_cursor": ...}` or
`{"trunks": [...], "pagination": {...}}`. What stands inside is read by `convert.py`, and by
`fast.py` where that can.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import attrs

from ..checks import whole_number
from ..models.fields import Model
from .body import decode_error, read_json
from .convert import odd_values, structure
from .fast import fast_list, fast_object, fast_rows
from .messages import Response
from .odd_rows import OddValue, RejectedRow
from .redaction import redact

T = TypeVar("T")
M = TypeVar("M", bound=Model)


@attrs.define(kw_only=True)
class ListBody(Generic[T]):
    """One page as the server sent it.

    `paged_by_cursor`: which of the two paging styles it shows. `rejected`: rows without an id;
    `odd`: values that are not of their fields' types.
    """

    rows: list[T]
    paged_by_cursor: bool
    total: int | None = None
    limit: int | None = None
    offset: int | None = None
    next_cursor: str | None = None
    has_more: bool | None = None
    rejected: tuple[RejectedRow, ...] = ()
    odd: tuple[OddValue, ...] = ()


def read_object(model: type[M], response: Response) -> M:
    """Decode one object, enveloped or bare.

    Raises ResponseError when it is not an object, or lacks what the model cannot do without.
    """
    quick = fast_object(model, response.body)
    if quick is not None:
        return quick
    return _decoded(response, lambda: _object(model, read_json(response)))


def read_list(model: type[M], key: str, response: Response) -> ListBody[M]:
    """Decode one page: `{"data": [...]}` or `{key: [...]}`.

    Raises ResponseError on any other shape.
    """
    quick = fast_list(model, key, response.body)
    if quick is not None:
        return _list_body(*quick)
    return _decoded(response, lambda: _list(model, key, read_json(response)))


def _decoded(response: Response, decode: Callable[[], T]) -> T:
    try:
        return decode()
    except ValueError as error:
        why = str(error)
    # Raised out here: the frames in there hold secrets in plain text.
    raise decode_error(response, why)


def _object(model: type[M], body: Any) -> M:
    path = "$"
    if isinstance(body, dict) and isinstance(body.get("data"), dict):
        body, path = body["data"], "$.data"
    quick = fast_rows(model, [body])
    return quick[0] if quick is not None else structure(body, model, path)


def _list(model: type[M], key: str, body: Any) -> ListBody[M]:
    if isinstance(body, dict) and isinstance(body.get("data"), dict):
        body = body["data"]
    if not isinstance(body, dict):
        raise ValueError(f"expected an object that holds a list, got {type(body).__name__}")
    name = key if body.get("data") is None and key in body else "data"
    objects = _rows(body, name, key)
    quick = fast_rows(model, objects)
    if quick is not None:
        return _list_body(quick, body)
    rows, rejected, odd = _structured(model, objects, f"$.{name}")
    return attrs.evolve(_list_body(rows, body), rejected=rejected, odd=odd)


def _structured(
    model: type[M], objects: list[Any], path: str
) -> tuple[list[M], tuple[RejectedRow, ...], tuple[OddValue, ...]]:
    """Return the rows that have an id, those that do not, and where a value is odd."""
    rows, rejected, odd = [], [], []
    for index, row in enumerate(objects):
        row_path = f"{path}[{index}]"
        try:
            found = structure(row, model, row_path)
        except ValueError as error:
            rejected.append(RejectedRow(path=row_path, reason=str(error), row=_redacted(row)))
            continue
        rows.append(found)
        odd += [
            OddValue(id=getattr(found, "id", ""), field=where, reason=reason)
            for where, reason in odd_values(found)
        ]
    return rows, tuple(rejected), tuple(odd)


def _redacted(row: Any) -> Any:
    try:
        return redact(row)
    except RecursionError:
        return None


def _rows(body: Mapping[str, Any], name: str, key: str) -> list[Any]:
    rows = body.get(name)
    if isinstance(rows, list):
        return rows
    if rows is None and (name in body or _paging(body).get("total") == 0 or body.get("total") == 0):
        return []
    raise ValueError(f"expected a list under 'data' or {key!r}")


def _paging(body: Mapping[str, Any]) -> Mapping[str, Any]:
    paging = body.get("pagination")
    return paging if isinstance(paging, dict) else {}


def _list_body(rows: list[T], body: Mapping[str, Any]) -> ListBody[T]:
    paging = _paging(body)
    has_more = body.get("has_more")
    return ListBody(
        rows=rows,
        paged_by_cursor="next_cursor" in body or "has_more" in body,
        total=whole_number(paging.get("total"), 0),
        limit=whole_number(paging.get("limit"), 0),
        offset=whole_number(paging.get("offset"), 0),
        next_cursor=_cursor(body.get("next_cursor")),
        has_more=has_more if isinstance(has_more, bool) else None,
    )


def _cursor(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value or None
    raise ValueError(f"expected next_cursor to be text or null, got {type(value).__name__}")
