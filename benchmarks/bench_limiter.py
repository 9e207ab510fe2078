"""Measure the limiter against aiolimiter, and its own limit on a fake clock.

Against aiolimiter: an uncontended acquire, 10,000 waiters, and their order.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise

from aiolimiter import AsyncLimiter
from compare import QUICK, Table, free_a_large_block, goal

from telepath_async import LocalLimiter
from telepath_async.protocol.token_bucket import TokenBucket

ROUNDS = 5 if QUICK else 9
WAITERS = 10_000


async def uncontended() -> None:
    table = Table("an uncontended acquire", "CPU µs each")
    times = 20_000
    for _ in range(ROUNDS):
        for name, acquire in {
            "aiolimiter": AsyncLimiter(times, 0.001).acquire,
            "telepath_async": wide_open().acquire,
        }.items():
            begun = time.process_time()
            for _ in range(times):
                await acquire()
            table.add(name, (time.process_time() - begun) / times * 1e6)
    table.show()
    goal(
        "uncontended acquire, against aiolimiter",
        table.ratio("telepath_async", "aiolimiter"),
        at_most=0.6,
    )


def wide_open() -> LocalLimiter:
    return LocalLimiter(limit=10_000_000, period=1.0, burst=100_000)


async def crowded() -> None:
    table = Table(f"{WAITERS:,} waiters at 10,000 a second", "CPU ms in all")
    inversions = 0
    for _ in range(3 if QUICK else 5):
        for name, acquire in {
            "aiolimiter": AsyncLimiter(100, 0.01).acquire,
            "telepath_async": LocalLimiter(limit=10_000, period=1.0, burst=100).acquire,
        }.items():
            cpu, order = await wait_all(acquire)
            table.add(name, cpu * 1000)
            if name == "telepath_async":
                inversions += sum(1 for before, after in pairwise(order) if before > after)
    table.show()
    goal(
        f"{WAITERS:,} waiters, CPU against aiolimiter",
        table.ratio("telepath_async", "aiolimiter"),
        at_most=0.5,
    )
    goal("order inversions", inversions, at_most=0, digits=0)


async def wait_all(acquire: Callable[[], Awaitable[object]]) -> tuple[float, list[int]]:
    order: list[int] = []

    async def one(number: int) -> None:
        await acquire()
        order.append(number)

    begun = time.process_time()
    await asyncio.gather(*(one(number) for number in range(WAITERS)))
    return time.process_time() - begun, order


def sliding_minute(limit: int = 6000, period: float = 60.0, minutes: int = 10) -> None:
    """Greedy demand on a fake clock: count the grants of every sliding window."""
    bucket = TokenBucket(limit, period)
    now, end, grants = 1000.0, 1000.0 + minutes * period, []
    while now < end:
        if bucket.take(now):
            grants.append(now)
        else:
            now = bucket.next_at(now)
    first = most = 0
    for last, moment in enumerate(grants):
        while grants[first] <= moment - period:
            first += 1
        most = max(most, last - first + 1)
    print(
        f"\n{len(grants):,} grants in {minutes} minutes of {limit:,}; most in any sliding "
        f"minute: {most:,}"
    )
    goal("most grants in any sliding minute ÷ limit", most / limit, at_most=1.0, digits=4)
    goal("share of the limit that is used", len(grants) / minutes / limit, at_least=0.98, digits=4)


if __name__ == "__main__":
    free_a_large_block()
    asyncio.run(uncontended())
    asyncio.run(crowded())
    sliding_minute()
