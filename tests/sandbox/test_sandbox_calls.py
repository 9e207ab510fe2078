from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
from yarl import URL

from telepath_async.sandbox import Sandbox
from telepath_async.sandbox.calls import CallLog

FIELDS = [
    "id", "trunk_id", "from", "to", "direction", "status", "duration_seconds", "start_time",
    "end_time", "carrier_lag_ms", "ai_latency_ms", "gateway_processing_ms",
]  # fmt: skip


def a_call(client: Any, status: str) -> Any:
    """Return the id of a call of this status, and the call."""
    calls = client.sandbox.calls.items()
    return next((key, call) for key, call in calls if call["status"] == status)


async def walk_offset(client: Any, **params: Any) -> list[Any]:
    items: list[Any] = []
    while True:
        page = (await client.get("/calls", limit=100, offset=len(items), **params)).json["calls"]
        if not page:
            return items
        items += page


async def test_offset_walk_sees_every_call_newest_first(offset: Any) -> None:
    calls = await walk_offset(offset)
    assert calls == list(offset.sandbox.calls.values())
    starts = [call["start_time"] for call in calls]
    assert starts == sorted(starts, reverse=True)
    assert list(calls[0]) == FIELDS


async def test_cursor_walk_sees_every_call_newest_first(cursor: Any) -> None:
    assert await cursor.walk("/calls", limit=33) == list(cursor.sandbox.calls.values())


async def test_a_page_that_fits_exactly_is_the_last(start: Any) -> None:
    client = await start(style="cursor", calls=20)
    page = (await client.get("/calls")).json
    assert (len(page["data"]), page["has_more"], page["next_cursor"]) == (20, False, None)


async def test_an_empty_list_is_an_empty_page(start: Any) -> None:
    offset, cursor = await start(calls=0), await start(style="cursor", calls=0)
    assert (await offset.get("/calls")).json == {
        "calls": [],
        "pagination": {"limit": 20, "offset": 0, "total": 0},
    }
    assert (await cursor.get("/calls")).json == {"data": [], "next_cursor": None, "has_more": False}


async def test_an_offset_behind_the_end_is_an_empty_page(offset: Any) -> None:
    answer = await offset.get("/calls", offset=251)
    assert answer.json == {"calls": [], "pagination": {"limit": 20, "offset": 251, "total": 250}}


async def test_calls_are_realistic(offset: Any) -> None:
    calls = list(offset.sandbox.calls.values())
    now = datetime.now(UTC)
    for call in calls:
        start, end = (datetime.fromisoformat(call[name]) for name in ("start_time", "end_time"))
        assert (end - start).seconds == call["duration_seconds"]
        assert (now - start).days <= 30
        assert end <= now
        assert call["trunk_id"] in offset.sandbox.trunks
        assert all(call[name][:2] == "+1" and len(call[name]) == 12 for name in ("from", "to"))
        assert (call["duration_seconds"] == 0) == (call["status"] == "failed")
    assert {call["direction"] for call in calls} == {"inbound", "outbound"}
    assert {call["status"] for call in calls} == {"connected", "failed", "disconnected"}
    assert 220 < sum(call["ai_latency_ms"] for call in calls) / len(calls) < 290


@pytest.mark.parametrize("limit", ["0", "101", "-1", "x", "", "1.5", "\u0661", "9" * 5000])
async def test_a_limit_out_of_range_is_refused(offset: Any, limit: str) -> None:
    for path in ("/calls", "/trunks"):
        answer = await offset.get(path, limit=limit)
        assert answer.status == 400
        assert answer.json == {
            "error": {
                "code": "INVALID_PARAMS",
                "message": "Invalid limit parameter. Must be between 1 and 100",
            }
        }


async def test_a_limit_out_of_range_is_refused_in_cursor_style(cursor: Any) -> None:
    answer = await cursor.get("/calls", limit=0)
    assert answer.json["error"] == {
        "code": "invalid_params",
        "message": "Invalid limit parameter. Must be between 1 and 100",
        "status": 400,
    }


@pytest.mark.parametrize("offset_value", ["-1", "x", ""])
async def test_a_bad_offset_is_refused(offset: Any, offset_value: str) -> None:
    assert (await offset.get("/calls", offset=offset_value)).status == 400


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        *(("cursor", bad) for bad in ("", "x", "trunk_01xyz789", "AAAAAAAAAAAAAAA=", "ü")),
        ("cursor", "A" * 4000),
        *(("to", bad) for bad in ("yesterday", "", "2020-01-01T00:00:00 00:00")),
        ("to", "0001-01-01T00:00:00+14:00x"),
    ],
)
async def test_a_bad_cursor_or_date_is_refused(cursor: Any, name: str, bad: str) -> None:
    answer = await cursor.get("/calls", **{name: bad})
    assert (answer.status, answer.code) == (400, "invalid_params")


async def test_cursors_need_encoding_and_come_back_byte_for_byte(cursor: Any) -> None:
    cursors, params = [], {"limit": 1}
    for _ in range(100):
        page = (await cursor.get("/calls", **params)).json
        cursors.append(page["next_cursor"])
        params["cursor"] = page["next_cursor"]
    assert all(any(mark in text for text in cursors) for mark in "+/=")
    with_plus = next(text for text in cursors if "+" in text)
    session, base_url = cursor.session, cursor.sandbox.base_url
    for text, status in (
        (quote(with_plus, safe=""), 200),
        (with_plus, 400),
        (quote(with_plus.rstrip("=")), 400),
    ):
        async with session.get(URL(f"{base_url}/calls?cursor={text}", encoded=True)) as response:
            assert response.status == status


async def test_the_other_styles_paging_is_ignored(offset: Any, cursor: Any) -> None:
    first = (await cursor.get("/calls", limit=5)).json
    assert (await cursor.get("/calls", limit=5, offset=5)).json == first
    assert (await offset.get("/calls", cursor="x")).status == 200


async def test_a_cursor_survives_inserts_and_deletes_elsewhere(cursor: Any) -> None:
    ids = list(cursor.sandbox.calls)
    page = (await cursor.get("/calls", limit=10)).json
    cursor.sandbox.add_call()
    cursor.sandbox.remove_call(ids[3])
    cursor.sandbox.remove_call(ids[9])  # the very row that the cursor stands on
    cursor.sandbox.remove_call(ids[12])
    rest = await cursor.walk("/calls", cursor=page["next_cursor"])
    assert [call["id"] for call in rest] == [*ids[10:12], *ids[13:]]


@pytest.mark.parametrize(("sort", "step"), [("-created_at", 1), ("created_at", -1)])
async def test_a_trunk_cursor_survives_too_in_both_directions(
    cursor: Any, sort: str, step: int
) -> None:
    ids = list(cursor.sandbox.trunks)[::step]
    page = (await cursor.get("/trunks", limit=5, sort=sort)).json
    cursor.sandbox.remove_trunk(ids[4])
    rest = await cursor.walk("/trunks", limit=5, sort=sort, cursor=page["next_cursor"])
    assert [trunk["id"] for trunk in rest] == ids[5:]


async def test_an_offset_drifts_with_inserts_and_deletes(offset: Any) -> None:
    ids = list(offset.sandbox.calls)
    added = offset.sandbox.add_call()["id"]
    page = (await offset.get("/calls", limit=10, offset=10)).json["calls"]
    assert page[0]["id"] == ids[9]
    for gone in (added, *ids[:3]):
        offset.sandbox.remove_call(gone)
    page = (await offset.get("/calls", limit=10, offset=10)).json
    assert page["calls"][0]["id"] == ids[13]
    assert page["pagination"]["total"] == 247


@pytest.mark.parametrize("field", ["trunk_id", "status", "direction"])
async def test_filters_select(cursor: Any, field: str) -> None:
    everything = list(cursor.sandbox.calls.values())
    wanted = everything[0][field]
    for _ in range(2):  # the second answer is remembered
        calls = await cursor.walk("/calls", limit=100, **{field: wanted})
        assert calls == [call for call in everything if call[field] == wanted]


async def test_filters_combine(offset: Any) -> None:
    everything = list(offset.sandbox.calls.values())
    wanted = {"status": "connected", "direction": "inbound", "trunk_id": everything[0]["trunk_id"]}
    calls = await walk_offset(offset, **wanted)
    assert calls == [
        call for call in everything if all(call[name] == value for name, value in wanted.items())
    ]
    assert await walk_offset(offset, trunk_id="conn_nobody") == []


async def test_a_filter_sees_changes(cursor: Any) -> None:
    call_id = next(iter(cursor.sandbox.calls))
    assert await cursor.walk("/calls", status="ringing") == []
    cursor.sandbox.update_call(call_id, status="ringing")
    assert [call["id"] for call in await cursor.walk("/calls", status="ringing")] == [call_id]
    cursor.sandbox.remove_call(call_id)
    assert await cursor.walk("/calls", status="ringing") == []


async def test_a_filter_follows_changes_without_a_new_search(
    cursor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at, look = [], CallLog.sketch
    failed = await cursor.walk("/calls", status="failed")
    connected = await cursor.walk("/calls", status="completed")
    monkeypatch.setattr(CallLog, "sketch", lambda log, key: looked_at.append(key) or look(log, key))
    new = cursor.sandbox.add_call(status="failed")
    moved = cursor.sandbox.update_call(
        connected[0]["id"], status="failed", start_time="2020-01-01T00:00:00Z"
    )
    cursor.sandbox.remove_call(failed[0]["id"])
    assert await cursor.walk("/calls", status="failed") == [new, *failed[1:], moved]
    assert await cursor.walk("/calls", status="completed") == connected[1:]
    assert len(looked_at) == 4  # two calls put in, two filters


async def test_remembered_answers_are_bounded(cursor: Any) -> None:
    for number in range(300):
        assert (await cursor.get("/calls", trunk_id=str(number))).json["data"] == []


async def test_date_filters_include_both_ends(offset: Any, cursor: Any) -> None:
    for client, since, until in ((offset, "start_date", "end_date"), (cursor, "from", "to")):
        calls = list(client.sandbox.calls.values())
        newest, oldest = calls[20], calls[40]
        answer = await client.get(
            "/calls",
            limit=100,
            **{since: oldest["start_time"], until: newest["start_time"].replace("Z", "+00:00")},
        )
        assert answer.json.get("calls", answer.json.get("data")) == calls[20:41]


async def test_date_filters_see_zones_and_fractions(cursor: Any) -> None:
    call = cursor.sandbox.add_call(start_time="2020-01-01T12:00:00Z")
    for since, until, count in (
        ("2020-01-01T13:00:00+01:00", "2020-01-01T12:00:00.9Z", 1),
        ("2020-01-01T12:00:00", "2020-01-01", 0),
        ("2020-01-01T12:00:00.1Z", "2020-01-02", 0),
    ):
        found = (await cursor.get("/calls", **{"from": since, "to": until})).json["data"]
        assert found == [call][:count]


async def test_date_filters_of_the_other_style_are_ignored(offset: Any, cursor: Any) -> None:
    params = {"from": "2099-01-01T00:00:00Z"}
    assert (await offset.get("/calls", **params)).json["pagination"]["total"] == 250
    assert (await cursor.get("/calls", **params)).json["data"] == []
    assert (await cursor.get("/calls", start_date=params["from"])).json["has_more"]


async def test_details_in_offset_style_hold_latencies_under_metrics(offset: Any) -> None:
    call_id, call = a_call(offset, "connected")
    details = (await offset.get(f"/calls/{call_id}")).json
    assert list(details) == [*FIELDS[:9], "disconnect_reason", "metrics", "turns", "sip_trace"]
    assert details["metrics"]["ai_latency_ms"] == call["ai_latency_ms"]
    assert "INVITE" in details["sip_trace"]
    assert details == (await offset.get(f"/calls/{call_id}")).json


async def test_details_in_cursor_style_add_a_timeline(cursor: Any) -> None:
    call_id, call = a_call(cursor, "completed")
    details = (await cursor.get(f"/calls/{call_id}")).json["data"]
    assert details.items() >= call.items()
    events = [event["event"] for event in details["timeline"]]
    assert events == ["call.started", "call.answered", "call.ended"]
    assert details["timeline"][-1]["timestamp"] == call["end_time"]


async def test_turns_fill_the_duration_and_alternate(either: Any) -> None:
    for call_id, call in list(either.sandbox.calls.items())[:20]:
        turns = (await either.get(f"/calls/{call_id}")).data["turns"]
        assert sum(turn["duration_ms"] for turn in turns) == 1000 * call["duration_seconds"]
        assert [turn["turn_number"] for turn in turns] == list(range(1, len(turns) + 1))
        assert {turn["speaker"] for turn in turns[::2]} <= {"agent"}
        assert {turn["speaker"] for turn in turns[1::2]} <= {"caller"}


async def test_a_failed_call_was_never_answered(cursor: Any) -> None:
    call_id = cursor.sandbox.add_call(status="failed", duration_seconds=0)["id"]
    details = (await cursor.get(f"/calls/{call_id}")).json["data"]
    assert details["turns"] == []
    assert [event["event"] for event in details["timeline"]] == ["call.started", "call.ended"]
    assert "486" in details["sip_trace"]


@pytest.mark.parametrize(
    ("style", "code"), [("offset", "CALL_NOT_FOUND"), ("cursor", "call_not_found")]
)
async def test_an_unknown_call_is_not_found(start: Any, style: str, code: str) -> None:
    client = await start(style=style)
    known = next(iter(client.sandbox.calls))
    for call_id in ("nobody", f"{known}0", known.upper(), "call_01ffffffffff", "call_-1"):
        answer = await client.get(f"/calls/{call_id}")
        assert (answer.status, answer.code) == (404, code)


async def test_a_call_can_be_added_changed_and_removed(cursor: Any) -> None:
    calls = cursor.sandbox.calls
    given = {"from_number": "+1", "to_number": "+2", "start_time": "2026-01-02T03:04:05Z"}
    call = cursor.sandbox.add_call(id="mine", duration_seconds=60, tag="x", **given)
    shown = {"from": "+1", "to": "+2", "end_time": "2026-01-02T03:05:05Z", "tag": "x"}
    assert shown.items() <= call.items()
    assert calls["mine"] == call == (await cursor.walk("/calls", limit=100))[-1]
    assert cursor.sandbox.add_call(id="own", end_time="never")["end_time"] == "never"
    cursor.sandbox.remove_call("own")
    changes = {"start_time": "2099-01-01T00:00:00Z", "status": "odd", "ai_latency_ms": None}
    assert cursor.sandbox.update_call("mine", **changes) == call | changes
    assert next(iter(calls)) == "mine"
    details = (await cursor.get("/calls/mine")).json["data"]
    assert details["disconnect_reason"] == "unknown"
    cursor.sandbox.remove_call("mine")
    assert "mine" not in calls
    assert len(calls) == 250


async def test_a_changed_call_can_be_changed_again_and_renamed(cursor: Any) -> None:
    call_id = next(iter(cursor.sandbox.calls))
    cursor.sandbox.update_call(call_id, tag=1)
    cursor.sandbox.update_call(call_id, id="renamed")
    assert cursor.sandbox.calls["renamed"]["tag"] == 1
    assert call_id not in cursor.sandbox.calls
    assert len(cursor.sandbox.calls) == 250


async def test_a_removed_call_stays_removed(cursor: Any) -> None:
    for call_id in (cursor.sandbox.add_call()["id"], *list(cursor.sandbox.calls)[-1:]):
        cursor.sandbox.remove_call(call_id)
        assert call_id not in cursor.sandbox.calls
        with pytest.raises(KeyError):
            cursor.sandbox.remove_call(call_id)
        with pytest.raises(KeyError):
            cursor.sandbox.update_call(call_id, status="x")


async def test_impossible_calls_are_refused_and_change_nothing() -> None:
    sandbox = Sandbox(calls=3)
    before = dict(sandbox.calls)
    call_id = next(iter(before))
    with pytest.raises(ValueError, match="already"):
        sandbox.add_call(id=call_id)
    for start_time in ("soon", "1969-12-31T23:59:59Z", "2200-01-01T00:00:00Z"):
        with pytest.raises(ValueError):
            sandbox.add_call(start_time=start_time)
        with pytest.raises(ValueError):
            sandbox.update_call(call_id, start_time=start_time)
    assert dict(sandbox.calls) == before


async def test_the_same_seed_makes_up_the_same_world() -> None:
    one, same = Sandbox(seed=7, now=1_770_000_000), Sandbox(seed=7, now=1_770_000_000)
    other = Sandbox(seed=8, now=1_770_000_000)
    assert dict(one.calls) == dict(same.calls) != dict(other.calls)
    assert dict(one.trunks) == dict(same.trunks) != dict(other.trunks)
    assert max(call["end_time"] for call in one.calls.values()) <= "2026-02-02T02:40:00Z"


async def test_a_world_without_trunks_can_have_calls() -> None:
    sandbox = Sandbox(trunks=0, calls=3)
    assert {call["trunk_id"] for call in sandbox.calls.values()} == {"conn_deleted00"}


async def test_overview_is_computed_from_the_calls(either: Any) -> None:
    calls = list(either.sandbox.calls.values())
    answer = await either.get("/analytics/overview")
    good = [call for call in calls if call["status"] in ("connected", "completed")]
    assert answer.data == {
        "total_calls": 250,
        "success_rate": round(100 * len(good) / 250, 1),
    } | {
        f"avg_{name}": round(sum(call[name] for call in calls) / 250, 1)
        for name in (
            "ai_latency_ms", "carrier_lag_ms", "gateway_processing_ms", "duration_seconds",
        )
    }  # fmt: skip


async def test_overview_follows_filters_and_changes(cursor: Any) -> None:
    trunk_id = cursor.sandbox.add_trunk()["id"]
    params = {"trunk_id": trunk_id, "from": "2025-01-01T00:00:00Z", "to": "2025-01-02T00:00:00Z"}
    empty = (await cursor.get("/analytics/overview", **params)).json["data"]
    assert empty["avg_ai_latency_ms"] is None
    for start_time, ai in (
        ("2025-01-01T05:00:00Z", 100),
        ("2025-01-01T06:00:00Z", 200),
        ("2025-01-03T00:00:00Z", 999),
    ):
        cursor.sandbox.add_call(trunk_id=trunk_id, start_time=start_time, ai_latency_ms=ai)
    overview = (await cursor.get("/analytics/overview", **params)).json["data"]
    assert (overview["total_calls"], overview["avg_ai_latency_ms"]) == (2, 150.0)
    assert (await cursor.get("/analytics/overview", to="never")).status == 400
