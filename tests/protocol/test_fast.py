"""Test that the fast way gives what the exact way gives, and leaves all else to it."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from typing import Any, get_args, get_origin
from unittest import mock

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telepath_async import Response, ResponseError, Secret
from telepath_async.models.analytics import AnalyticsOverview
from telepath_async.models.calls import Call, CallDetails
from telepath_async.models.fields import OpenEnum, wire_names
from telepath_async.models.numbers import PhoneNumber
from telepath_async.models.trunks import SipCredentials, Trunk
from telepath_async.protocol import answers
from telepath_async.protocol.fast import fast_list, fast_object, fast_rows

CALL = {
    "id": "call_1", "trunk_id": "conn_1", "from": "+15550100001", "to": "+1-555-010-0002",
    "direction": "inbound", "status": "completed", "duration_seconds": 47,
    "start_time": "2026-03-10T12:00:00Z", "end_time": "2026-03-10T12:00:47.5Z",
    "carrier_lag_ms": 52, "ai_latency_ms": 248.5, "gateway_processing_ms": 12,
}  # fmt: skip
DETAILS = {
    **CALL,
    "metrics": {"codec_used": "PCMU"},
    "turns": [{"turn_number": 1, "speaker": "agent"}],
    "sip_trace": "INVITE",
}
TRUNK = {
    "id": "conn_1",
    "name": "n",
    "status": "active",
    "ai_provider": "openai",
    "created_at": "2026-03-10T12:00:00Z",
}
CREDENTIALS = {
    "id": "conn_1",
    "sip_username": "a",
    "sip_password": "s3cur3P@ss",
    "rotated_at": "2026-03-10T12:00:00Z",
}

MODELS = [Call, CallDetails, Trunk, SipCredentials, AnalyticsOverview, PhoneNumber]

texts = st.text(max_size=3) | st.sampled_from(["sip:host", "u@host", "host:5061"])
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.sampled_from([2**64, 10**400])
    | st.floats(0, 9, width=16)
    | texts
)
times = st.sampled_from(
    [
        "2026-03-10T12:00:00Z", "2026-03-10T12:00:00+00:00", "2026-03-10T14:00:00+02:00",
        "2026-03-10T12:00:00", "2026-03-10t12:00:00.1234567z",
        "2026-03-10T12:00:00.123456501+00:00", "2026-03-10", "x",
    ]
)  # fmt: skip
unknown_names = st.sampled_from(["data", "extra", "api_key", "region", "token"])
anything = st.recursive(
    scalars | times,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(unknown_names, inner, max_size=2),
    max_leaves=3,
)


def typed(kind: Any) -> st.SearchStrategy[Any]:
    """Return JSON values that a field of this type may hold."""
    if kind is datetime:
        return st.just("2026-03-10T12:00:00Z") | times
    if get_origin(kind) in (tuple, list):
        return st.lists(typed(get_args(kind)[0]), max_size=2)
    if get_origin(kind) is dict or kind is Any:
        return anything
    if get_args(kind):
        return st.one_of(*map(typed, get_args(kind)))
    if attrs.has(kind):
        return objects(kind)
    if issubclass(kind, OpenEnum):
        return st.sampled_from([*map(str, kind), "new"])
    return {int: st.integers(), float: st.floats(0, 9), bool: st.booleans()}.get(
        kind, texts if kind in (str, Secret) else st.none()
    )


@cache
def objects(model: type[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return JSON objects of a model: mostly as they should be, under each of the fields' names."""
    fields = [field for field in attrs.fields(attrs.resolve_types(model)) if field.name != "extra"]
    named = {
        name: st.deferred(lambda kind=field.type: typed(kind))
        for field in fields
        for name in wire_names(field)
    }
    needed = {field.name: named[field.name] for field in fields if field.default is attrs.NOTHING}
    chosen = st.sets(st.sampled_from([*named]), max_size=4)
    odd = st.dictionaries(st.sampled_from([*named]) | unknown_names, anything, max_size=1)
    right = chosen.flatmap(
        lambda names: st.fixed_dictionaries({**needed, **{name: named[name] for name in names}})
    )
    return right | st.builds(lambda row, change: {**row, **change}, right, odd)


def body(value: Any) -> bytes:
    return json.dumps(value).encode()


def kinds(value: Any) -> Any:
    """Return the types inside a model, for 1 equals 1.0 and True."""
    if attrs.has(type(value)):
        return [type(value), *map(kinds, attrs.astuple(value, recurse=False))]
    return [type(value), *map(kinds, value)] if isinstance(value, tuple | list) else type(value)


def body_bare(row: Any) -> bytes:
    return body(row)


def body_enveloped(row: Any) -> bytes:
    return body({"data": row})


@contextmanager
def exact_way() -> Iterator[None]:
    none = {
        name: mock.Mock(return_value=None) for name in ("fast_object", "fast_list", "fast_rows")
    }
    with mock.patch.multiple(answers, **none):
        yield


def outcome(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except ResponseError as error:
        return str(error)


def answer(value: Any) -> Response:
    return Response(status=200, headers={}, body=body(value), endpoint="GET /x")


@pytest.mark.parametrize(
    ("model", "row"),
    [(Call, CALL), (CallDetails, DETAILS), (Trunk, TRUNK), (SipCredentials, CREDENTIALS)],
)
def test_what_the_pages_show_takes_the_fast_way(model: type[Any], row: dict[str, Any]) -> None:
    bare, enveloped = fast_object(model, body(row)), fast_object(model, body({"data": row}))
    assert isinstance(bare, model)
    assert bare == enveloped
    assert bare.extra == {}


@pytest.mark.parametrize(
    "row",
    [
        {**CALL, "start_time": "2026-03-10T14:00:00+02:00"},
        {**CALL, "id": 5},
        {**CALL, "id": " "},
        {**CALL, "duration_seconds": "47"},
    ],
)
def test_what_needs_more_is_left_to_the_exact_way(row: dict[str, Any]) -> None:
    assert fast_object(Call, body(row)) is None
    assert fast_list(Call, "calls", body({"calls": [CALL, row]})) is None
    assert fast_rows(Call, [CALL, row]) is None


def test_two_names_of_one_field_are_left_to_the_exact_way() -> None:
    row = {**TRUNK, "provider": "custom"}
    assert fast_object(Trunk, body(row)) is None
    assert fast_rows(Trunk, [row]) is None


def test_unknown_fields_become_extra_with_their_secrets_hidden() -> None:
    row = {**CALL, "region": "eu", "tags": [{"api_key": "x"}], "api_token": "y"}
    assert fast_list(Call, "calls", body({"calls": [row, CALL]})) is None
    quick = fast_rows(Call, [row, CALL, {**CALL, "zone": 1, "region": 2}])
    assert quick is not None
    assert [call.extra for call in quick] == [
        {"region": "eu", "tags": [{"api_key": Secret("x")}], "api_token": Secret("y")},
        {},
        {"zone": 1, "region": 2},
    ]


def test_unknown_fields_keep_the_order_of_the_answer() -> None:
    found = fast_rows(Call, [{**CALL, "zone": 1, "area": 2, "mood": 3}])
    assert found is not None
    assert [*found[0].extra] == ["zone", "area", "mood"]


def test_a_number_without_an_agent_gets_none_invented() -> None:
    found = fast_object(PhoneNumber, body({"number": "+15550100001"}))
    assert found == PhoneNumber(number="+15550100001")


@pytest.mark.parametrize("style", [body_bare, body_enveloped])
@pytest.mark.parametrize("model", MODELS)
@given(st.data())
def test_both_ways_agree_on_every_object(
    style: Callable[[Any], bytes], model: type[Any], data: st.DataObject
) -> None:
    row = data.draw(objects(model))
    response = Response(status=200, headers={}, body=style(row), endpoint="GET /x")
    quick = outcome(lambda: answers.read_object(model, response))
    with exact_way():
        exact = outcome(lambda: answers.read_object(model, response))
    assert quick == exact
    assert kinds(quick) == kinds(exact)


@pytest.mark.parametrize("key", ["calls", "data"])
@pytest.mark.parametrize("model", [Call, Trunk])
@given(st.data())
def test_both_ways_agree_on_every_page(key: str, model: type[Any], data: st.DataObject) -> None:
    said = st.sampled_from(["pagination", "next_cursor", "has_more", "data", "calls", "other"])
    rows = data.draw(st.lists(objects(model), max_size=3))
    page = {key: rows, **data.draw(st.dictionaries(said, anything, max_size=2))}
    response = answer(page)
    quick = outcome(lambda: answers.read_list(model, "calls", response))
    with exact_way():
        exact = outcome(lambda: answers.read_list(model, "calls", response))
    assert quick == exact
    assert kinds(quick) == kinds(exact)


@pytest.mark.parametrize("foreign", range(3))
@pytest.mark.parametrize("missing", [0, 1, 2, None])
def test_a_page_with_one_time_in_another_zone_and_one_missing_has_all_times_in_utc(
    foreign: int, missing: int | None
) -> None:
    texts: list[str | None] = ["2026-03-10T12:00:00Z"] * 3
    texts[foreign] = "2026-03-10T14:00:00+02:00"
    if missing is not None:
        texts[missing] = None
    rows = [TRUNK | {"id": f"t{n}", "created_at": text} for n, text in enumerate(texts)]
    for row in rows:
        if row["created_at"] is None:
            del row["created_at"]
    body = {"trunks": rows, "pagination": {"limit": 3, "offset": 0, "total": 3}}
    page = answers.read_list(Trunk, "trunks", answer(body))
    noon = datetime(2026, 3, 10, 12, tzinfo=UTC)
    assert [trunk.created_at for trunk in page.rows] == [text and noon for text in texts]
    assert {trunk.created_at.tzinfo for trunk in page.rows if trunk.created_at} <= {UTC}
