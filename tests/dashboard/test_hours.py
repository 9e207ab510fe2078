"""What was read is kept; what changed is read again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from telepath_async import UsageError
from telepath_async.dashboard import hours as hours_module
from telepath_async.dashboard.board import Board, BoardOptions
from telepath_async.dashboard.hours import HourCache
from telepath_async.dashboard.queries import CallReader
from telepath_async.insights.cells import Filter
from telepath_async.sync.reading import make_reader, sqlite_path
from telepath_async.sync.schema import calls

from .stored import HOUR, NOW, call, many_calls, reading, run_sql, state, store

LAST = int(NOW.timestamp()) // 3600


class Counting(CallReader):
    """A reader that says what it was asked for."""

    asked: list[tuple[datetime, datetime]]

    async def rows(self, since: datetime, until: datetime) -> AsyncIterator[Any]:
        self.asked = [*getattr(self, "asked", []), (since, until)]
        async for rows in super().rows(since, until):
            yield rows


def count(cells: Any) -> int:
    return sum(cell.statuses.total() for hour in cells.values() for cell in hour.values())


async def test_hours_are_read_once_and_those_with_news_again(database_url: str) -> None:
    await store(database_url, many_calls(300, days=3), states=[state()])
    reader = Counting(make_reader(database_url))
    cache = HourCache(reader)
    first = await cache.load(LAST - 80, LAST)
    assert count(first) == 300
    version = cache.version
    assert len(reader.asked) == 4  # a day at once
    await cache.load(LAST - 80, LAST)
    assert (len(reader.asked), cache.version) == (4, version)
    late = NOW - timedelta(hours=30)
    soon = NOW + timedelta(hours=1)
    await store(database_url, [call(1000, start_time=late, synced_at=soon)])
    assert count(await cache.load(LAST - 80, LAST)) == 301
    assert cache.version == version + 1
    read_again = reader.asked[4:]
    assert any(since <= late < until for since, until in read_again)
    assert sum(((until - since) for since, until in read_again), timedelta()) < 80 * HOUR
    await reader.close()


async def test_a_call_that_is_committed_after_a_newer_one_is_found(database_url: str) -> None:
    await store(database_url, [call(1)], states=[state()])
    async with reading(database_url) as reader:
        cache = HourCache(reader)
        await cache.load(LAST - 5, LAST)
        await store(database_url, [call(2, synced_at=NOW - timedelta(seconds=90))])
        assert count(await cache.load(LAST - 5, LAST)) == 2


async def test_a_changed_call_is_counted_once(sqlite_url: str) -> None:
    await store(sqlite_url, [call(1, status="in-progress")], states=[state()])
    async with reading(sqlite_url) as reader:
        cache = HourCache(reader)
        await cache.load(LAST - 5, LAST)
        await run_sql(
            sqlite_url,
            "UPDATE telepath_calls SET status = 'failed', synced_at = '2026-11-27 15:00:00.000000'",
        )
        (cell,) = (await cache.load(LAST - 5, LAST))[LAST - 1].values()
        assert dict(cell.statuses) == {"failed": 1}


async def test_a_renamed_account_is_read_anew(sqlite_url: str) -> None:
    await store(sqlite_url, [call(1)], states=[state()])
    async with reading(sqlite_url) as reader:
        cache = HourCache(reader)
        await cache.load(LAST - 5, LAST)
        for table in ("telepath_calls", "telepath_sync_state"):
            await run_sql(sqlite_url, f"UPDATE {table} SET account = 'new'")
        assert {key[0] for key in (await cache.load(LAST - 5, LAST))[LAST - 1]} == {"new"}


async def test_the_cache_forgets_what_is_not_asked_for(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hours_module, "_MOST_KEPT", 30)
    await store(sqlite_url, many_calls(50, days=3))
    reader = Counting(make_reader(sqlite_url))
    cache = HourCache(reader)
    await cache.load(LAST - 20, LAST)
    await cache.load(LAST - 60, LAST - 40)
    asked = len(reader.asked)
    await cache.load(LAST - 60, LAST - 40)
    assert len(reader.asked) == asked
    await cache.load(LAST - 20, LAST)
    assert len(reader.asked) > asked
    await reader.close()


async def test_answers_are_kept_until_something_changes(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store(sqlite_url, many_calls(50, days=3))
    worked_out = []
    slowest = CallReader.slowest

    async def counted(reader: CallReader, *given: Any) -> Any:
        worked_out.append(given)
        return await slowest(reader, *given)

    monkeypatch.setattr(CallReader, "slowest", counted)
    async with reading(sqlite_url) as reader:
        board = Board(reader, BoardOptions(), now=lambda: NOW)
        for _ in range(3):
            await board.data({})
        assert len(worked_out) == 1
        for number in range(40):
            await board.data({"trunk": str(number)})
        await board.data({})
        assert len(worked_out) == 42


async def test_a_database_without_our_tables_has_no_calls(database_url: str) -> None:
    async with reading(database_url) as reader:
        shown = await Board(reader, BoardOptions(), now=lambda: NOW).data({})
        assert shown["tiles"]["calls"]["value"] == 0
        await run_sql(database_url, "CREATE TABLE something (x integer)")
        assert await reader.sync_states() == []
        await store(database_url, [call(1)], states=[state()])
        shown = await Board(reader, BoardOptions(), now=lambda: NOW).data({})
        assert shown["tiles"]["calls"]["value"] == 1


async def test_tables_of_the_version_before_have_no_calls_yet(sqlite_url: str) -> None:
    for name in ("telepath_calls", "telepath_trunks", "telepath_sync_state"):
        await run_sql(sqlite_url, f"CREATE TABLE {name} (id text)")
    async with reading(sqlite_url) as reader:
        assert await reader.trunks() == []


async def test_a_reader_cannot_write(database_url: str) -> None:
    await store(database_url, [call(1)])
    engine = make_reader(database_url)
    with pytest.raises(DBAPIError, match=r"read-?only"):
        async with engine.begin() as connection:
            await connection.execute(calls.delete())
    await engine.dispose()
    assert await run_sql(database_url, "SELECT count(*) FROM telepath_calls") == [(1,)]


async def test_a_missing_file_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "a b?c.db"
    async with reading(f"sqlite:///{tmp_path}/missing.db") as reader:
        assert await reader.calls(Filter(), NOW, NOW, None) == []
        with pytest.raises(UsageError, match="there is no database"):
            reader.check_exists()
    assert list(tmp_path.iterdir()) == []
    engine = make_reader(f"sqlite:///file:{tmp_path}/a%20b%3Fc.db?uri=true")
    assert sqlite_path(engine) == path
    await engine.dispose()


async def test_a_database_that_is_no_file_is_not_looked_for(postgres_url: str) -> None:
    async with reading(postgres_url) as reader:
        reader.check_exists()
