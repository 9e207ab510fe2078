"""CPU of one typed GET beside aiohttp as people write it, each in a process that nobody has tuned.

A process of its own for each figure: what one of them does to the allocator and the caches is not
the other's gain.
"""

import asyncio
import subprocess
import sys

import aiohttp
from compare import QUICK, Table, cpu_us, goal, server

from telepath_async import LocalLimiter, TelepathClient

ROUNDS = 3 if QUICK else 9
TIMES, CONCURRENCY = 3_000, 50
KEY = "sk_bench"
AS_WRITTEN, OURS = "aiohttp as people write it, dicts", "telepath_async"


async def as_written(base_url: str) -> float:
    headers = {"Authorization": f"Bearer {KEY}"}
    async with aiohttp.ClientSession(headers=headers) as session:

        async def get() -> object:
            async with session.get(f"{base_url}/calls/call_7") as answer:
                return await answer.json()

        return await cpu_us(get, TIMES, CONCURRENCY)


async def ours(base_url: str) -> float:
    limiter = LocalLimiter(limit=10_000_000, period=1.0)
    async with TelepathClient(KEY, base_url=base_url, limiter=limiter) as telepath:
        return await cpu_us(lambda: telepath.calls.get("call_7"), TIMES, CONCURRENCY)


CONTENDERS = {AS_WRITTEN: as_written, OURS: ours}


def in_its_own_process(contender: str, base_url: str) -> float:
    command = [sys.executable, __file__, contender, base_url]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        _, contender, base_url = sys.argv
        print(asyncio.run(CONTENDERS[contender](base_url)))
        sys.exit()
    table = Table("one call, 50 at a time, a process each", "CPU µs each")
    with server() as base_url:
        for _ in range(ROUNDS):
            for contender in CONTENDERS:
                table.add(contender, in_its_own_process(contender, base_url))
    table.show()
    ratio = table.ratio(OURS, AS_WRITTEN)
    goal("one typed GET, CPU against aiohttp as people write it", ratio, at_most=0.90)
