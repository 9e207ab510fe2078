"""Resident memory while 1,000,000 calls stream by: it must stay flat."""

import asyncio
import gc
import os
import time
from pathlib import Path

from compare import QUICK, free_a_large_block, goal, server

from telepath_async import LocalLimiter, TelepathClient

SIZE = 200_000 if QUICK else 1_000_000


def resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


async def stream(base_url: str) -> None:
    limiter = LocalLimiter(limit=10_000_000, period=1.0)
    async with TelepathClient("sk_bench", base_url=base_url, limiter=limiter) as telepath:
        count, peak, warm = 0, 0.0, 0.0
        begun = time.perf_counter()
        async for _ in telepath.calls.list(prefetch=4):
            count += 1
            if count == SIZE // 10:
                gc.collect()
                warm = resident_mib()
            elif count % 10_000 == 0:
                peak = max(peak, resident_mib())
        seconds = time.perf_counter() - begun
    print(
        f"\n{count:,} calls in {seconds:.1f} s ({count / seconds:,.0f}/s); {warm:.1f} MiB "
        f"after a tenth, at most {peak:.1f} MiB"
    )
    goal(f"growth while streaming {SIZE:,} items, MiB", peak - warm, at_most=8)


if __name__ == "__main__":
    free_a_large_block()
    with server(size=SIZE) as url:
        asyncio.run(stream(url))
