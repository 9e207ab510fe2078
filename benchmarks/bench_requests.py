"""CPU of one typed GET and of one page of 100 typed calls, 50 at a time, beside the peers; every contender gets the same bytes.

The floor is raw aiohttp + orjson, which returns dicts: no types, no times, no errors, no limiter, no retries.
"""

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import orjson
from compare import QUICK, Table, cpu_us, free_a_large_block, goal, server

from telepath_async import LocalLimiter, TelepathClient

ROUNDS = 3 if QUICK else 11
CONCURRENCY = 50


async def measure(base_url: str) -> None:
    key = "sk_bench"
    limiter = LocalLimiter(limit=10_000_000, period=1.0)
    async with TelepathClient(key, base_url=base_url, limiter=limiter) as telepath, aiohttp.ClientSession() as session:

        async def floor(path: str) -> object:
            async with session.get(base_url + path, headers={"Authorization": f"Bearer {key}"}) as answer:
                return orjson.loads(await answer.read())

        async def one_page() -> object:
            return await anext(telepath.calls.list(max_items=100).pages())

        await compare(
            "one call",
            2_000,
            {"floor: aiohttp + orjson": lambda: floor("/calls/call_7"), "telepath_async": lambda: telepath.calls.get("call_7")},
            at_most=1.20,
        )
        await compare(
            "a page of 100 calls",
            1_000,
            {"floor: aiohttp + orjson": lambda: floor("/calls?limit=100"), "telepath_async": one_page},
            at_most=1.30,
        )


async def compare(title: str, times: int, contenders: dict[str, Callable[[], Awaitable[object]]], *, at_most: float) -> None:
    table = Table(f"{title}, {CONCURRENCY} at a time", "CPU µs each")
    for name, work in contenders.items():
        await cpu_us(work, CONCURRENCY * 2, CONCURRENCY)  # connections, caches
    for _ in range(ROUNDS):
        for name, work in contenders.items():
            table.add(name, await cpu_us(work, times // (4 if QUICK else 1), CONCURRENCY))
    table.show()
    goal(f"{title}, against the floor", table.ratio("telepath_async", "floor: aiohttp + orjson"), at_most=at_most)


if __name__ == "__main__":
    free_a_large_block()
    with server() as url:
        asyncio.run(measure(url))
