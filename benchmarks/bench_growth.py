"""Measure how throughput, CPU per request and the time of a whole list grow.

Concurrency goes from 1 to 1,000, the list from 1,000 to 1,000,000 calls. The server adds 5 ms to
every answer, so that concurrency has something to win. Draws growth.png (not with --quick).
"""

import asyncio
import time
from pathlib import Path

import aiohttp
from compare import QUICK, free_a_large_block, server

from telepath_async import LocalLimiter, TelepathClient

CONCURRENCIES = [1, 10, 100] if QUICK else [1, 3, 10, 30, 100, 300, 1_000]
SIZES = [1_000, 10_000] if QUICK else [1_000, 10_000, 100_000, 1_000_000]
PICTURE = Path(__file__).with_name("growth.png")


def wide_open() -> LocalLimiter:
    return LocalLimiter(limit=10_000_000, period=1.0)


async def over_concurrency(base_url: str) -> list[tuple[int, float, float]]:
    print(f"\none typed GET at 5 ms\n  {'at a time':>10}{'requests/s':>12}{'CPU µs each':>13}")
    rows = []
    for concurrency in CONCURRENCIES:
        times = max(concurrency * 2, min(4_000, concurrency * 100))
        # aiohttp opens 100 connections at most, unless it is told otherwise.
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
            TelepathClient(
                "sk_bench", base_url=base_url, limiter=wide_open(), session=session
            ) as telepath,
        ):
            await run(telepath, concurrency, concurrency)
            begun, cpu = time.perf_counter(), time.process_time()
            await run(telepath, times, concurrency)
            seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
        rows.append((concurrency, times / seconds, cpu / times * 1e6))
        print(f"  {concurrency:10,}{times / seconds:12,.0f}{cpu / times * 1e6:13.0f}")
    return rows


async def run(telepath: TelepathClient, times: int, concurrency: int) -> None:
    async def worker() -> None:
        for _ in range(times // concurrency):
            await telepath.calls.get("call_7")

    await asyncio.gather(*(worker() for _ in range(concurrency)))


async def over_size() -> list[tuple[int, float]]:
    print(f"\na whole list at 5 ms, prefetch=8\n  {'calls':>10}{'seconds':>10}{'calls/s':>10}")
    rows = []
    for size in SIZES:
        with server(size=size, latency_ms=5) as url:
            async with TelepathClient("sk_bench", base_url=url, limiter=wide_open()) as telepath:
                begun = time.perf_counter()
                count = 0
                async for page in telepath.calls.list(prefetch=8).pages():
                    count += len(page.items)
                seconds = time.perf_counter() - begun
        assert count == size
        rows.append((size, seconds))
        print(f"  {size:10,}{seconds:10.2f}{size / seconds:10,.0f}")
    return rows


def draw(concurrency: list[tuple[int, float, float]], size: list[tuple[int, float]]) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
    tasks, rates, cpu = zip(*concurrency, strict=True)
    left.plot(tasks, rates, "o-", color="tab:blue", label="requests/s")
    left.set(
        xscale="log",
        yscale="log",
        xlabel="requests under way",
        ylabel="requests/s",
        title="one typed GET, 5 ms away",
    )
    costs = left.twinx()
    costs.plot(tasks, cpu, "s--", color="tab:orange", label="CPU µs each")
    costs.set(ylabel="CPU µs each", ylim=(0, max(cpu) * 1.2))
    left.legend(handles=[*left.get_lines(), *costs.get_lines()], loc="lower right")
    sizes, seconds = zip(*size, strict=True)
    right.plot(sizes, seconds, "o-", color="tab:blue")
    right.set(
        xscale="log",
        yscale="log",
        xlabel="calls in the list",
        ylabel="seconds",
        title="a whole list, prefetch=8, 5 ms away",
    )
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.savefig(PICTURE, dpi=110)


if __name__ == "__main__":
    free_a_large_block()
    with server(latency_ms=5) as url:
        by_concurrency = asyncio.run(over_concurrency(url))
    by_size = asyncio.run(over_size())
    if not QUICK:
        draw(by_concurrency, by_size)
