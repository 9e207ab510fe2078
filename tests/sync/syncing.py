"""A process that syncs in children that can be killed: importing once makes dozens of kills cheap.

    python syncing.py BASE_URL API_KEY DATABASE_URL LOOKBACK_HOURS

It obeys lines on standard input. `sync`: fork, and sync in the child. `kill`: SIGKILL the child,
which may have ended already (its pid is ours until we wait for it). `wait`: let it end. After both,
print how it ended: 0, or minus the signal.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import timedelta

from telepath_async import LocalLimiter, TelepathClient
from telepath_async.sync import sync_calls


async def sync(base_url: str, api_key: str, database_url: str, hours: str) -> None:
    limiter = LocalLimiter(limit=1_000_000, period=1.0)
    async with TelepathClient(api_key, base_url=base_url, limiter=limiter) as telepath:
        await sync_calls(telepath, database_url, lookback=timedelta(hours=float(hours)))


if __name__ == "__main__":
    child = 0
    for line in sys.stdin:
        if line == "sync\n":
            child = os.fork()
            if child == 0:
                asyncio.run(sync(*sys.argv[1:]))
                os._exit(0)
            continue
        if line == "kill\n":
            os.kill(child, signal.SIGKILL)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
