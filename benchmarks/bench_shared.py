"""Measure one key that 1, 2 and 4 processes share on a Redis of their own.

The figures: the limit's use, its worst window, round trips, waits; and the script. Scaled: 1,800
requests in 6 seconds. Processes are real; a permit is noted by the clock that they share.
"""

import asyncio
import bisect
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import redis
from compare import QUICK, goal

from telepath_async.redis import RedisLimiter
from telepath_async.redis.member import Member
from telepath_async.redis.server import _SCRIPT
from telepath_async.redis.shares import Shares

LIMIT, PERIOD, BURST = 1800, 6.0, 54
SECONDS = 3.0 if QUICK else 6.0
WARM_UP = 4.0  # a fresh bucket begins in debt, and settles for three seconds
KEYS = 2_000 if QUICK else 20_000


@contextlib.contextmanager
def own_redis() -> Iterator[str]:
    """Run a Redis of our own, and give its URL."""
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        print("no redis-server or valkey-server is installed: nothing was measured")
        sys.exit()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    options = ["--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with subprocess.Popen(
        [program, *options], cwd=tempfile.gettempdir(), stdout=subprocess.DEVNULL
    ) as process:
        with redis.Redis(port=int(port)) as client:
            while not pongs(client):
                time.sleep(0.02)
        yield f"redis://127.0.0.1:{port}"
        process.kill()


def pongs(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


async def work(url: str, key: str, processes: int, begin: float) -> tuple[list[float], list[float]]:
    """Make as many calls as the limit lets through, then half of this process's share.

    The first part ends at `begin + WARM_UP + SECONDS`; in the second, one call follows the other.
    Return when each call was let through, and the waits of the second part.
    """
    grants: list[float] = []
    waits: list[float] = []
    async with RedisLimiter(
        url, limit=LIMIT, period=PERIOD, burst=BURST, expected_processes=4
    ) as limiter:
        limiter.bind(key)
        await asyncio.sleep(begin - time.monotonic())
        end = begin + WARM_UP + SECONDS

        async def call() -> None:
            while time.monotonic() < end:
                await limiter.acquire()
                grants.append(time.monotonic())

        await asyncio.gather(*(call() for _ in range(100 // processes)))
        await asyncio.sleep(1.0)
        while time.monotonic() < end + 3.0:
            waits.append(await limiter.acquire())
            grants.append(time.monotonic())
            await asyncio.sleep(2 * processes * PERIOD / LIMIT)
    return grants, waits


def fork(url: str, key: str, processes: int, begin: float, folder: str) -> int:
    """Work in a child; return its id.

    Starting an interpreter for each would take seconds on a busy machine.
    """
    child = os.fork()
    if child == 0:
        notes = asyncio.run(work(url, key, processes, begin))
        Path(folder, str(os.getpid())).write_text(json.dumps(notes))
        os._exit(0)
    return child


def requests_to(url: str) -> int:
    with redis.Redis.from_url(url) as client:
        stats = client.info("commandstats")
    return sum(
        int(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"]) for name in ("evalsha", "eval")
    )


def share(url: str, processes: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        begin = time.monotonic() + 0.2
        children = [
            fork(url, f"key {processes}", processes, begin, folder) for _ in range(processes)
        ]
        time.sleep(max(0.0, begin + WARM_UP - time.monotonic()))
        before, since = requests_to(url), time.monotonic()
        time.sleep(SECONDS)
        sent, until = requests_to(url) - before, time.monotonic()
        for child in children:
            os.waitpid(child, 0)
        notes = [json.loads(path.read_text()) for path in Path(folder).iterdir()]
    grants = sorted(grant for each, _ in notes for grant in each)
    waits = sorted(wait * 1000 for _, each in notes for wait in each)
    most = max(
        bisect.bisect_left(grants, grant + PERIOD) - index for index, grant in enumerate(grants)
    )
    steady = sum(since <= grant < until for grant in grants)
    p50, p99 = waits[len(waits) // 2], waits[len(waits) * 99 // 100]
    print(
        f"\n{processes} processes: {steady:,} grants in {until - since:.1f} s, {sent} "
        f"round trips; in any window {most:,}"
    )
    print(f"  an acquire at half load: p50 {p50:.2f} ms, p99 {p99:.1f} ms")
    goal(
        f"{processes} processes on one key: share of the limit",
        steady / (until - since) / LIMIT * PERIOD,
        at_least=0.95,
    )
    goal(
        f"{processes} processes on one key: most in any window ÷ limit",
        most / LIMIT,
        at_most=1.0,
        digits=3,
    )
    goal(
        f"{processes} processes on one key: round trips a request",
        sent / steady,
        at_most=0.2,
        digits=3,
    )


def many_keys(url: str) -> None:
    """Measure what the script costs Redis, and a key its memory."""
    with redis.Redis.from_url(url) as client:
        sha = client.script_load(_SCRIPT)
        for members in (1, 4, 100):
            count = KEYS // members
            children = [
                Member(f"{number:012d}", Shares(6000, 60.0, None, 4)) for number in range(members)
            ]
            client.config_resetstat()
            for chunk in range(0, count, 200):
                with client.pipeline(transaction=False) as pipe:
                    for key in range(chunk, min(chunk + 200, count)):
                        for member in children:
                            now = time.monotonic()
                            member.link.note_time(time.time() + 60, now)
                            pipe.evalsha(
                                sha,
                                1,
                                f"telepath:limiter:{members:04d}{key:028d}:60",
                                member.request(now, 3, 3),
                            )
                    pipe.execute()
            each = client.info("commandstats")["cmdstat_evalsha"]["usec_per_call"]
            size = client.memory_usage(f"telepath:limiter:{members:04d}{0:028d}:60")
            print(
                f"  {count:6,} keys, {members:3} processes each: {each:6.1f} µs of Redis a round "
                f"trip, {size:,} bytes a key"
            )


if __name__ == "__main__":
    with own_redis() as own:
        for size in (1, 2, 4):
            share(own, size)
        print("\nthe script on many keys")
        many_keys(own)
