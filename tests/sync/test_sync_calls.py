"""Test `sync_calls` into SQLite and PostgreSQL: the table ends equal to the sandbox."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from telepath_async import NotFoundError, ServerError, TelepathClient, UsageError
from telepath_async.sandbox import Sandbox
from telepath_async.sync import SyncProgress, SyncReport, sync_calls
from tests.support.cancelling import cancel
from tests.support.clients import client_of
from tests.support.lanes import Lanes
from tests.sync.tables import asked_for_calls, change_state, stored, truth, whole_rows


class Midway(Exception):
    """Ends a sync from inside, as a crash would."""


def stop_after(pages: int) -> Callable[[SyncProgress], None]:
    def stop(progress: SyncProgress) -> None:
        if progress.pages == pages:
            raise Midway

    return stop


async def cut_off(telepath: TelepathClient, database_url: str, **options: Any) -> None:
    """Leave a sync behind that has committed one page."""
    with pytest.raises(Midway):
        await sync_calls(telepath, database_url, on_progress=stop_after(1), **options)


def counts(report: SyncReport) -> tuple[int, int, int]:
    return report.inserted, report.updated, report.unchanged


def ago(**duration: float) -> datetime:
    return datetime.now(UTC) - timedelta(**duration)


async def test_the_first_sync_takes_everything(
    telepath: TelepathClient, sandbox: Sandbox, database_url: str
) -> None:
    report = await sync_calls(telepath, database_url)
    assert counts(report) == (250, 0, 0)
    assert await stored(database_url) == truth(sandbox)
    assert report.watermark == max(row["start_time"] for row in truth(sandbox).values())
    assert report.uncertain == 0
    assert report.pages == 3
    assert report.seconds > 0


async def test_the_second_sync_asks_only_for_what_is_new_or_may_have_changed(
    telepath: TelepathClient, sandbox: Sandbox, database_url: str
) -> None:
    await sync_calls(telepath, database_url)
    asked = asked_for_calls(sandbox)
    new = sandbox.add_call()
    changed = sandbox.add_call(
        start_time=ago(minutes=10).isoformat(), status="connected", duration_seconds=0
    )
    await sync_calls(telepath, database_url)
    sandbox.update_call(changed["id"], status="disconnected", duration_seconds=12.5, note="late")
    report = await sync_calls(telepath, database_url)
    assert report.inserted == 0
    assert report.updated == 1
    assert report.unchanged >= 1
    assert asked_for_calls(sandbox) == asked + 2
    assert report.watermark == datetime.fromisoformat(new["start_time"])
    assert await stored(database_url) == truth(sandbox)


async def test_a_row_is_written_again_only_when_it_differs(
    telepath: TelepathClient, sandbox: Sandbox, database_url: str
) -> None:
    first, second = (sandbox.add_call(tags=["a", {"b": 1}])["id"] for _ in range(2))
    await sync_calls(telepath, database_url)
    before = await whole_rows(database_url)
    sandbox.update_call(second, tags=["a", {"b": 2}])
    report = await sync_calls(telepath, database_url, lookback=timedelta(days=60))
    assert counts(report) == (0, 1, 251)
    after = await whole_rows(database_url)
    assert after[first] == before[first]
    assert (before[second]["revision"], after[second]["revision"]) == (1, 2)
    assert after[second]["synced_at"] > before[second]["synced_at"]
    assert after[second]["extra"] == {"tags": ["a", {"b": 2}]}


async def test_a_call_deleted_at_the_server_stays_in_the_table(
    telepath: TelepathClient, sandbox: Sandbox, database_url: str
) -> None:
    await sync_calls(telepath, database_url)
    gone = next(iter(sandbox.calls))
    sandbox.remove_call(gone)
    report = await sync_calls(telepath, database_url, lookback=timedelta(days=60))
    assert counts(report) == (0, 0, 249)
    assert set(await stored(database_url)) == {gone} | set(truth(sandbox))


async def test_a_change_older_than_the_lookback_is_found_by_a_longer_one(
    telepath: TelepathClient, sandbox: Sandbox, sqlite_url: str
) -> None:
    await sync_calls(telepath, sqlite_url)
    oldest = list(sandbox.calls)[-1]
    sandbox.update_call(oldest, status="failed", ai_latency_ms=None)
    assert (await sync_calls(telepath, sqlite_url)).updated == 0
    assert (await sync_calls(telepath, sqlite_url, lookback=timedelta(days=60))).updated == 1
    assert await stored(sqlite_url) == truth(sandbox)


async def test_a_filter_has_a_watermark_of_its_own(
    telepath: TelepathClient, sandbox: Sandbox, database_url: str
) -> None:
    trunk_id = next(iter(sandbox.trunks))
    of_trunk = {key for key, row in truth(sandbox).items() if row["trunk_id"] == trunk_id}
    assert (await sync_calls(telepath, database_url, trunk_id=trunk_id)).inserted == len(of_trunk)
    assert set(await stored(database_url)) == of_trunk
    report = await sync_calls(telepath, database_url)
    assert counts(report) == (250 - len(of_trunk), 0, len(of_trunk))


async def test_since_and_until_bound_what_is_taken_and_history_can_be_filled_in_later(
    telepath: TelepathClient, sandbox: Sandbox, database_url: str
) -> None:
    def started(since: datetime, until: datetime) -> set[str]:
        return {key for key, row in truth(sandbox).items() if since <= row["start_time"] <= until}

    third, second, first = (ago(days=days) for days in (20, 10, 5))
    report = await sync_calls(telepath, database_url, since=second, until=first)
    assert set(await stored(database_url)) == started(second, first)
    assert report.watermark == first
    report = await sync_calls(telepath, database_url, since=third, until=second)
    assert set(await stored(database_url)) == started(third, first)
    assert report.watermark == first
    report = await sync_calls(telepath, database_url, since=third)
    assert set(await stored(database_url)) == started(third, datetime.now(UTC))
    assert report.unchanged < 20
    await sync_calls(telepath, database_url)
    assert await stored(database_url) == truth(sandbox)


@pytest.mark.parametrize("calls", [0])
async def test_an_empty_history_is_an_empty_table(
    telepath: TelepathClient, sandbox: Sandbox, database_url: str
) -> None:
    report = await sync_calls(telepath, database_url)
    assert counts(report) == (0, 0, 0)
    assert report.watermark is None
    sandbox.add_call()
    assert counts(await sync_calls(telepath, database_url)) == (1, 0, 0)


async def test_times_and_extras_can_be_asked_for_in_plain_sql(
    telepath: TelepathClient, sandbox: Sandbox, sqlite_url: str, postgres_url: str
) -> None:
    made = sandbox.add_call(start_time="2026-03-10T12:00:00Z", carrier="acme", api_key="sk-hidden")
    await sync_calls(telepath, sqlite_url)
    await sync_calls(telepath, postgres_url)
    question = "SELECT start_time, extra, extra ->> 'carrier' FROM telepath_calls WHERE id = "
    with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as connection:
        row = connection.execute(question + "?", [made["id"]]).fetchone()
    connection.close()
    extra = '{"api_key": "**********", "carrier": "acme"}'
    assert row == ("2026-03-10 12:00:00.000000", extra, "acme")
    server = await asyncpg.connect(postgres_url)
    row = await server.fetchrow(question + "$1", made["id"])
    await server.close()
    assert row is not None
    assert row[0] == datetime(2026, 3, 10, 12, tzinfo=UTC)
    assert "sk-hidden" not in row[1]
    assert row[2] == "acme"


async def test_a_sync_that_was_cut_off_goes_on_behind_the_last_committed_row(
    telepath: TelepathClient, sandbox: Sandbox, database_url: str
) -> None:
    await cut_off(telepath, database_url)
    kept = len(await stored(database_url))
    assert kept == 100
    seen: list[SyncProgress] = []
    report = await sync_calls(telepath, database_url, on_progress=seen.append)
    assert report.inserted == 150
    assert seen[0].rows > kept
    assert await stored(database_url) == truth(sandbox)


async def test_a_range_is_read_in_parts_and_goes_on_in_all_of_them(
    telepath: TelepathClient, sandbox: Sandbox, database_url: str
) -> None:
    since, until = ago(days=40), ago(seconds=0)
    await cut_off(telepath, database_url, since=since, until=until)
    kept = len(await stored(database_url))
    asked = len(sandbox.requests)
    report = await sync_calls(telepath, database_url, since=since, until=until)
    assert report.inserted == 250 - kept
    assert report.watermark is not None
    assert timedelta() <= until - report.watermark < timedelta(minutes=1)
    begins = {
        value
        for request in sandbox.requests[asked:]
        for name, value in request.query
        if name == "from"
    }
    assert len(begins) > 1
    assert await stored(database_url) == truth(sandbox)


async def test_what_began_while_a_sync_was_cut_off_is_taken_too(
    telepath: TelepathClient, sandbox: Sandbox, database_url: str
) -> None:
    await cut_off(telepath, database_url)
    new = sandbox.add_call()
    await sync_calls(telepath, database_url)
    assert new["id"] in await stored(database_url)
    assert await stored(database_url) == truth(sandbox)


async def test_a_sync_that_failed_says_so_and_loses_nothing(
    telepath: TelepathClient, sandbox: Sandbox, database_url: str
) -> None:
    await cut_off(telepath, database_url)
    sandbox.fail_next(status=503, path="/calls")
    with pytest.raises(ServerError):
        await sync_calls(telepath, database_url)
    await sync_calls(telepath, database_url)
    assert await stored(database_url) == truth(sandbox)


@pytest.mark.parametrize("status", [400, 404, 410])
async def test_a_checkpoint_that_the_server_refuses_means_walking_anew(
    telepath: TelepathClient, sandbox: Sandbox, sqlite_url: str, status: int
) -> None:
    await cut_off(telepath, sqlite_url)
    sandbox.fail_next(status=status, path="/calls")
    assert (await sync_calls(telepath, sqlite_url)).inserted == 150
    assert await stored(sqlite_url) == truth(sandbox)


@pytest.mark.parametrize(
    "checkpoint", ["", "nonsense", '{"v":99,"of":"calls"}', '{"v":1,"of":"trunks","filters":{}}']
)
@pytest.mark.parametrize("style", ["cursor"])
async def test_a_checkpoint_that_cannot_be_read_means_walking_anew(
    telepath: TelepathClient, sandbox: Sandbox, database_url: str, checkpoint: str
) -> None:
    await cut_off(telepath, database_url)
    await change_state(database_url, checkpoint=checkpoint)
    assert counts(await sync_calls(telepath, database_url)) == (150, 0, 100)
    assert await stored(database_url) == truth(sandbox)


async def test_a_server_that_changes_its_paging_style_between_two_runs_means_walking_anew(
    style: str, sqlite_url: str
) -> None:
    other = "cursor" if style == "offset" else "offset"
    async with Sandbox(style=style, calls=250, seed=1) as before, client_of(before) as telepath:  # type: ignore[arg-type]
        await cut_off(telepath, sqlite_url)
        async with (
            Sandbox(style=other, calls=250, seed=1, api_key=before.api_key) as after,
            client_of(after) as telepath,
        ):  # type: ignore[arg-type]
            await sync_calls(telepath, sqlite_url)
            table = await stored(sqlite_url)
            assert {key: table[key] for key in truth(after)} == truth(after)


@pytest.mark.parametrize("style", ["offset"])
async def test_a_refusal_that_has_nothing_to_do_with_the_checkpoint_is_raised(
    telepath: TelepathClient, sandbox: Sandbox, sqlite_url: str
) -> None:
    await cut_off(telepath, sqlite_url)
    sandbox.fail_next(status=404, path="/calls", times=50)
    with pytest.raises(NotFoundError):
        await sync_calls(telepath, sqlite_url)


async def test_progress_is_told_after_every_committed_page(
    telepath: TelepathClient, sandbox: Sandbox, style: str, sqlite_url: str
) -> None:
    seen: list[SyncProgress] = []
    report = await sync_calls(telepath, sqlite_url, on_progress=seen.append)
    assert [progress.pages for progress in seen] == [1, 2, 3]
    assert [progress.rows for progress in seen][-1] == 250
    assert {progress.total for progress in seen} == {250 if style == "offset" else None}
    assert {progress.watermark for progress in seen} == {None}
    assert seen[0].seconds <= seen[-1].seconds <= report.seconds
    sandbox.add_call()
    await sync_calls(telepath, sqlite_url, on_progress=seen.append)
    assert seen[-1].watermark == report.watermark


@pytest.mark.parametrize("style", ["offset"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"since": datetime(2026, 1, 1)}, "since must be a datetime with a time zone"),
        (
            {"since": datetime(2026, 2, 1, tzinfo=UTC), "until": datetime(2026, 1, 1, tzinfo=UTC)},
            "later than until",
        ),
        ({"lookback": timedelta(seconds=-1)}, "lookback must be"),
        ({"lookback": 3600}, "lookback must be"),
        ({"account": ""}, "account must be"),
        ({"account": "two words"}, "account must be"),
        ({"account": 7}, "account must be"),
        ({"trunk_id": ""}, "trunk_id must be"),
        ({"trunk_id": 7}, "trunk_id must be"),
        ({"on_progress": True}, "on_progress must be"),
        ({"database_url": "oracle://x"}, "database_url must be"),
    ],
)
async def test_bad_options_are_refused_before_anything_is_sent_or_opened(
    telepath: TelepathClient,
    sandbox: Sandbox,
    sqlite_url: str,
    options: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(UsageError, match=message):
        await sync_calls(telepath, **{"database_url": sqlite_url} | options)
    assert sandbox.requests == []


@pytest.mark.parametrize("style", ["offset"])
async def test_a_database_that_cannot_be_opened_is_the_databases_own_error(
    telepath: TelepathClient, sandbox: Sandbox, sqlite_url: str
) -> None:
    with pytest.raises(sqlite3.OperationalError):
        await sync_calls(telepath, sqlite_url.replace("calls.db", "no/such/folder.db"))
    with pytest.raises(OSError, match=r"refused|Connect call failed"):
        await sync_calls(telepath, "postgresql://postgres@127.0.0.1:1/none")
    assert sandbox.requests == []


def tasks_of_ours() -> set[asyncio.Task[Any]]:
    """Return the tasks that are not the sandbox's, which runs on the same loop."""
    return {task for task in asyncio.all_tasks() if "RequestHandler" not in repr(task.get_coro())}


@pytest.mark.parametrize("after", [0.0, 0.01, 0.03, 0.06])
async def test_cancelling_leaves_no_task_no_thread_and_no_lock(
    telepath: TelepathClient, sandbox: Sandbox, database_url: str, after: float
) -> None:
    tasks, threads = tasks_of_ours(), threading.active_count()
    sandbox.fail_next(delay=0.02, path="/calls", times=3)
    syncing = asyncio.create_task(sync_calls(telepath, database_url))
    await asyncio.sleep(after)
    await cancel(syncing)
    for _ in range(100):  # sockets close, and aiosqlite's thread ends, a moment later
        if tasks_of_ours() == tasks and threading.active_count() == threads:
            break
        await asyncio.sleep(0.01)
    assert tasks_of_ours() == tasks
    assert threading.active_count() == threads
    await sync_calls(telepath, database_url)
    assert await stored(database_url) == truth(sandbox)


@pytest.mark.parametrize("style", ["offset"])
async def test_requests_go_behind_interactive_ones(sandbox: Sandbox, sqlite_url: str) -> None:
    lanes = Lanes()
    async with TelepathClient(
        sandbox.api_key, base_url=sandbox.base_url, limiter=lanes
    ) as telepath:
        await sync_calls(telepath, sqlite_url)
    assert set(lanes.seen) == {"bulk"}
