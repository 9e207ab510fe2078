"""Test that a long cursor list is read in parts at once without losing a call.

This holds whatever the server makes of dates and cursors.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from attrs import Factory, define

import telepath_async
from telepath_async import LocalLimiter, RetryPolicy, TelepathClient
from telepath_async.sandbox import Sandbox
from telepath_async.sync import SyncProgress, SyncReport, parts, sync_calls
from tests.sync.conftest import client_of
from tests.sync.tables import stored, truth

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
COUNT = 1_500
Call = dict[str, Any]
Query = dict[str, str]


@pytest.fixture(autouse=True)
def short_histories_are_long_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PAGES_ALONE", 2)


def sql(call: Call, since: datetime | None, until: datetime | None) -> bool:
    """Filter as a database does: a call without a start lies in no range."""
    started = call["start_time"] and datetime.fromisoformat(call["start_time"])
    return (since is until is None) or bool(
        started and (since or started) <= started <= (until or started)
    )


def deaf(call: Call, since: datetime | None, until: datetime | None) -> bool:
    return True


def exclusive(call: Call, since: datetime | None, until: datetime | None) -> bool:
    return sql(
        call,
        since and since + timedelta(microseconds=1),
        until and until - timedelta(microseconds=1),
    )


def by_the_day(call: Call, since: datetime | None, until: datetime | None) -> bool:
    midnight = {"hour": 0, "minute": 0, "second": 0, "microsecond": 0}
    return sql(call, since and since.replace(**midnight), until and until.replace(**midnight))


@define
class Server:
    """List `calls` in their order.

    A call's `seq` is its position forever, and its cursor unless `cursor` says otherwise.
    """

    calls: list[Call]
    holds: Callable[[Call, datetime | None, datetime | None], bool] = sql
    cursor: Callable[[int, int, Query], str] = lambda seq, rank, query: str(seq)
    refuses: Callable[[Query], int | None] = lambda query: None
    before: Callable[[Server, Query], object] = lambda server, query: (
        None
    )  # a chance to change the list
    queries: list[Query] = Factory(list)
    under_way: int = 0
    most_under_way: int = 0
    probed: set[str] = Factory(set)

    async def handle(self, request: web.Request) -> web.Response:
        query = dict(request.query)
        self.queries.append(query)
        self.under_way += query["limit"] == "100"  # not those that only look ahead
        self.most_under_way = max(self.most_under_way, self.under_way)
        await asyncio.sleep(0.002)
        self.under_way -= query["limit"] == "100"
        self.before(self, query)
        if status := self.refuses(query):
            return web.json_response({"error": {"code": "no", "message": "no"}}, status=status)
        return web.json_response(self.page(query))

    def page(self, query: Query) -> dict[str, Any]:
        since, until = (
            query.get(name) and datetime.fromisoformat(query[name]) for name in ("from", "to")
        )
        matching = [call for call in self.calls if self.holds(call, since or None, until or None)]
        places = [self.cursor(call["seq"], rank, query) for rank, call in enumerate(matching, 1)]
        first = self._behind(query["cursor"], places) if "cursor" in query else 0
        rows = matching[first : first + int(query["limit"])]
        if query["limit"] == "1":
            self.probed |= {call["id"] for call in rows}
        last = first + len(rows)
        more = places[last - 1] if rows and last < len(matching) else None
        return {"data": rows, "next_cursor": more, "has_more": more is not None}

    def _behind(self, cursor: str, places: list[str]) -> int:
        if cursor in places:
            return places.index(cursor) + 1
        if cursor.lstrip("-").isdigit():
            return sum(int(place) <= int(cursor) for place in places)
        raise web.HTTPBadRequest


def call(number: int, started: bool = True) -> Call:
    start = f"{NOON - timedelta(hours=number):%Y-%m-%dT%H:%M:%SZ}" if started else None
    return {"id": f"call_{number}", "seq": number, "start_time": start}


def history(started: Callable[[int], bool] = lambda number: True) -> list[Call]:
    return [call(number, started(number)) for number in range(COUNT)]


def renumbered(calls: list[Call]) -> list[Call]:
    return [call | {"seq": place} for place, call in enumerate(calls)]


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[Server], Any]]:
    runners: list[web.AppRunner] = []

    async def start(server: Server) -> TelepathClient:
        app = web.Application()
        app.router.add_get("/v1/calls", server.handle)
        runner = web.AppRunner(app)
        runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        limiter = LocalLimiter(limit=1_000_000, period=1.0)
        base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        return TelepathClient(
            "sk", base_url=base_url, retry=RetryPolicy(max_attempts=1), limiter=limiter
        )

    yield start
    for runner in runners:
        await runner.cleanup()


@define
class Synced:
    report: SyncReport
    missed: set[str]


async def synced(
    server: Server, serve: Callable[[Server], Any], database_url: str, **options: Any
) -> Synced:
    async with await serve(server) as telepath:
        report = await sync_calls(telepath, database_url, **options)
    return Synced(report, {call["id"] for call in server.calls} - set(await stored(database_url)))


SHUFFLED = random.Random(5).sample(history(), COUNT)


@pytest.mark.parametrize(
    "calls",
    [
        history(),
        renumbered(history()[::-1]),
        history(lambda number: number % 3 != 0),
        history(lambda number: number < COUNT - 300),
    ],
    ids=["newest first", "oldest first", "a third without a start", "without a start at the end"],
)
@pytest.mark.parametrize("holds", [sql, exclusive])
async def test_a_long_history_is_read_in_parts_each_call_once(
    calls: list[Call], holds: Any, serve: Callable[[Server], Any], sqlite_url: str
) -> None:
    server = Server(calls, holds)
    done = await synced(server, serve, sqlite_url)
    assert done.missed == set()
    assert (done.report.inserted, done.report.updated, done.report.unchanged) == (COUNT, 0, 0)
    assert server.most_under_way > 2
    wasted = (
        4 + 2 + 1 + 2 * len(server.probed)
    )  # a part has a short last page, and a page that is not full
    assert len(server.queries) <= 15 + wasted


@pytest.mark.parametrize(
    "server",
    [
        Server(history(), deaf),
        Server(
            history(lambda number: number != 120),
            lambda call, *dates: not call["start_time"] or sql(call, *dates),
        ),
        Server(renumbered(history()[::-1]), by_the_day),
        Server(renumbered(SHUFFLED)),
        Server(history(), cursor=lambda seq, rank, query: str(rank)),
        Server(
            history(),
            cursor=lambda seq, rank, query: f"{query.get('from')} {query.get('to')} {seq}",
        ),
        Server(history(), refuses=lambda query: 400 if int(query["limit"]) < 100 else None),
        Server(history(), refuses=lambda query: 503 if "to" in query else None),
        Server(history(lambda number: False)),
        Server(history(lambda number: number == 0)),
        Server(renumbered([call(7) | {"id": f"call_{number}"} for number in range(COUNT)])),
        Server(history()[:250]),
    ],
    ids=[
        "deaf to dates",
        "a call without a start is in every range",
        "oldest first, and days instead of dates",
        "in no order of time",
        "a cursor counts the rows of its own list",
        "a cursor is bound to its filter",
        "small pages are refused",
        "dates make it fail",
        "no call has a start",
        "one call has a start",
        "all start at once",
        "short",
    ],
)
async def test_where_nothing_can_be_gained_the_list_is_read_in_one_chain_for_a_few_requests_more(
    server: Server, serve: Callable[[Server], Any], sqlite_url: str
) -> None:
    done = await synced(server, serve, sqlite_url)
    assert done.missed == set()
    assert done.report.inserted == len(server.calls)
    assert (done.report.updated, done.report.unchanged) == (0, 0)
    assert len(server.queries) <= -(-len(server.calls) // 100) + 4 + 2 + 3


async def test_a_server_that_reads_dates_as_days_loses_no_call(
    serve: Callable[[Server], Any], sqlite_url: str
) -> None:
    server = Server(history(), by_the_day)
    done = await synced(server, serve, sqlite_url)
    assert (done.report.inserted, done.report.unchanged) == (COUNT, 0)
    assert server.most_under_way > 2


async def test_no_more_than_the_range_is_looked_at(
    serve: Callable[[Server], Any], sqlite_url: str
) -> None:
    since = NOON - timedelta(hours=1_000, minutes=30)
    server = Server(history())
    done = await synced(server, serve, sqlite_url, since=since)
    assert done.report.inserted == 1_001
    assert {query["from"] for query in server.queries} == {f"{since:%Y-%m-%dT%H:%M:%SZ}"}
    assert server.most_under_way > 2


async def test_a_history_that_thins_out_is_looked_at_sixteen_times_and_no_more(
    serve: Callable[[Server], Any], sqlite_url: str
) -> None:
    ages = [
        timedelta(seconds=number) if number < 200 else timedelta(days=number - 199)
        for number in range(COUNT)
    ]
    calls = [
        call(number) | {"start_time": f"{NOON - age:%Y-%m-%dT%H:%M:%SZ}"}
        for number, age in enumerate(ages)
    ]
    server = Server(calls)
    done = await synced(server, serve, sqlite_url)
    assert (done.report.inserted, done.report.unchanged) == (COUNT, 0)
    assert sum("to" in query for query in server.queries) == 16 + 1


async def test_before_the_beginning_of_the_calendar_nothing_is_looked_for(
    serve: Callable[[Server], Any], sqlite_url: str
) -> None:
    calls = [
        call(number) | {"start_time": f"{2_020 - number}-01-01T00:00:00Z"}
        for number in range(COUNT)
    ]
    server = Server([call | {"start_time": call["start_time"].rjust(20, "0")} for call in calls])
    assert (await synced(server, serve, sqlite_url)).report.inserted == COUNT


@define
class Once:
    """Changes the list when the places have been found, and before the parts are read."""

    change: Callable[[Server], object]
    done: bool = False

    def __call__(self, server: Server, query: Query) -> None:
        if (
            not self.done
            and len(server.probed) >= 3
            and query["limit"] == "100"
            and query.get("cursor") != "199"
        ):
            self.done = True
            self.change(server)


def delete_places(server: Server) -> None:
    server.calls = [call for call in server.calls if call["id"] not in server.probed]


def add_in_front(server: Server) -> None:
    server.calls.insert(0, call(-1))


async def test_calls_that_are_deleted_where_a_part_begins_lose_no_other(
    serve: Callable[[Server], Any], sqlite_url: str
) -> None:
    once = Once(delete_places)
    server = Server(history(), before=once)
    done = await synced(server, serve, sqlite_url)
    assert once.done
    assert done.missed == set()
    assert len(server.calls) <= done.report.inserted < COUNT


@pytest.mark.parametrize("counting", [False, True])
async def test_calls_that_come_in_front_meanwhile_push_no_other_out(
    serve: Callable[[Server], Any], sqlite_url: str, counting: bool
) -> None:
    once = Once(add_in_front)
    server = Server(history(), before=once)
    if counting:  # the place in the whole list, whatever the filter
        server.cursor = lambda seq, rank, query: str(seq + 1 + once.done)
    done = await synced(server, serve, sqlite_url)
    assert once.done
    assert done.missed <= {"call_-1"}


class Midway(Exception):
    """Ends a sync from inside, as a crash would."""


@pytest.mark.parametrize("pages", range(1, 16, 2))
@pytest.mark.parametrize("style", ["cursor"])
@pytest.mark.parametrize("calls", [1_500])
async def test_a_sync_that_was_cut_off_goes_on_in_all_its_parts(
    sandbox: Sandbox, sqlite_url: str, pages: int
) -> None:
    def stop(progress: SyncProgress) -> None:
        if progress.pages == pages:
            raise Midway

    async with client_of(sandbox) as telepath:
        with pytest.raises(Midway):
            await sync_calls(telepath, sqlite_url, on_progress=stop)
        kept = len(await stored(sqlite_url))
        asked = len(sandbox.requests)
        report = await sync_calls(telepath, sqlite_url)
    assert report.inserted == 1_500 - kept
    assert report.unchanged <= 10  # of the last hour: the walk behind the one that was cut off
    assert await stored(sqlite_url) == truth(sandbox)
    assert len(sandbox.requests) - asked <= (1_500 - kept) // 100 + 2 * 4 + 4 + 3 + 1


@pytest.mark.parametrize("style", ["cursor"])
@pytest.mark.parametrize("calls", [1_500])
async def test_a_cancelled_look_ahead_leaves_nothing_running(
    sandbox: Sandbox, sqlite_url: str
) -> None:
    async with client_of(sandbox) as telepath:
        syncing = asyncio.create_task(sync_calls(telepath, sqlite_url))
        while not any(dict(request.query).get("to") for request in sandbox.requests):
            await asyncio.sleep(0)
        syncing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await syncing
        await asyncio.sleep(0.05)
        assert {
            task for task in asyncio.all_tasks() if "RequestHandler" not in repr(task.get_coro())
        } == {asyncio.current_task()}
        await sync_calls(telepath, sqlite_url)
    assert await stored(sqlite_url) == truth(sandbox)


async def test_a_page_whose_calls_have_no_start_is_no_trial() -> None:
    async with TelepathClient("key", base_url="http://127.0.0.1:9/v1") as telepath:
        scout = parts.Scout(
            telepath=telepath, calls=telepath.calls.list(), trunk_id=None, since=None, until=None
        )
        assert not await scout._meets_places([telepath_async.Call(id="call_1")], "unused")


@pytest.mark.parametrize("turns", range(4))
async def test_a_cancellation_beside_an_error_is_not_lost(turns: int) -> None:
    failing = asyncio.Event()

    async def fail() -> None:
        failing.set()
        raise telepath_async.ConnectionFailed("made up")

    looking = asyncio.create_task(parts._all([fail(), asyncio.sleep(3600)]))
    await failing.wait()
    for _ in range(turns):
        await asyncio.sleep(0)
    cancelled = looking.cancel()
    with pytest.raises(asyncio.CancelledError if cancelled else telepath_async.ConnectionFailed):
        await looking


async def test_an_error_ends_the_others_and_leaves_the_task_as_it_was() -> None:
    async def fail() -> None:
        raise telepath_async.ConnectionFailed("made up")

    with pytest.raises(telepath_async.ConnectionFailed):
        await parts._all([asyncio.sleep(3600), fail()])
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
