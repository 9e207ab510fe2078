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
from telepath_async.models.trunks import SipCredentials, Trunk
from telepath_async.protocol.answers import ListBody, read_list, read_object
from telepath_async.protocol.messages import Response
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


def test_of_two_names_of_one_field_the_first_with_a_value_wins_and_the_other_is_extra() -> None:
    found = read_object(
        AnalyticsOverview, answer({"calls_total": None, "call_count": 5, "total_calls": 6})
    )
    assert (found.total_calls, found.extra) == (5, {"total_calls": 6})


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


def test_a_new_password_is_a_secret() -> None:
    assert read_object(SipCredentials, answer({"sip_password": "s3cur3"})).sip_password == Secret(
        "s3cur3"
    )


def test_whole_numbers_serve_as_rates() -> None:
    assert trunk(metrics={"success_rate": 97}).metrics.success_rate == 97.0


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"id": None}, "Expected `str`, got `null` - at `$.id`"),
        ({"id": 5}, "Expected `str`, got `int` - at `$.id`"),
        ({"created_at": "soon"}, "Invalid RFC3339 encoded datetime - at `$.created_at`"),
        ({"created_at": 1710072000}, "got `int` - at `$.created_at`"),
        ({"status": 5}, "got `int` - at `$.status`"),
        ({"sip_password": 5}, "Expected a credential as text, got int - at `$.sip_password`"),
        ({"sip_endpoint": 5}, "got `int` - at `$.sip_endpoint`"),
        ({"metrics": [1]}, "Expected `object`, got `array` - at `$.metrics`"),
        ({"metrics": {"calls_today": "5"}}, "got `str` - at `$.metrics.calls_today`"),
        ({"metrics": {"success_rate": True}}, "got `bool` - at `$.metrics.success_rate`"),
    ],
)
def test_a_field_of_the_wrong_type_is_refused_and_the_path_is_named(
    fields: dict[str, Any], why: str
) -> None:
    with pytest.raises(ResponseError) as caught:
        trunk(**fields)
    assert why in str(caught.value)
    assert caught.value.__context__ is None


def test_the_path_of_a_fault_in_an_envelope_begins_with_data() -> None:
    with pytest.raises(ResponseError, match=r"at `\$\.data\.name`"):
        read_object(Trunk, answer({"data": TRUNK | {"name": 5}}))


@pytest.mark.parametrize("key", ["trunks", "data"])
def test_the_path_of_a_fault_in_a_list_names_the_row(key: str) -> None:
    with pytest.raises(ResponseError, match=rf"at `\$\.{key}\[1\]\.created_at`"):
        trunks({key: [TRUNK, TRUNK | {"created_at": "soon"}]})


@pytest.mark.parametrize("body", [[], None, "text", {}, {"data": {}}, {"data": []}])
def test_an_answer_that_is_no_such_object_is_refused_and_kept_raw(body: object) -> None:
    with pytest.raises(ResponseError) as caught:
        read_object(Trunk, answer(body))
    assert caught.value.raw == json.dumps(body).encode()


def test_a_refused_answer_shows_no_value_of_it() -> None:
    with pytest.raises(ResponseError) as caught:
        read_object(SipCredentials, answer({"id": 5, "sip_password": "needle"}))
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
        ({"trunks": None}, "expected a list under 'data' or 'trunks'"),
        ({"data": "text"}, "expected a list under 'data' or 'trunks'"),
        ({"trunks": [5]}, r"Expected `object`, got `int` - at `\$.trunks\[0\]`"),
        ({"data": [], "next_cursor": 5}, "expected next_cursor to be a string or null, got int"),
    ],
)
def test_an_answer_that_is_no_list_is_refused(body: object, why: str) -> None:
    with pytest.raises(ResponseError, match=why):
        trunks(body)
