"""Measure how long the dashboard's page waits for its data: seven days of one million calls.

Asked over HTTP, as a browser asks: the first time, again, and after one more call was synced.
PostgreSQL: DATABASE_URL, or the server of this machine; without one, that part is left out, and
says so.
"""

import asyncio
import random
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import asyncpg
from bench_sync import POSTGRES, has_postgresql
from compare import QUICK, Table, goal

from telepath_async.dashboard.board import Board, BoardOptions
from telepath_async.dashboard.queries import CallReader
from telepath_async.dashboard.server import Address, serve
from telepath_async.sync.database import make_engine
from telepath_async.sync.migration import make_tables
from telepath_async.sync.reading import make_reader

CALLS = 100_000 if QUICK else 1_000_000
TRUNKS = 25
ASKED = 3
SCHEMA = "telepath_bench_dashboard"
COLUMNS = (
    "id", "account", "trunk_id", "direction", "status", "start_time", "end_time",
    "carrier_lag_ms", "ai_latency_ms", "gateway_processing_ms", "extra", "revision", "synced_at",
)  # fmt: skip

Row = tuple[Any, ...]
Ask = Callable[[], Coroutine[Any, Any, int]]
Insert = Callable[[Iterable[Row]], Coroutine[Any, Any, None]]


def rows(count: int, first: int, begin: datetime, step: timedelta) -> Iterator[Row]:
    """Return calls, one each `step` from `begin` on; no two latencies are alike."""
    rng = random.Random(first)
    for number in range(count):
        start = begin + number * step
        yield (
            f"call_{first + number}",
            "acme",
            f"trunk_{min(int(rng.expovariate(0.3)), TRUNKS - 1)}",
            rng.choice(("inbound", "outbound")),
            rng.choices(("completed", "disconnected", "failed"), (90, 7, 3))[0],
            start,
            start + timedelta(minutes=2),
            rng.lognormvariate(4.0, 0.4),
            rng.lognormvariate(5.7, 0.3),
            rng.lognormvariate(3.0, 0.3),
            "{}",
            1,
            start + timedelta(seconds=1),
        )


async def make(database_url: str) -> None:
    engine = make_engine(database_url)
    async with engine.begin() as connection:
        await connection.run_sync(make_tables)
    await engine.dispose()


@asynccontextmanager
async def sqlite() -> AsyncIterator[tuple[str, Insert]]:
    with tempfile.TemporaryDirectory() as folder:
        await make(f"sqlite:///{folder}/calls.db")

        async def insert(wanted: Iterable[Row]) -> None:
            with closing(sqlite3.connect(f"{folder}/calls.db")) as connection, connection:
                connection.executemany(
                    f"INSERT INTO telepath_calls ({', '.join(COLUMNS)}) "
                    f"VALUES ({', '.join('?' * len(COLUMNS))})",
                    (tuple(map(as_stored, row)) for row in wanted),
                )

        yield f"sqlite:///{folder}/calls.db", insert


def as_stored(value: Any) -> Any:
    return f"{value:%Y-%m-%d %H:%M:%S.%f}" if isinstance(value, datetime) else value


@asynccontextmanager
async def postgresql() -> AsyncIterator[tuple[str, Insert]]:
    connection = await asyncpg.connect(POSTGRES)
    try:
        await connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE; CREATE SCHEMA {SCHEMA}")
        url = f"{POSTGRES}{'&' if '?' in POSTGRES else '?'}search_path={SCHEMA}"
        await make(url)

        async def insert(wanted: Iterable[Row]) -> None:
            await connection.copy_records_to_table(
                "telepath_calls", schema_name=SCHEMA, columns=COLUMNS, records=wanted
            )

        yield url, insert
    finally:
        await connection.execute(f"DROP SCHEMA {SCHEMA} CASCADE")
        await connection.close()


@asynccontextmanager
async def page(database_url: str) -> AsyncIterator[Ask]:
    """Serve the dashboard, and give what asks for the page's data and returns how many calls."""
    reader = CallReader(make_reader(database_url))
    jar = aiohttp.CookieJar(unsafe=True)
    async with (
        serve(Board(reader, BoardOptions()), Address()) as address,
        aiohttp.ClientSession(cookie_jar=jar) as browser,
    ):
        await browser.get(address)

        async def ask() -> int:
            async with browser.get(f"{address.partition('?')[0]}api/data?range=7d") as response:
                calls: int = (await response.json())["tiles"]["calls"]["value"]
                return calls

        yield ask
    await reader.close()


async def measure(tables: dict[str, Table], name: str, database: Any) -> None:
    async with database() as (url, insert):
        week = timedelta(hours=7 * 24 - 1)
        await insert(rows(CALLS, 0, datetime.now(UTC) - week, week / CALLS))
        async with page(url) as ask:
            tables["the first time"].add(name, await seconds(ask, CALLS))
            for _ in range(ASKED):
                tables["again"].add(name, await seconds(ask, CALLS))
            for more in range(1, ASKED + 1):
                await insert(rows(1, CALLS + more, datetime.now(UTC), timedelta()))
                tables["after one more call"].add(name, await seconds(ask, CALLS + more))


async def seconds(ask: Ask, expected: int) -> float:
    begun = time.perf_counter()
    assert await ask() == expected
    return time.perf_counter() - begun


async def main() -> None:
    databases: dict[str, Any] = {"SQLite": sqlite}
    if await has_postgresql():
        databases["PostgreSQL"] = postgresql
    tables = {
        when: Table(f"The page's data of {CALLS:,} calls in 7 days, {when}", "seconds")
        for when in ("the first time", "again", "after one more call")
    }
    for name, database in databases.items():
        await measure(tables, name, database)
    for when, table in tables.items():
        table.show()
        for name in databases if when != "the first time" else ():
            goal(
                f"the page's data of {CALLS:,} calls from {name}, {when}, s",
                table.median(name),
                at_most=1,
            )


if __name__ == "__main__":
    asyncio.run(main())
