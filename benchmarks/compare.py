"""Measure contenders in turn, print a table of medians and ratios, and check the goals."""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

QUICK = "--quick" in sys.argv
HERE = Path(__file__).parent


@contextmanager
def server(*, style: str = "offset", size: int = 10_000, latency_ms: float = 0.0) -> Iterator[str]:
    """Run the benchmark server in a process of its own, and give its base URL."""
    command = [
        sys.executable,
        str(HERE / "server.py"),
        "--style",
        style,
        "--size",
        str(size),
        "--latency-ms",
        str(latency_ms),
    ]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield process.stdout.readline().strip()
        process.stdin.close()


def free_a_large_block() -> None:
    """Make glibc keep memory between answers.

    Without it, asyncio's 256 KiB buffer is mapped and unmapped for every small answer.
    """
    bytes(1 << 20)


async def cpu_us(work: Callable[[], Awaitable[object]], times: int, concurrency: int) -> float:
    """Return the CPU microseconds of one of `times` runs, `concurrency` at a time."""

    each = max(1, times // concurrency)

    async def worker() -> None:
        for _ in range(each):
            await work()

    begun = time.process_time()
    await asyncio.gather(*(worker() for _ in range(concurrency)))
    return (time.process_time() - begun) / (each * concurrency) * 1e6


class Table:
    """Collect one measurement: each contender's figures, one a round.

    The first contender is the measure of the others.
    """

    def __init__(self, title: str, unit: str) -> None:
        self.title = title
        self.unit = unit
        self.figures: dict[str, list[float]] = {}

    def add(self, contender: str, figure: float) -> None:
        self.figures.setdefault(contender, []).append(figure)

    def median(self, contender: str) -> float:
        return statistics.median(self.figures[contender])

    def ratio(self, contender: str, to: str) -> float:
        """Return the median of the ratios round by round: the drift of the machine cancels out."""
        pairs = zip(self.figures[contender], self.figures[to], strict=True)
        return statistics.median(ours / theirs for ours, theirs in pairs)

    def show(self) -> None:
        measure = next(iter(self.figures))
        print(f"\n{self.title} ({self.unit})")
        print(f"  {'':44}{'median':>10}{'min':>10}{'max':>10}{'ratio':>8}")
        for contender, figures in self.figures.items():
            median, low, high = statistics.median(figures), min(figures), max(figures)
            ratio = self.ratio(contender, measure)
            print(f"  {contender:44}{median:10.2f}{low:10.2f}{high:10.2f}{ratio:8.2f}")


def goal(
    what: str,
    figure: float,
    *,
    at_most: float | None = None,
    at_least: float | None = None,
    digits: int = 2,
) -> None:
    """Print a goal and its figure, and keep it for RESULTS.md.

    The file is the one that TELEPATH_BENCH_RESULTS names, if any.
    """
    bound, sign = (at_most, "≤") if at_most is not None else (at_least, "≥")
    assert bound is not None
    met = figure <= bound if at_most is not None else figure >= bound
    missed_by = abs(figure - bound)
    verdict = "met" if met else f"missed by {missed_by:.{digits}f}"
    print(f"  goal: {what}: {figure:.{digits}f} ({sign} {bound:g}): {verdict}")
    if path := os.environ.get("TELEPATH_BENCH_RESULTS"):
        row = {
            "what": what,
            "figure": round(figure, digits),
            "goal": f"{sign} {bound:g}",
            "verdict": verdict,
        }
        with Path(path).open("a") as results:
            results.write(json.dumps(row, ensure_ascii=False) + "\n")
