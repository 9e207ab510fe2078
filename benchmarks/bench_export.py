"""Measure the rows a second of an export into each format, and its memory.

The server is 20 ms away. The memory must stay flat.
"""

import asyncio
import gc
import tempfile
import time
from pathlib import Path

from bench_memory import resident_mib
from compare import QUICK, Table, free_a_large_block, goal, server

from telepath_async import LocalLimiter, TelepathClient
from telepath_async.export import ExportProgress, Format, export_calls

SIZE = 50_000 if QUICK else 100_000
ROUNDS = 1 if QUICK else 2
FORMATS: tuple[Format, ...] = ("parquet", "csv", "ndjson")


class Memory:
    """Hold the resident memory of one run: after half of the rows, and its peak after that.

    After half of the rows, Parquet has written a row group.
    """

    def __init__(self) -> None:
        self.warm = self.peak = 0.0

    def __call__(self, progress: ExportProgress) -> None:
        if progress.rows < SIZE // 2:
            return
        if not self.warm:
            gc.collect()
            self.warm = resident_mib()
        self.peak = max(self.peak, resident_mib())


async def measure(base_url: str, kind: Format) -> tuple[float, float]:
    """Return the rows a second, and the growth in MiB."""
    memory = Memory()
    limiter = LocalLimiter(limit=10_000_000, period=1.0)
    with tempfile.TemporaryDirectory() as folder:
        async with TelepathClient("sk_bench", base_url=base_url, limiter=limiter) as telepath:
            begun = time.perf_counter()
            report = await export_calls(telepath, Path(folder, f"calls.{kind}"), on_progress=memory)
    assert report.rows == SIZE
    return SIZE / (time.perf_counter() - begun), memory.peak - memory.warm


async def main() -> None:
    table = Table(f"{SIZE:,} calls, offset, 20 ms, page size 100", "rows a second")
    growth: dict[str, float] = {}
    with server(style="offset", size=SIZE, latency_ms=20) as base_url:
        for _ in range(ROUNDS):
            for kind in FORMATS:
                rate, grown = await measure(base_url, kind)
                table.add(kind, rate)
                growth[kind] = max(grown, growth.get(kind, grown))
    table.show()
    for kind in FORMATS:
        goal(f"export to {kind}, rows/s", table.median(kind), at_least=5_000, digits=0)
        goal(
            f"export to {kind}, growth of memory, MiB",
            growth[kind],
            at_most=16 if kind == "parquet" else 8,
        )


if __name__ == "__main__":
    free_a_large_block()
    asyncio.run(main())
