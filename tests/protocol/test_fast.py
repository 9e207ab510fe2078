"""Test that the fast way gives what the exact way gives, and leaves all else to it."""

from datetime import UTC, datetime
from typing import Any
from unittest import mock

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telepath_async import Response, Secret
from telepath_async.models.analytics import AnalyticsOverview
from telepath_async.models.calls import Call, CallDetails
from telepath_async.models.numbers import PhoneNumber
from telepath_async.models.trunks import SipCredentials, Trunk
from telepath_async.protocol import answers
from telepath_async.protocol.fast import fast_list, fast_object

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
        "2026-03-10t12:00:00.1234567z",
        "2026-03-10T12:00:00.123456501+00:00",
        "2026-03-10",
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
    "call_count",
    "extra",
    "api_key",
    "region",
]


def body(value: Any) -> bytes:
    return msgspec.json.encode(value)


def kinds(value: Any) -> Any:
    """Return the types inside a model, for 1 equals 1.0 and True."""
    if attrs.has(type(value)):
        return [type(value), *map(kinds, attrs.astuple(value, recurse=False))]
    return [type(value), *map(kinds, value)] if isinstance(value, tuple | list) else type(value)


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
    ],
)
def test_what_needs_more_is_left_to_the_exact_way(row: dict[str, Any]) -> None:
    assert fast_object(Call, body(row)) is None
    assert fast_list(Call, "calls", body({"calls": [CALL, row]})) is None


def test_unknown_fields_take_the_fast_way_with_their_secrets_hidden() -> None:
    row = {**CALL, "region": "eu", "tags": [{"api_key": "x"}], "api_token": "y"}
    quick = fast_list(Call, "calls", body({"calls": [row, CALL]}))
    assert quick is not None
    assert [call.extra for call in quick[0]] == [
        {"region": "eu", "tags": [{"api_key": Secret("x")}], "api_token": Secret("y")},
        {},
    ]
    assert fast_object(Call, body({"data": row})) == quick[0][0]


def test_unknown_fields_keep_the_order_of_the_answer() -> None:
    found = fast_object(Call, body({**CALL, "zone": 1, "area": 2, "mood": 3}))
    assert found is not None
    assert [*found.extra] == ["zone", "area", "mood"]


@pytest.mark.parametrize(
    "model", [Call, CallDetails, Trunk, SipCredentials, AnalyticsOverview, PhoneNumber]
)
@given(
    st.dictionaries(st.sampled_from(NAMES), values, max_size=5),
    st.sampled_from([CALL, DETAILS, TRUNK, CREDENTIALS, {}]),
)
def test_both_ways_agree_on_every_object(
    model: type[Any], changes: dict[str, Any], row: dict[str, Any]
) -> None:
    response = answer({**row, **changes})
    quick = fast_object(model, response.body)
    if quick is not None:
        with mock.patch.object(answers, "fast_object", return_value=None):
            exact = answers.read_object(model, response)
        assert quick == exact
        assert kinds(quick) == kinds(exact)


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
        with mock.patch.object(answers, "fast_list", return_value=None):
            exact = answers.read_list(Call, "calls", response)
        assert answers._list_body(*quick) == exact


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
