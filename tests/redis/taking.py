"""Forks processes that want more than their part of a limit, and write when they got a place.

    python taking.py URL KEY FIGURES

Each line on standard input names a file: a child is forked that appends to it, `TIME STATE` a
grant, until it is killed, and its id is printed. Importing once makes children cheap. Times are of
the clock that all processes of a machine share; a line is written at once, so that nothing is lost
by SIGKILL. FIGURES is JSON.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import time
from typing import Any

from telepath_async.redis import RedisLimiter

CALLERS = 30


async def take(url: str, key: str, figures: dict[str, Any], path: str) -> None:
    out = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    async with RedisLimiter(url, **figures) as limiter:
        limiter.bind(key)

        async def call() -> None:
            while True:
                await limiter.acquire()
                os.write(out, f"{time.monotonic()} {limiter.state}\n".encode())

        await asyncio.gather(*(call() for _ in range(CALLERS)))


if __name__ == "__main__":
    logging.disable()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the killed
    url, key, figures = sys.argv[1:]
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            asyncio.run(take(url, key, json.loads(figures), line.strip()))
        print(child, flush=True)
