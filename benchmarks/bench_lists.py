"""Measure whole lists: prefetch against page after page, shards, and the limit's use."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from compare import QUICK, Table, free_a_large_block, goal, server
from server import BEGIN, STEP

from telepath_async import LocalLimiter, TelepathClient

SIZE = 2_000 if QUICK else 10_000
ROUNDS = 2
BUSY = 0.05


def client(base_url: str, limiter: LocalLimiter | None = None) -> TelepathClient:
    return TelepathClient(
        "sk_bench", base_url=base_url, limiter=limiter or LocalLimiter(limit=10_000_000, period=1.0)
    )


async def compare(
    title: str, contenders: dict[str, Callable[[], Awaitable[int]]], count: int
) -> Table:
    table = Table(title, "seconds")
    for _ in range(ROUNDS):
        for name, walk in contenders.items():
            begun = time.perf_counter()
            assert await walk() == count
            table.add(name, time.perf_counter() - begun)
    table.show()
    return table


async def offset(base_url: str) -> None:
    async with client(base_url) as telepath:

        async def walk(prefetch: int) -> int:
            return sum([1 async for _ in telepath.calls.list(prefetch=prefetch)])

        contenders = {"one page after the other": lambda: walk(0), "prefetch=8": lambda: walk(8)}
        table = await compare(f"{SIZE:,} calls, offset style, 50 ms", contenders, SIZE)
        goal(
            "offset, prefetch 8, times faster",
            table.ratio("one page after the other", "prefetch=8"),
            at_least=6,
        )


async def cursor(base_url: str) -> None:
    size = SIZE // 5
    async with client(base_url) as telepath:

        async def walk(prefetch: int) -> int:
            count = 0
            async for page in telepath.calls.list(max_items=size, prefetch=prefetch).pages():
                await asyncio.sleep(BUSY)
                count += len(page.items)
            return count

        contenders = {"one page after the other": lambda: walk(0), "prefetch=1": lambda: walk(1)}
        table = await compare(
            f"{size:,} calls, cursor style, 50 ms, the consumer busy 50 ms a page", contenders, size
        )
        goal(
            "cursor, busy consumer, times faster",
            table.ratio("one page after the other", "prefetch=1"),
            at_least=1.8,
        )


async def shards(base_url: str) -> None:
    since = datetime.fromtimestamp(BEGIN, UTC)
    until = since + timedelta(seconds=SIZE * STEP)
    async with client(base_url) as telepath:

        async def walk(shards: int) -> int:
            ids = {
                call.id
                async for call in telepath.calls.list(since=since, until=until, shards=shards)
            }
            return len(ids)

        contenders = {"one chain": lambda: walk(1), "shards=8": lambda: walk(8)}
        table = await compare(f"{SIZE:,} calls, cursor style, 50 ms", contenders, SIZE)
        goal("cursor, 8 shards, times faster", table.ratio("one chain", "shards=8"), at_least=5)


async def near_the_limit(base_url: str, size: int) -> None:
    """A walk that wants more than the limit: 6,000 a minute at 200 ms."""
    async with client(base_url, LocalLimiter(limit=6_000, period=60.0)) as telepath:
        begun = time.perf_counter()
        count = sum([1 async for _ in telepath.calls.list(prefetch=32)])
        seconds = time.perf_counter() - begun
    requests = count / 99  # each page after the first is asked one row early
    allowed = (
        60 + (seconds - 0.4) * 100
    )  # the burst, then 100 a second; the first and the last answer take 200 ms each
    print(
        f"\n{count:,} calls at 200 ms under 6,000 a minute: {requests:,.0f} requests in "
        f"{seconds:.1f} s, {allowed:,.0f} allowed"
    )
    goal("share of the limit used by a long walk", requests / allowed, at_least=0.97, digits=3)


if __name__ == "__main__":
    free_a_large_block()
    with server(size=SIZE, latency_ms=50) as url:
        asyncio.run(offset(url))
    with server(size=SIZE, latency_ms=50, style="cursor") as url:
        asyncio.run(cursor(url))
        asyncio.run(shards(url))
    with server(size=20_000 if QUICK else 100_000, latency_ms=200) as url:
        asyncio.run(near_the_limit(url, 100_000))
