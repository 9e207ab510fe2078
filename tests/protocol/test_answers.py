"""Test that both shapes of the API's answers become the same models.

What is wrong is refused, and the path is named.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from multidict import CIMultiDict

from telepath_async.errors import ResponseError
from telepath_async.models.analytics import AnalyticsOverview
from telepath_async.models.calls import CallDetails, TimelineEvent
from telepath_async.models.numbers import (
    AccountConnection,
    Action,
    Agent,
    PhoneNumber,
    Prompt,
    PromptTemplate,
)
from telepath_async.models.trunks import SipCredentials, Trunk, TrunkMetrics
from telepath_async.protocol.answers import ListBody, read_list, read_object
from telepath_async.protocol.convert import odd_values
from telepath_async.protocol.messages import Response
from telepath_async.protocol.odd_rows import OddValue
from telepath_async.secret import Secret, SecretNumber

TRUNK = {"id": "conn_1", "name": "Sales", "status": "active"}


def answer(body: object) -> Response:
    return Response(
        status=200, headers=CIMultiDict(), body=json.dumps(body).encode(), endpoint="GET /trunks"
    )


def trunk(**fields: Any) -> Trunk:
    return read_object(Trunk, answer(TRUNK | fields))


def trunks(body: object) -> ListBody[Trunk]:
    return read_list(Trunk, "trunks", answer(body))


def details(**fields: Any) -> CallDetails:
    return read_object(CallDetails, answer({"id": "call_1", **fields}))


def number(**fields: Any) -> PhoneNumber:
    return read_object(PhoneNumber, answer({"number": "+15550100001", **fields}))


def test_an_object_in_an_envelope_and_a_bare_one_give_the_same_model() -> None:
    assert read_object(Trunk, answer({"data": TRUNK})) == read_object(Trunk, answer(TRUNK))


@pytest.mark.parametrize("name", ["ai_provider", "provider"])
def test_the_provider_is_found_under_both_of_its_names(name: str) -> None:
    assert trunk(**{name: "openai"}).ai_provider == "openai"


@pytest.mark.parametrize(
    ("given", "calls", "extra"),
    [
        ({"calls_total": None, "call_count": 5, "total_calls": 6}, 5, {"total_calls": 6}),
        ({"call_count": 0, "total_calls": 6}, 0, {"total_calls": 6}),
        ({"call_count": 5, "total_calls": None}, 5, {}),
        ({"total_calls": 5, "call_count": None}, 5, {}),
        (
            {"call_count": 5, "total_calls": None, "success_rate": "high"},
            5,
            {"success_rate": "high"},
        ),
        ({"total_calls": 5, "success_rate": 10**400}, 5, {"success_rate": 10**400}),
    ],
)
def test_of_two_names_of_a_field_the_first_with_a_value_wins_and_what_is_no_number_is_extra(
    given: dict[str, Any], calls: int, extra: dict[str, Any]
) -> None:
    found = read_object(AnalyticsOverview, answer(given))
    assert (found.total_calls, found.success_rate, found.extra) == (calls, None, extra)
    assert {name for name, _ in odd_values(found)} == extra.keys() & {"success_rate"}


def test_what_we_do_not_know_stands_in_extra_with_its_secrets_hidden() -> None:
    found = trunk(
        vad={"threshold": 0.5},
        azure_api_key="x",
        tokens=[1],
        providers=[{"client_secret": "y"}],
        note=None,
    )
    assert found.extra == {
        "vad": {"threshold": 0.5},
        "azure_api_key": Secret("x"),
        "tokens": [1],
        "providers": [{"client_secret": Secret("y")}],
        "note": None,
    }


def test_a_field_called_extra_is_extra_too() -> None:
    assert trunk(extra=1).extra == {"extra": 1}


def test_every_text_and_number_below_a_credentials_name_is_hidden() -> None:
    assert trunk(credentials={"account": "x", "list": ["y"], "port": 5}).extra == {
        "credentials": {"account": Secret("x"), "list": [Secret("y")], "port": SecretNumber(5)}
    }


@pytest.mark.parametrize(
    "text",
    [
        "2024-03-10T12:00:00Z",
        "2024-03-10T14:00:00+02:00",
        "2024-03-10T12:00:00",
        "2024-03-10 12:00:00",
        "20240310T120000",
    ],
)
def test_a_time_is_read_as_utc_in_every_zone_and_without_one(text: str) -> None:
    found = trunk(created_at=text).created_at
    assert found is not None
    assert found == datetime(2024, 3, 10, 12, tzinfo=UTC)
    assert found.utcoffset() == timedelta(0)


def test_a_time_that_utcs_calendar_cannot_hold_keeps_its_own_zone() -> None:
    found = trunk(created_at="9999-12-31T23:59:59-05:00").created_at
    assert found is not None
    assert found.utcoffset() == timedelta(hours=-5)


def test_null_and_absent_optional_fields_are_none_or_empty() -> None:
    assert details(metrics=None, turns=None, status=None, timeline=None) == CallDetails(id="call_1")


@pytest.mark.parametrize(
    ("endpoint", "username", "address"),
    [
        ("sip.telepathvoice.com", "agent-01", "agent-01@sip.telepathvoice.com"),
        ("sip.telepathvoice.com:5061", "agent-01", "agent-01@sip.telepathvoice.com:5061"),
        ("agent-01@sip.telepathvoice.com", "agent-01", "agent-01@sip.telepathvoice.com"),
        ("sip:agent-01@sip.telepathvoice.com", "agent-01", "agent-01@sip.telepathvoice.com"),
        ("sip://agent-01@sip.telepathvoice.com", None, "agent-01@sip.telepathvoice.com"),
        ("SIP:sip.telepathvoice.com", "agent-01", "agent-01@sip.telepathvoice.com"),
        ("sip.telepathvoice.com", None, "sip.telepathvoice.com"),
        ("", "agent-01", ""),
    ],
)
def test_the_sip_endpoint_is_one_address_in_each_of_its_spellings(
    endpoint: str, username: str | None, address: str
) -> None:
    assert trunk(sip_endpoint=endpoint, sip_username=username).sip_endpoint == address


@pytest.mark.parametrize("name", ["timeline", "events", "timeline_events"])
def test_the_timeline_is_found_under_each_of_its_names(name: str) -> None:
    event = {"event": "call.started", "timestamp": "2024-03-10T12:00:00Z", "leg": "a"}
    assert details(**{name: [event]}).timeline == (
        TimelineEvent(
            type="call.started", at=datetime(2024, 3, 10, 12, tzinfo=UTC), extra={"leg": "a"}
        ),
    )


def test_objects_inside_objects_and_lists_become_models_or_stay_ids() -> None:
    agent = number(
        inbound_agent={
            "prompt": {"prompt_template": {"label": "T", "new": 1}},
            "actions": [
                "action_1",
                {"type": "action_dtmf", "config": {"api_key": "x", "digits": "1"}},
            ],
            "deepgram_keywords": {"kansas": "10"},
        }
    ).inbound_agent
    assert agent == Agent(
        prompt=Prompt(prompt_template=PromptTemplate(label="T", extra={"new": 1})),
        actions=[
            "action_1",
            Action(type="action_dtmf", config={"api_key": Secret("x"), "digits": "1"}),
        ],  # type: ignore[arg-type]
        deepgram_keywords={"kansas": "10"},
    )


def test_every_text_and_number_in_credentials_is_a_secret_and_the_rest_does_no_harm() -> None:
    given = {"twilio_account_sid": "AC1", "region": None, "port": 5060, "scopes": ["a"]}
    assert number(
        telephony_account_connection={"credentials": given}
    ).telephony_account_connection == AccountConnection(
        credentials={
            "twilio_account_sid": Secret("AC1"),
            "region": None,
            "port": SecretNumber(5060),
            "scopes": [Secret("a")],
        }
    )


@pytest.mark.parametrize("given", ["en", 5, [1], True])
def test_what_should_be_an_object_of_any_kind_and_is_none_stands_in_extra(given: Any) -> None:
    found = number(example_context=given, inbound_agent={"actions": [{"config": given}]})
    assert (found.example_context, found.extra) == (None, {"example_context": given})
    assert isinstance(found.inbound_agent, Agent)
    assert found.inbound_agent.actions == [Action(extra={"config": given})]
    assert dict(odd_values(found)) == {"example_context": "expected an object"}


def test_whole_numbers_serve_as_rates() -> None:
    assert trunk(metrics={"success_rate": 97}).metrics.success_rate == 97.0


@pytest.mark.parametrize(
    ("name", "value", "empty"),
    [
        ("created_at", "soon", None),
        ("created_at", 1710072000, None),
        ("created_at", "Sun, 10 Mar 2024 12:00:00 GMT", None),
        ("created_at", "0000-00-00 00:00:00", None),
        ("created_at", "2024-03-10T23:59:60Z", None),
        ("created_at", "", None),
        ("name", 5, ""),
        ("status", 5, "unknown"),
        ("sip_endpoint", 5, None),
        ("sip_username", {"user": "a"}, None),
        ("metrics", [1], TrunkMetrics()),
    ],
)
def test_a_value_of_another_type_stands_in_extra_and_costs_nothing_else(
    name: str, value: object, empty: object
) -> None:
    found = trunk(**{name: value}, updated_at="2024-03-10T12:00:00Z")
    assert getattr(found, name) == empty
    assert found.extra == {name: value}
    assert found.updated_at is not None


def test_an_odd_value_inside_an_object_stands_in_the_extra_of_that_object() -> None:
    found = trunk(metrics={"calls_today": "5", "success_rate": True, "avg_latency_ms": 5})
    assert found.metrics == TrunkMetrics(
        avg_latency_ms=5, extra={"calls_today": "5", "success_rate": True}
    )
    assert found.extra == {}


def test_a_credential_that_is_a_number_is_hidden_in_extra() -> None:
    found = trunk(sip_password=12345678)
    assert found.sip_password is None
    assert "12345678" not in repr(found)


def test_a_second_spelling_of_a_field_that_has_its_value_is_no_odd_value() -> None:
    found = trunk(ai_provider="openai", provider=5)
    assert (found.ai_provider, found.extra["provider"]) == ("openai", 5)
    assert [*odd_values(found)] == []


def test_odd_values_of_a_page_are_named_with_their_paths_and_rows() -> None:
    odd = TRUNK | {"id": "conn_2", "created_at": "soon", "metrics": {"calls_today": "5"}}
    assert trunks({"trunks": [TRUNK, odd]}).odd == (
        OddValue(id="conn_2", field="metrics.calls_today", reason="expected a whole number"),
        OddValue(id="conn_2", field="created_at", reason="expected a time"),
    )
    turns = details(turns=[{"turn_number": 1}, {"turn_number": "2"}])
    assert [*odd_values(turns)] == [("turns[1].turn_number", "expected a whole number")]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("status", "expected text"),
        ("name", "expected text"),
        ("ai_provider", "expected text"),
        ("metrics", "expected an object"),
        ("sip_password", "expected text"),
    ],
)
def test_each_field_of_a_trunk_that_holds_a_number_is_odd(name: str, reason: str) -> None:
    assert trunks({"trunks": [TRUNK | {name: 5}]}).odd == (
        OddValue(id="conn_1", field=name, reason=reason),
    )


def test_metrics_that_are_no_object_are_odd_beside_a_latency_of_the_call() -> None:
    found = details(ai_latency_ms=300, metrics="fast", turns=5)
    assert dict(odd_values(found)) == {"metrics": "expected an object", "turns": "expected a list"}


def test_a_whole_number_that_is_an_id_becomes_text() -> None:
    assert trunk(id=5).id == "5"


@pytest.mark.parametrize("row", [5, None, {}, {"id": None}, {"id": ""}, {"id": " "}, {"id": True},
                                 {"id": 5.5}, {"id": {"a": 1}}, {"name": "n"}])  # fmt: skip
def test_a_row_without_a_usable_id_is_rejected_and_costs_no_other_row(row: object) -> None:
    page = trunks({"trunks": [TRUNK, row, TRUNK | {"id": "conn_2"}]})
    assert [found.id for found in page.rows] == ["conn_1", "conn_2"]
    (rejected,) = page.rejected
    assert (rejected.path, rejected.row) == ("$.trunks[1]", row)
    assert "$.trunks[1]" in rejected.reason


def test_a_rejected_row_hides_its_secrets() -> None:
    (rejected,) = trunks({"data": [{"sip_password": "needle"}]}).rejected
    assert "needle" not in repr(rejected)


def test_a_model_cannot_do_without_what_it_is_for() -> None:
    with pytest.raises(ResponseError, match=r"it is missing at \$\.data\.sip_password") as caught:
        read_object(SipCredentials, answer({"data": {"id": "conn_1"}}))
    assert caught.value.__context__ is None


def test_half_a_character_becomes_a_replacement_character() -> None:
    body = rb'{"trunks": [{"id": "conn_1", "name": "a\ud83d \ud83d\ude00 \\ud83d"}]}'
    response = Response(status=200, headers={}, body=body, endpoint="GET /trunks")
    assert read_list(Trunk, "trunks", response).rows[0].name == "a\ufffd \U0001f600 \\ud83d"


def test_a_byte_order_mark_is_dropped_and_a_nul_is_kept() -> None:
    body = b'\xef\xbb\xbf{"id": "conn_1", "name": "a\\u0000"}'
    response = Response(status=200, headers={}, body=body, endpoint="GET /trunks/{id}")
    assert read_object(Trunk, response).name == "a\0"


@pytest.mark.parametrize(
    "metrics", [{"ai_latency_ms": 300}, {"metrics": {"ai_latency_ms": 300, "jitter_ms": 2}}]
)
def test_a_latency_stands_beside_the_metrics_and_in_them(metrics: dict[str, Any]) -> None:
    found = details(carrier_lag_ms=50, **metrics)
    assert (found.ai_latency_ms, found.metrics.ai_latency_ms) == (300, 300)
    assert (found.carrier_lag_ms, found.metrics.carrier_lag_ms) == (50, 50)


def test_two_latencies_that_differ_stay_as_the_server_sent_them() -> None:
    found = details(ai_latency_ms=300, carrier_lag_ms=50, metrics={"ai_latency_ms": 310})
    assert (found.ai_latency_ms, found.metrics.ai_latency_ms) == (300, 310)
    assert found.metrics.carrier_lag_ms == 50


@pytest.mark.parametrize("body", [[], None, "text", {}, {"data": {}}, {"data": []}])
def test_an_answer_that_is_no_such_object_is_refused_and_kept_raw(body: object) -> None:
    with pytest.raises(ResponseError) as caught:
        read_object(Trunk, answer(body))
    assert caught.value.raw == json.dumps(body).encode()


def test_a_refused_answer_shows_no_value_of_it() -> None:
    with pytest.raises(ResponseError) as caught:
        read_object(SipCredentials, answer({"id": 5, "sip_password": ["needle"]}))
    assert "needle" not in f"{caught.value} {caught.value!r}"


def test_a_list_by_offset_is_read_with_its_counts() -> None:
    page = trunks({"trunks": [TRUNK], "pagination": {"limit": 10, "offset": 20, "total": 21}})
    assert page == ListBody(rows=[trunk()], paged_by_cursor=False, limit=10, offset=20, total=21)


def test_a_list_by_cursor_is_read_with_its_cursor() -> None:
    page = trunks({"data": [TRUNK], "next_cursor": "trunk_01xyz789", "has_more": True})
    assert page == ListBody(
        rows=[trunk()], paged_by_cursor=True, next_cursor="trunk_01xyz789", has_more=True
    )


@pytest.mark.parametrize("cursor", [None, ""])
def test_a_null_or_empty_cursor_is_none(cursor: str | None) -> None:
    page = trunks({"data": [], "next_cursor": cursor})
    assert (page.paged_by_cursor, page.next_cursor) == (True, None)


def test_a_list_inside_an_envelope_is_found() -> None:
    page = trunks({"data": {"trunks": [TRUNK], "pagination": {"total": 1}}})
    assert (page.rows, page.total) == ([trunk()], 1)


@pytest.mark.parametrize("count", [-1, True, "5", 5.0, None, [5]])
def test_a_count_that_makes_no_sense_counts_as_absent(count: object) -> None:
    page = trunks({"trunks": [], "pagination": {"limit": count, "offset": count, "total": count}})
    assert (page.limit, page.offset, page.total) == (None, None, None)


@pytest.mark.parametrize(
    "extra", [{"pagination": None}, {"pagination": []}, {"has_more": "yes"}, {}]
)
def test_a_list_without_usable_paging_is_read_all_the_same(extra: dict[str, Any]) -> None:
    page = trunks({"trunks": [TRUNK], **extra})
    assert (page.rows, page.total, page.has_more) == ([trunk()], None, None)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ([TRUNK], "expected an object that holds a list, got list"),
        ({}, "expected a list under 'data' or 'trunks'"),
        ({"pagination": {"total": 5}}, "expected a list under 'data' or 'trunks'"),
        ({"data": "text"}, "expected a list under 'data' or 'trunks'"),
        ({"data": [], "next_cursor": 5}, "expected next_cursor to be text or null, got int"),
    ],
)
def test_an_answer_that_is_no_list_is_refused(body: object, why: str) -> None:
    with pytest.raises(ResponseError, match=why):
        trunks(body)


@pytest.mark.parametrize(
    "body",
    [{"trunks": None}, {"data": None}, {"pagination": {"total": 0}}, {"total": 0}, {"trunks": []}],
)
def test_an_empty_list_is_empty_in_each_of_its_spellings(body: object) -> None:
    assert trunks(body).rows == []


def test_a_list_beside_a_null_is_the_list() -> None:
    assert [row.id for row in trunks({"data": None, "trunks": [{"id": "a"}]}).rows] == ["a"]
    assert [row.id for row in trunks({"data": [{"id": "a"}], "trunks": None}).rows] == ["a"]
