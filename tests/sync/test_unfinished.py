"""Calls that had not ended when they were read are asked for again until they have."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from telepath_async import TelepathClient
from telepath_async.sandbox import Sandbox
from telepath_async.sync import sync_calls
from tests.support.clients import client_of
from tests.sync.tables import asked_for_calls, change_calls, stored, truth

LOOKBACK = timedelta(hours=1)


def ago(**duration: float) -> str:
    return (datetime.now(UTC) - timedelta(**duration)).isoformat()


@pytest.mark.parametrize("calls", [0])
@pytest.mark.parametrize("status", ["in-progress", None, "Ringing"])
async def test_a_call_longer_than_the_lookback_gets_its_end(
    telepath: TelepathClient, sandbox: Sandbox, database_url: str, status: str | None
) -> None:
    call = sandbox.add_call(
        start_time=ago(minutes=150), status=status, end_time=None, duration_seconds=None
    )
    sandbox.add_call(status="completed", start_time=ago(minutes=1))
    await sync_calls(telepath, database_url, lookback=LOOKBACK)
    sandbox.update_call(
        call["id"], status="completed", end_time=ago(minutes=0), duration_seconds=9000
    )
    report = await sync_calls(telepath, database_url, lookback=LOOKBACK)
    assert (report.inserted, report.updated) == (0, 1)
    assert await stored(database_url) == truth(sandbox)
    asked = asked_for_calls(sandbox)
    await sync_calls(telepath, database_url, lookback=LOOKBACK)
    assert asked_for_calls(sandbox) == asked + 1, "a call that has ended is not asked for again"


@pytest.mark.parametrize("calls", [0])
@pytest.mark.parametrize(
    ("status", "ended"), [("completed", False), ("failed", False), ("connected", True)]
)
async def test_a_call_that_has_ended_is_not_asked_for_again(
    telepath: TelepathClient, sandbox: Sandbox, sqlite_url: str, status: str, ended: bool
) -> None:
    sandbox.add_call(
        start_time=ago(hours=3), status=status, end_time=ago(hours=2) if ended else None
    )
    sandbox.add_call(status="completed", start_time=ago(minutes=1))
    await sync_calls(telepath, sqlite_url, lookback=LOOKBACK)
    asked = asked_for_calls(sandbox)
    await sync_calls(telepath, sqlite_url, lookback=LOOKBACK)
    assert asked_for_calls(sandbox) == asked + 1


@pytest.mark.parametrize("calls", [0])
async def test_a_call_that_never_ends_is_given_up_a_day_after_its_start(
    telepath: TelepathClient, sandbox: Sandbox, sqlite_url: str
) -> None:
    sandbox.add_call(start_time=ago(hours=30), status="in-progress", end_time=None)
    newest = sandbox.add_call(status="completed", start_time=ago(hours=7))
    await sync_calls(telepath, sqlite_url, lookback=LOOKBACK)
    asked = asked_for_calls(sandbox)
    await sync_calls(telepath, sqlite_url, lookback=LOOKBACK)
    assert asked_for_calls(sandbox) == asked + 2, "23 hours before the watermark"
    sandbox.update_call(newest["id"], start_time=ago(hours=5))
    await sync_calls(telepath, sqlite_url, lookback=LOOKBACK)
    asked = asked_for_calls(sandbox)
    await sync_calls(telepath, sqlite_url, lookback=LOOKBACK)
    assert asked_for_calls(sandbox) == asked + 1, "25 hours before the watermark"


@pytest.mark.parametrize("calls", [0])
async def test_calls_near_each_other_are_asked_for_at_once_and_only_of_the_trunk_wanted(
    telepath: TelepathClient, sandbox: Sandbox, sqlite_url: str
) -> None:
    wanted, other, _ = sandbox.trunks
    for trunk_id, minutes in ((wanted, 200), (wanted, 199), (wanted, 150), (other, 170)):
        sandbox.add_call(
            trunk_id=trunk_id, start_time=ago(minutes=minutes), status="in-progress", end_time=None
        )
    sandbox.add_call(trunk_id=wanted, status="completed", start_time=ago(minutes=1))
    await sync_calls(telepath, sqlite_url, lookback=LOOKBACK, trunk_id=wanted)
    asked = asked_for_calls(sandbox)
    report = await sync_calls(telepath, sqlite_url, lookback=LOOKBACK, trunk_id=wanted)
    assert asked_for_calls(sandbox) == asked + 3
    assert report.unchanged == 4


async def test_unfinished_calls_beyond_the_offsets_that_a_server_serves_get_their_end(
    sqlite_url: str,
) -> None:
    async with (
        Sandbox(calls=0, max_offset=150, rate_limit=10**6) as sandbox,
        client_of(sandbox) as telepath,
    ):
        started = [
            sandbox.add_call(
                start_time=ago(hours=2, seconds=20 * number), status="in-progress", end_time=None
            )
            for number in range(400)
        ]
        sandbox.add_call(status="completed", start_time=ago(minutes=1))
        await sync_calls(telepath, sqlite_url, lookback=LOOKBACK)
        sandbox.update_call(started[-1]["id"], status="completed", end_time=ago(minutes=0))
        report = await sync_calls(telepath, sqlite_url, lookback=LOOKBACK)
        assert (report.inserted, report.updated, report.uncertain) == (0, 1, 0)
        assert await stored(sqlite_url) == truth(sandbox)


@pytest.mark.parametrize("calls", [0])
async def test_a_call_listed_late_is_found_within_the_lookback(
    telepath: TelepathClient, sandbox: Sandbox, sqlite_url: str
) -> None:
    sandbox.add_call(status="completed", start_time=ago(minutes=1))
    await sync_calls(telepath, sqlite_url, lookback=timedelta(hours=6))
    late = sandbox.add_call(status="completed", start_time=ago(hours=4))
    await sync_calls(telepath, sqlite_url, lookback=timedelta(hours=6))
    assert late["id"] in await stored(sqlite_url)


def listed(sandbox: Sandbox, style: str, rows: list[dict[str, Any]]) -> None:
    """Let the next list of calls be these rows."""
    body: dict[str, Any] = {"data": rows, "next_cursor": None, "has_more": False}
    if style == "offset":
        body = {"calls": rows, "pagination": {"limit": 100, "offset": 0, "total": len(rows)}}
    sandbox.fail_next(status=200, method="GET", path="/calls", body=body)


@pytest.mark.parametrize("calls", [0])
async def test_a_call_without_a_start_time_is_asked_for_by_its_id(
    telepath: TelepathClient, sandbox: Sandbox, style: str, database_url: str
) -> None:
    wanted, gone = (sandbox.add_call(start_time=ago(hours=3)) for _ in range(2))
    newest = sandbox.add_call(status="completed", start_time=ago(minutes=1))
    unknown = {"start_time": None, "end_time": None, "duration_seconds": None}
    queued = [call | unknown | {"status": "queued"} for call in (wanted, gone)]
    ended = {"id": "call_ended", "status": "failed", "start_time": None}
    listed(sandbox, style, [*queued, ended, newest])
    await sync_calls(telepath, database_url, lookback=LOOKBACK)
    assert (await stored(database_url))[wanted["id"]]["start_time"] is None
    sandbox.remove_call(gone["id"])
    report = await sync_calls(telepath, database_url, lookback=LOOKBACK)
    assert (report.inserted, report.updated) == (0, 1)
    assert (await stored(database_url))[wanted["id"]] == truth(sandbox)[wanted["id"]]
    asked = {request.path.rpartition("/")[2] for request in sandbox.requests}
    assert {wanted["id"], gone["id"]} <= asked
    assert "call_ended" not in asked


@pytest.mark.parametrize("calls", [0])
@pytest.mark.parametrize("call_id", ["..", "two\nlines", "long" * 100])
async def test_a_call_without_a_start_time_whose_id_no_path_can_hold_stops_no_sync(
    telepath: TelepathClient, sandbox: Sandbox, style: str, sqlite_url: str, call_id: str
) -> None:
    newest = sandbox.add_call(status="completed", start_time=ago(minutes=1))
    listed(sandbox, style, [{"id": call_id, "status": "queued", "start_time": None}, newest])
    await sync_calls(telepath, sqlite_url, lookback=LOOKBACK)
    report = await sync_calls(telepath, sqlite_url, lookback=LOOKBACK)
    assert report.watermark == datetime.fromisoformat(newest["start_time"])


@pytest.mark.parametrize("calls", [0])
@pytest.mark.parametrize("style", ["cursor"])
async def test_a_call_that_never_starts_is_given_up_a_day_after_its_last_change(
    telepath: TelepathClient, sandbox: Sandbox, style: str, sqlite_url: str
) -> None:
    queued = sandbox.add_call(start_time=ago(hours=3)) | {"status": "queued", "start_time": None}
    listed(sandbox, style, [queued])
    await sync_calls(telepath, sqlite_url, lookback=LOOKBACK)
    await change_calls(sqlite_url, synced_at=datetime.now(UTC) - timedelta(hours=25))
    asked = len(sandbox.requests)
    await sync_calls(telepath, sqlite_url, lookback=LOOKBACK)
    paths = {request.path for request in sandbox.requests[asked:]}
    assert not any(path.endswith(queued["id"]) for path in paths)
