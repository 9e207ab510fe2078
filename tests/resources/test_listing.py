"""Test what every list shares: checked options, filters in the checkpoint, dates."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from telepath_async import Drift, Paginator, ResponseError, TelepathClient, UsageError
from telepath_async.sandbox import Sandbox
from tests.support.hostile import HANG, Hostile, answering, reply
from tests.support.operations import client_at

MARCH = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize("resource", ["trunks", "calls"])
@pytest.mark.parametrize(
    "options",
    [
        {"page_size": 0},
        {"page_size": 101},
        {"page_size": True},
        {"page_size": "20"},
        {"prefetch": -1},
        {"prefetch": 101},
        {"overlap": -1},
        {"overlap": 100},
        {"max_items": -1},
        {"max_items": 1.5},
        {"status": 0.5},
        {"resume": "rubbish"},
        {"resume": 5},
        {"resume": '{"v":1,"of":"numbers"}'},
    ],
    ids=str,
)
async def test_a_bad_option_is_refused_at_the_call_and_unsent(
    resource: str, options: dict[str, Any], telepath: TelepathClient, sandbox: Sandbox
) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        getattr(telepath, resource).list(**options)
    assert sandbox.requests == []


@pytest.mark.parametrize("name", ["since", "until"])
@pytest.mark.parametrize(
    "moment", [datetime(2026, 3, 1), date(2026, 3, 1), "2026-03-01T00:00:00Z"], ids=repr
)
async def test_a_date_filter_without_a_time_zone_is_refused_at_the_call(
    name: str, moment: Any, telepath: TelepathClient
) -> None:
    with pytest.raises(UsageError, match=f"{name} must be a datetime with a time zone"):
        telepath.calls.list(**{name: moment})
    with pytest.raises(UsageError, match=f"{name} must be a datetime with a time zone"):
        await telepath.analytics.overview(**{name: moment})


async def test_a_range_of_one_moment_is_a_range(telepath: TelepathClient) -> None:
    assert await telepath.calls.list(since=MARCH, until=MARCH).collect() == []


async def test_a_checkpoint_goes_on_behind_the_last_item_with_its_filters(
    telepath: TelepathClient, sandbox: Sandbox
) -> None:
    calls = telepath.calls.list(direction="inbound", since=MARCH, page_size=2)
    taken = [await anext(aiter(calls))]
    rest = await telepath.calls.list(resume=calls.checkpoint).collect()
    everything = await telepath.calls.list(direction="inbound", since=MARCH).collect()
    assert taken + rest == everything
    assert [call.id for call in everything] == [
        call["id"] for call in sandbox.calls.values() if call["direction"] == "inbound"
    ]


@pytest.mark.parametrize(
    "filters",
    [{"direction": "outbound"}, {"trunk_id": "conn_1"}, {"since": MARCH + timedelta(1)}],
    ids=str,
)
async def test_a_filter_that_differs_from_the_checkpoints_is_refused(
    filters: dict[str, Any], telepath: TelepathClient
) -> None:
    calls = telepath.calls.list(direction="inbound", since=MARCH)
    with pytest.raises(UsageError, match="its own filters differ"):
        telepath.calls.list(resume=calls.checkpoint, **filters)


async def test_the_checkpoints_own_filters_may_be_repeated(telepath: TelepathClient) -> None:
    calls: Paginator[Any] = telepath.calls.list(direction="inbound", since=MARCH, until=MARCH)
    again = telepath.calls.list(
        direction="inbound", since=MARCH, until=MARCH, resume=calls.checkpoint
    )
    assert again.checkpoint == calls.checkpoint


@pytest.mark.parametrize("moment", ["soon", "2026-03-01T00:00:00"])
async def test_a_checkpoint_that_holds_no_time_is_refused(
    moment: str, telepath: TelepathClient
) -> None:
    with pytest.raises(UsageError, match="not a time with a time zone"):
        telepath.calls.list(resume=json.dumps({"v": 1, "of": "calls", "filters": {"from": moment}}))


async def test_an_answer_that_is_no_list_is_a_response_error(
    telepath: TelepathClient, sandbox: Sandbox
) -> None:
    sandbox.fail_next(200, body={"calls": 5})
    with pytest.raises(ResponseError, match="expected a list under 'data' or 'calls'"):
        await telepath.calls.list().first()


async def asked(body: Any, **options: Any) -> tuple[list[str], list[dict[str, str]], Drift]:
    """List calls of a server that always gives this answer; return their ids, and the queries."""
    answer = reply(200, json.dumps(body).encode())
    async with Hostile([answering(lambda request: answer)]) as server, client_at(server) as client:
        calls = client.calls.list(**options)
        got = [call.id async for call in calls]
    queries = [
        {name: texts[0] for name, texts in parse_qs(urlsplit(request.target).query).items()}
        for request in server.requests
    ]
    return got, queries, calls.drift


async def test_a_call_without_a_start_that_stands_in_every_shard_is_handed_out_once() -> None:
    early, late = "2026-03-01T01:00:00Z", "2026-03-01T23:00:00Z"
    rows = [{"id": "a", "start_time": early}, {"id": "undated"}, {"id": "b", "start_time": late}]
    got, queries, drift = await asked(
        {"data": rows, "next_cursor": None}, since=MARCH, until=MARCH + timedelta(1), shards=2
    )
    assert sorted(got) == ["a", "b", "undated"]
    assert len(queries) == 2
    assert drift.outside == 3, "each shard has a dated call of the other, and one the undated"


async def test_a_resume_of_shards_says_that_calls_without_a_start_may_come_again() -> None:
    rows = [{"id": "undated"}, {"id": "dated", "start_time": "2026-03-01T01:00:00Z"}]
    answer = reply(200, json.dumps({"data": rows, "next_cursor": None}).encode())
    async with Hostile([answer, HANG, answer]) as server, client_at(server) as client:
        calls = client.calls.list(since=MARCH, until=MARCH + timedelta(1), shards=2)
        got = [await anext(aiter(calls))]
        later = client.calls.list(resume=calls.checkpoint)
        got += await later.collect()
    assert len(got) > len({call.id for call in got})
    assert later.drift.uncertain


async def test_a_server_that_names_no_paging_is_asked_with_both_spellings_from_then_on() -> None:
    rows = [{"id": "a"}, {"id": "b"}]
    got, queries, _ = await asked({"calls": rows}, since=MARCH)
    assert got == ["a", "b"]
    assert ["start_date" in query for query in queries] == [False, True, True, True, True]


@pytest.mark.parametrize("cursors", [True, False])
async def test_a_server_is_asked_with_the_spelling_that_suits_its_style(cursors: bool) -> None:
    paging = {"next_cursor": None} if cursors else {"pagination": {"total": 1, "limit": 100}}
    got, queries, _ = await asked({"data": [{"id": "a"}]} | paging, until=MARCH)
    assert got == ["a"]
    assert ["end_date" in query for query in queries] == ([False] if cursors else [False, True])
