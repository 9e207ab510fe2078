"""Run several processes on one key: each wants more than the limit; together they keep it.

It needs Redis, here or at REDIS_URL.

    python examples/several_processes.py --processes 4 --seconds 12

It brings its own sandbox, whose key allows 600 requests in 6 seconds, and prints what each process
got, what all got, and the most in any 6 seconds.
"""

import argparse
import asyncio
import multiprocessing
import os
import time
from bisect import bisect_left

from telepath_async import TelepathClient
from telepath_async.redis import RedisLimiter
from telepath_async.sandbox import Sandbox

LIMIT, PERIOD = 600, 6.0
REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379")


async def read_trunks(base_url: str, api_key: str, seconds: float) -> list[float]:
    """Ask for trunks for so long; return when each request was answered."""
    answered: list[float] = []
    end = time.monotonic() + seconds

    async with (
        RedisLimiter(REDIS_URL, limit=LIMIT, period=PERIOD, expected_processes=4) as limiter,
        TelepathClient(api_key, base_url=base_url, limiter=limiter) as telepath,
    ):

        async def ask_on() -> None:
            while time.monotonic() < end:
                await telepath.trunks.list(page_size=1).first()
                answered.append(time.monotonic())

        await asyncio.gather(*(ask_on() for _ in range(20)))
    return answered


def process(base_url: str, api_key: str, seconds: float) -> list[float]:
    return asyncio.run(read_trunks(base_url, api_key, seconds))


async def main(processes: int, seconds: float) -> None:
    async with Sandbox(rate_limit=LIMIT, rate_period=PERIOD) as sandbox:
        with multiprocessing.get_context("spawn").Pool(processes) as pool:
            work = [(sandbox.base_url, sandbox.api_key, seconds)] * processes
            parts = await asyncio.to_thread(pool.starmap, process, work)
    everything = sorted(moment for part in parts for moment in part)
    ends = (bisect_left(everything, moment + PERIOD) for moment in everything)
    most = max((end - index for index, end in enumerate(ends)), default=0)
    for number, part in enumerate(parts, 1):
        print(f"process {number}: {len(part)} requests")
    print(f"together: {len(everything)} requests; most in any {PERIOD:g} s: {most} of {LIMIT}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=12.0)
    arguments = parser.parse_args()
    asyncio.run(main(arguments.processes, arguments.seconds))
