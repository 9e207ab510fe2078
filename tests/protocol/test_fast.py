"""Test that the fast way gives what the exact way gives, and leaves all else to it."""

from collections.abc import Iterator
from typing import Any
from unittest import mock

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telepath_async import Response, Secret
from telepath_async.models.analytics import AnalyticsOverview
from telepath_async.models.calls import Call, CallDetails
from telepath_async.models.numbers import PhoneNumber
from telepath_async.models.trunks import SipCredentials, Trunk
from telepath_async.protocol import fast, shapes
from telepath_async.protocol.fast import fast_list, fast_object, learn

CALL = {
    "id": "call_1",
    "trunk_id": "conn_1",
    "from": "+15550100001",
    "to": "+1-555-010-0002",
    "direction": "inbound",
    "status": "completed",
    "duration_seconds": 47,
    "start_time": "2026-03-10T12:00:00Z",
    "end_time": "2026-03-10T12:00:47.5Z",
    "carrier_lag_ms": 52,
    "ai_latency_ms": 248.5,
    "gateway_processing_ms": 12,
}
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

scalars = (
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(0, 9, width=16) | st.text(max_size=3)
)
times = st.sampled_from(
    [
        "2026-03-10T12:00:00Z",
        "2026-03-10T12:00:00+00:00",
        "2026-03-10T14:00:00+02:00",
        "2026-03-10T12:00:00",
        "x",
    ]
)
nested = st.dictionaries(
    st.sampled_from(["codec_used", "codec", "turn_number", "speaker", "at", "new"]),
    scalars,
    max_size=3,
)
values = scalars | times | nested | st.lists(nested, max_size=2)
NAMES = [
    "data",
    *DETAILS,
    *TRUNK,
    *CREDENTIALS,
    "provider",
    "sip_endpoint",
    "timeline",
    "metrics",
    "total_calls",
    "extra",
    "api_key",
]


def body(value: Any) -> bytes:
    return msgspec.json.encode(value)


def answer(value: Any) -> Response:
    return Response(status=200, headers={}, body=body(value), endpoint="GET /x")


@pytest.fixture(autouse=True)
def nothing_learned() -> Iterator[None]:
    with mock.patch.dict(fast._learned, clear=True):
        yield


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
        {**CALL, "region": "eu"},
        {**CALL, "start_time": "2026-03-10T14:00:00+02:00"},
        {**CALL, "id": 5},
    ],
)
def test_what_needs_more_is_left_to_the_exact_way(row: dict[str, Any]) -> None:
    assert fast_object(Call, body(row)) is None
    assert fast_list(Call, "calls", body({"calls": [CALL, row]})) is None


def test_unknown_keys_are_learned_and_then_take_the_fast_way() -> None:
    row = {**CALL, "region": "eu", "tags": [{"api_key": "x"}]}
    exact = shapes.read_list(Call, "calls", answer({"calls": [row, CALL]})).rows
    quick = fast_list(Call, "calls", body({"calls": [row, CALL]}))
    assert quick is not None
    assert quick[0] == exact
    assert [type(call) for call in quick[0]] == [Call, Call]
    assert (exact[0].extra, exact[1].extra) == (
        {"region": "eu", "tags": [{"api_key": Secret("x")}]},
        {},
    )


def test_an_object_teaches_too() -> None:
    exact = shapes.read_object(CallDetails, answer({**DETAILS, "region": None}))
    assert fast_object(CallDetails, body({"data": {**DETAILS, "region": None}})) == exact
    assert exact.extra == {"region": None}


def test_a_credential_is_never_learned() -> None:
    learn(Call, [Call(id="call_1", extra={"api_key": Secret("x")})])
    assert fast_object(Call, body({**CALL, "api_key": "x"})) is None


@pytest.mark.parametrize("key", ["", 'a"b', "a\\b", "a\r\nb", "(extra)", "a" * 65])
def test_a_key_that_is_no_name_is_never_learned(key: str) -> None:
    body_of_it = answer({**CALL, key: 1})
    assert shapes.read_object(Call, body_of_it) == shapes.read_object(Call, body_of_it)
    assert shapes.read_object(Call, body_of_it).extra == {key: 1}
    assert fast._learned == {}


def test_keys_that_are_ids_are_not_learned() -> None:
    learn(Call, [Call(id="call_1", extra={f"key_{n}": n for n in range(100)})])
    assert fast_object(Call, body({**CALL, "key_1": 1})) is None


@pytest.mark.parametrize(
    "model", [Call, CallDetails, Trunk, SipCredentials, AnalyticsOverview, PhoneNumber]
)
@given(
    st.dictionaries(st.sampled_from(NAMES), values, max_size=5),
    st.sampled_from([CALL, DETAILS, TRUNK, CREDENTIALS, {}]),
    st.lists(st.sampled_from(NAMES)),
)
def test_both_ways_agree_on_every_object_whatever_was_learned(
    model: type[Any], changes: dict[str, Any], row: dict[str, Any], unknown: list[str]
) -> None:
    learn(model, [Call(id="call_1", extra=dict.fromkeys(unknown))])
    response = answer({**row, **changes})
    quick = fast_object(model, response.body)
    if quick is not None:
        with mock.patch.object(shapes, "fast_object", return_value=None):
            assert quick == shapes.read_object(model, response)


@given(
    st.lists(st.dictionaries(st.sampled_from(NAMES), values, max_size=2), max_size=3),
    st.dictionaries(
        st.sampled_from(["pagination", "next_cursor", "has_more", "data", "calls", "other"]),
        values,
        max_size=3,
    ),
)
def test_both_ways_agree_on_every_page(changes: list[dict[str, Any]], page: dict[str, Any]) -> None:
    rows = [{**CALL, **change} for change in changes]
    response = answer({"calls": rows, **page})
    quick = fast_list(Call, "calls", response.body)
    if quick is not None:
        with mock.patch.object(shapes, "fast_list", return_value=None):
            exact = shapes.read_list(Call, "calls", response)
        assert shapes._list_body(*quick) == exact
