"""The main job, to watch: `python -m telepath_async.demo` (extra `[demo]`).

Against two embedded sandboxes over real sockets, one in each paging style: create trunks
concurrently while faults are injected, walk a long call history and bring it into SQL, rotate a
password, read the overview, and show how near to the rate limit it all ran.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import tempfile
import time
from collections import Counter, defaultdict
from contextlib import AsyncExitStack, closing
from pathlib import Path
from statistics import fmean

from attrs import define, field

from telepath_async import Event, RetryScheduled, TelepathClient, TrunkSpec
from telepath_async.sandbox import Sandbox

try:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskID,
        TextColumn,
        TimeElapsedColumn,
    )
    from rich.table import Table

    from telepath_async.sync import SyncProgress, sync_calls
except ModuleNotFoundError as error:
    message = f'telepath_async.demo needs {error.name}: pip install "telepath-async[demo]"'
    raise ModuleNotFoundError(message, name=error.name) from error

TRUNKS = 200
CALLS = 5_000
LIMIT = 6_000
SLOWEST_TRUNK = """
    SELECT trunk_id, avg(ai_latency_ms) FROM telepath_calls
    GROUP BY trunk_id ORDER BY avg(ai_latency_ms) DESC, trunk_id LIMIT 1
"""


@define
class Meter:
    """Counts the events of the client."""

    counts: Counter[str] = field(factory=Counter)

    def __call__(self, event: Event) -> None:
        self.counts[type(event).__name__] += 1
        if isinstance(event, RetryScheduled):
            self.counts[f"retry after {event.reason}"] += 1


@define
class Step:
    """A line of the table at the end; `good`: whether it is what it must be."""

    what: str
    result: str
    seconds: float
    good: bool


async def main(console: Console) -> bool:
    """Run the demo and print its table. Return whether all went as it must."""
    steps: list[Step] = []
    meter = Meter()
    began = time.monotonic()
    async with AsyncExitStack() as stack:
        offset = await stack.enter_async_context(
            Sandbox(style="offset", trunks=0, calls=CALLS, rate_limit=LIMIT)
        )
        cursor = await stack.enter_async_context(
            Sandbox(style="cursor", calls=CALLS, rate_limit=LIMIT)
        )
        telepath = await stack.enter_async_context(
            TelepathClient(offset.api_key, base_url=offset.base_url, on_event=meter)
        )
        other = await stack.enter_async_context(
            TelepathClient(cursor.api_key, base_url=cursor.base_url)
        )
        bars = stack.enter_context(
            Progress(
                TextColumn("{task.description:<34}"),
                BarColumn(bar_width=28),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                console=console,
            )
        )
        steps.append(await create(telepath, offset, bars))
        steps.append(await list_trunks(telepath))
        steps.append(await walk(telepath, bars, "offset"))
        steps.append(await walk(other, bars, "cursor"))
        steps.append(await sync(other, cursor, bars))
        steps.append(await rotate(telepath, offset))
        steps.append(await overview(telepath))
        elapsed = time.monotonic() - began
        throttled = offset.throttled + cursor.throttled
    console.print(table(steps))
    console.print(limiter_line(meter, elapsed, throttled))
    console.print("As charts, with calls that keep coming: telepath dashboard --sandbox")
    return all(step.good for step in steps)


async def create(telepath: TelepathClient, sandbox: Sandbox, bars: Progress) -> Step:
    """Create trunks concurrently while the server misbehaves three times.

    Each fault is recovered from by its own rule.
    """
    sandbox.fail_next(status=429, headers={"Retry-After": "1"}, method="POST", path="/trunks")
    sandbox.fail_next(status=500, executed=True, method="POST", path="/trunks")
    sandbox.fail_next(drop="after", method="POST", path="/trunks")
    specs = [
        TrunkSpec.openai(
            f"Customer {n:03}",
            sip_username=f"customer-{n:03}",
            sip_password=f"s3cur3-P@ss-{n:03}",
            api_key="sk-demo",
        )
        for n in range(TRUNKS)
    ]
    bar = bars.add_task(f"create {TRUNKS} trunks, 3 faults", total=TRUNKS)
    states: Counter[str] = Counter()
    began = time.monotonic()
    async for outcome in telepath.trunks.create_many(specs, concurrency=50):
        states[outcome.state] += 1
        bars.advance(bar)
    summary = ", ".join(f"{count} {state}" for state, count in states.items())
    return Step(
        "trunks.create_many()",
        f"{summary}, {len(sandbox.trunks)} exist: a 429 was waited out, a 500 and a lost "
        "answer were looked up",
        time.monotonic() - began,
        good=states == {"created": TRUNKS} and len(sandbox.trunks) == TRUNKS,
    )


async def list_trunks(telepath: TelepathClient) -> Step:
    """Walk the list of trunks."""
    began = time.monotonic()
    active = len([trunk async for trunk in telepath.trunks.list(status="active")])
    return Step(
        'trunks.list(status="active")',
        f"{active} trunks",
        time.monotonic() - began,
        good=active == TRUNKS,
    )


async def walk(telepath: TelepathClient, bars: Progress, style: str) -> Step:
    """Walk the call history; this code does not know the style."""
    bar: TaskID = bars.add_task(f"walk {CALLS:,} calls ({style} paging)", total=CALLS)
    began = time.monotonic()
    calls = telepath.calls.list(prefetch=4)
    slow = 0
    async for page in calls.pages():
        slow += sum(
            1 for call in page.items if call.ai_latency_ms is not None and call.ai_latency_ms > 400
        )
        bars.advance(bar, len(page.items))
    done = int(bars.tasks[bar].completed)
    return Step(
        f"calls.list(), {style} paging",
        f"{done:,} calls, {slow} of them above 400 ms, {calls.drift.uncertain} uncertain",
        time.monotonic() - began,
        good=done == CALLS and not calls.drift.uncertain,
    )


async def sync(telepath: TelepathClient, sandbox: Sandbox, bars: Progress) -> Step:
    """Bring the call history into SQLite, and compare an answer of the table with the server's."""
    bar = bars.add_task(f"sync {CALLS:,} calls into SQLite", total=CALLS)

    def show(progress: SyncProgress) -> None:
        bars.update(bar, completed=progress.rows)

    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "calls.db")
        report = await sync_calls(telepath, f"sqlite:///{file}", on_progress=show)
        with closing(sqlite3.connect(file)) as database:
            (rows,) = database.execute("SELECT count(*) FROM telepath_calls").fetchone()
            trunk_id, latency = database.execute(SLOWEST_TRUNK).fetchone()
    summary = (
        f"{report.inserted:,} inserted, {rows:,} rows; slowest by SQL: {trunk_id}, {latency:.0f} ms"
    )
    good = (
        report.inserted == rows == CALLS
        and not report.uncertain
        and round(latency, 6) == round(slowest(sandbox), 6)
    )
    return Step("sync_calls(), SQLite", summary, time.monotonic() - began, good)


def slowest(sandbox: Sandbox) -> float:
    """Return the highest average AI latency of a trunk, as the server knows it."""
    latencies: defaultdict[str, list[float]] = defaultdict(list)
    for call in sandbox.calls.values():
        if call["ai_latency_ms"] is not None:
            latencies[call["trunk_id"]].append(call["ai_latency_ms"])
    return max(map(fmean, latencies.values()))


async def rotate(telepath: TelepathClient, sandbox: Sandbox) -> Step:
    """Rotate a SIP password, and log in with the old one and the new one."""
    began = time.monotonic()
    trunk = await telepath.trunks.find("customer-007")
    assert trunk is not None
    old = sandbox.sip_password(trunk.id)
    credentials = await telepath.trunks.rotate_sip_password(trunk.id)
    new_works = sandbox.sip_login("customer-007", credentials.sip_password.reveal())
    old_works = sandbox.sip_login("customer-007", old)
    summary = (
        f"new one {'works' if new_works else 'fails'}, old one "
        f"{'still works' if old_works else 'is dead'}"
    )
    return Step(
        "trunks.rotate_sip_password()",
        summary,
        time.monotonic() - began,
        good=new_works and not old_works,
    )


async def overview(telepath: TelepathClient) -> Step:
    """Read the aggregated figures."""
    began = time.monotonic()
    figures = await telepath.analytics.overview()
    latencies = (
        f"AI latency {figures.avg_ai_latency_ms} ms, carrier lag {figures.avg_carrier_lag_ms} ms"
    )
    summary = f"{figures.success_rate} % success, {latencies}"
    return Step(
        "analytics.overview()", summary, time.monotonic() - began, good=figures.total_calls == CALLS
    )


def table(steps: list[Step]) -> Table:
    """Return what was done, and how long it took."""
    result = Table(title="telepath_async against its sandbox", title_justify="left")
    result.add_column("what")
    result.add_column("result")
    result.add_column("seconds", justify="right")
    for step in steps:
        result.add_row(step.what, step.result, f"{step.seconds:.2f}")
    result.add_section()
    result.add_row("all", "", f"{sum(step.seconds for step in steps):.2f}")
    return result


def limiter_line(meter: Meter, elapsed: float, throttled: int) -> str:
    """Show how near to the limit the first key ran."""
    sent = meter.counts["RequestStarted"]
    burst = LIMIT // 100
    allowed = burst + (LIMIT - burst) / 60 * elapsed
    retries = [
        f"{count} {name}"
        for name, count in sorted(meter.counts.items())
        if name.startswith("retry after")
    ]
    return (
        f"Limit of the first key: {LIMIT:,} a minute. Sent: {sent} requests in {elapsed:.1f} s, "
        f"{sent / allowed:.0%} of what it lets through in that time (a burst of {burst}, then "
        f"{(LIMIT - burst) / 60:.0f}/s); {meter.counts['Throttled']} of them waited for their "
        f"turn. Refused for the limit: {throttled}. Retries: {', '.join(retries) or 'none'}."
    )


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(main(Console())) else 1)
