"""Calls over a real socket: the filters that go out, and one call in detail."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from telepath_async import CallDirection, CallStatus, TelepathClient
from telepath_async.sandbox import Sandbox

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)


async def test_every_call_is_handed_out_as_the_server_has_it(
    telepath: TelepathClient, sandbox: Sandbox
) -> None:
    calls = [call async for call in telepath.calls.list(page_size=5)]
    assert [(call.id, call.from_number, call.to_number, call.ai_latency_ms) for call in calls] == [
        (call["id"], call["from"], call["to"], call["ai_latency_ms"])
        for call in sandbox.calls.values()
    ]


@pytest.mark.parametrize(
    ("filters", "sent"),
    [
        ({"trunk_id": "conn_1"}, [("trunk_id", "conn_1")]),
        ({"status": CallStatus.FAILED}, [("status", "failed")]),
        ({"status": "brand_new"}, [("status", "brand_new")]),
        ({"direction": CallDirection.INBOUND}, [("direction", "inbound")]),
        ({"trunk_id": "a&b=c+d"}, [("trunk_id", "a&b=c+d")]),
    ],
    ids=str,
)
async def test_a_filter_is_sent(
    filters: dict[str, Any], sent: list[tuple[str, str]], telepath: TelepathClient, sandbox: Sandbox
) -> None:
    await telepath.calls.list(**filters).collect()
    assert sandbox.requests[0].query == [*sent, ("limit", "100")]


async def test_a_date_range_holds_both_its_ends_and_nothing_else(
    telepath: TelepathClient, sandbox: Sandbox
) -> None:
    for days in range(5):
        sandbox.add_call(id=f"call_day_{days}", start_time=f"2026-03-0{days + 1}T00:00:00Z")
    calls = await telepath.calls.list(since=MARCH + DAY, until=MARCH + 3 * DAY).collect()
    assert sorted(call.id for call in calls) == ["call_day_1", "call_day_2", "call_day_3"]


@pytest.mark.parametrize(
    ("style", "names"),
    [("offset", {"from", "to", "start_date", "end_date"}), ("cursor", {"from", "to"})],
)
async def test_the_client_remembers_which_spelling_of_dates_the_server_reads(
    names: set[str], telepath: TelepathClient, sandbox: Sandbox
) -> None:
    await telepath.calls.list(since=MARCH, until=MARCH).collect()
    sandbox.requests.clear()
    await telepath.calls.list(since=MARCH, until=MARCH).collect()
    (request,) = sandbox.requests
    assert {name for name, value in request.query if value == "2026-03-01T00:00:00Z"} == names


async def test_one_call_is_known_in_detail(
    telepath: TelepathClient, sandbox: Sandbox, style: str
) -> None:
    known = next(call for call in sandbox.calls.values() if call["duration_seconds"])
    call = await telepath.calls.get(known["id"])
    assert (call.id, call.trunk_id, call.direction) == (
        known["id"],
        known["trunk_id"],
        known["direction"],
    )
    assert call.metrics.ai_latency_ms == known["ai_latency_ms"]
    assert call.metrics.codec_used in {"PCMU", "PCMA", "opus"}
    assert [turn.turn_number for turn in call.turns] == list(range(1, len(call.turns) + 1))
    assert call.turns[0].speaker == "agent"
    assert call.sip_trace is not None
    assert call.sip_trace.startswith("INVITE sip:")
    events = [event.type for event in call.timeline]
    assert events == ([] if style == "offset" else ["call.started", "call.answered", "call.ended"])
