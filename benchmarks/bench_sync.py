"""Measure the rows a second of a sync into SQLite and PostgreSQL, and its memory.

The server is 20 ms away. The memory must stay flat. PostgreSQL: DATABASE_URL, or the server of this
machine; without one, that part is left out, and says so.
"""

import asyncio
import gc
import os
import tempfile
import time
from datetime import UTC, datetime

import asyncpg
from bench_memory import resident_mib
from compare import QUICK, Table, free_a_large_block, goal, server
from server import BEGIN

from telepath_async import LocalLimiter, TelepathClient
from telepath_async.sync import SyncProgress, sync_calls

SIZE = 20_000 if QUICK else 30_000
ROUNDS = 1 if QUICK else 2
SCHEMA = "telepath_bench_sync"
POSTGRES = os.environ.get("DATABASE_URL") or "postgresql://postgres@127.0.0.1:5432/test"


class Memory:
    """Resident memory after a tenth of the rows, and the most after that."""

    def __init__(self) -> None:
        self.warm = self.peak = 0.0

    def __call__(self, progress: SyncProgress) -> None:
        if progress.rows < SIZE // 10:
            return
        if not self.warm:
            gc.collect()
            self.warm = resident_mib()
        self.peak = max(self.peak, resident_mib())


def since_of(style: str) -> dict[str, datetime]:
    """Return the time of the first call for the style that names it, else nothing.

    With cursors, each page waits for the one before it, unless `since` lets shards read at once.
    """
    return {"since": datetime.fromtimestamp(BEGIN, UTC)} if style == "cursor, since" else {}


async def one_chain(base_url: str) -> float:
    """Return the rows a second of a list that is read page after page, and not stored."""
    limiter = LocalLimiter(limit=10_000_000, period=1.0)
    async with TelepathClient("sk_bench", base_url=base_url, limiter=limiter) as telepath:
        begun = time.perf_counter()
        rows = sum([len(page.items) async for page in telepath.calls.list().pages()])
        return rows / (time.perf_counter() - begun)


async def timed(base_url: str, database_url: str, style: str, memory: Memory) -> float:
    limiter = LocalLimiter(limit=10_000_000, period=1.0)
    async with TelepathClient("sk_bench", base_url=base_url, limiter=limiter) as telepath:
        begun = time.perf_counter()
        report = await sync_calls(telepath, database_url, on_progress=memory, **since_of(style))
        assert (report.inserted, report.updated) == (SIZE, 0)
        return SIZE / (time.perf_counter() - begun)


async def into_sqlite(base_url: str, style: str, memory: Memory) -> float:
    with tempfile.TemporaryDirectory() as folder:
        return await timed(base_url, f"sqlite:///{folder}/calls.db", style, memory)


async def into_postgresql(base_url: str, style: str, memory: Memory) -> float:
    connection = await asyncpg.connect(POSTGRES)
    try:
        await connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE; CREATE SCHEMA {SCHEMA}")
        return await timed(
            base_url,
            f"{POSTGRES}{'&' if '?' in POSTGRES else '?'}search_path={SCHEMA}",
            style,
            memory,
        )
    finally:
        await connection.execute(f"DROP SCHEMA {SCHEMA} CASCADE")
        await connection.close()


async def has_postgresql() -> bool:
    try:
        await (await asyncpg.connect(POSTGRES)).close()
    except (OSError, asyncpg.PostgresError) as error:
        print(f"\nPostgreSQL is left out: {error}")
        return False
    return True


async def main() -> None:
    databases = {"SQLite": into_sqlite} | (
        {"PostgreSQL": into_postgresql} if await has_postgresql() else {}
    )
    for style in ("offset", "cursor", "cursor, since"):
        table = Table(f"{SIZE:,} calls, {style}, 20 ms, page size 100", "rows a second")
        memories = {name: Memory() for name in databases}
        with server(style=style[:6], size=SIZE, latency_ms=20) as base_url:
            for _ in range(ROUNDS):
                for name, into in databases.items():
                    table.add(name, await into(base_url, style, memories[name]))
                if style == "cursor":
                    table.add("one chain, not stored", await one_chain(base_url))
        table.show()
        for name, memory in memories.items():
            if style == "cursor":
                share = table.median(name) / table.median("one chain, not stored")
                goal(f"sync into {name}, share of what one chain can do", share, at_least=0.9)
            else:
                rows = table.median(name)
                goal(f"sync into {name}, {style}, rows/s", rows, at_least=5_000, digits=0)
            goal(
                f"sync into {name}, {style}, growth of memory, MiB",
                memory.peak - memory.warm,
                at_most=8,
            )


if __name__ == "__main__":
    free_a_large_block()
    asyncio.run(main())
