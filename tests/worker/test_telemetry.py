"""What workers leave in OpenTelemetry, by its own in-memory exporter."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from telepath_async import UsageError
from telepath_async.otel import Telemetry
from telepath_async.sandbox import Sandbox
from telepath_async.worker import WorkerOptions, read_report, run_worker
from tests.worker.running import accounts_of, file_store, runner_of

JOBS = """
[accounts.acme.sync]
cron = "@hourly"
since = 2026-01-01
[accounts.acme.watch]
cron = "@hourly"
thresholds = {{ avg_ai_latency_ms = 1 }}
command = ["/bin/true"]
[accounts.acme.rotate]
cron = "@hourly"
journal = "{folder}/journal"
command = ["/bin/true"]
"""


def counted(reader: InMemoryMetricReader, metric: str) -> dict[tuple[Any, ...], Any]:
    """Return the points of a metric that are not 0, by account, job and outcome."""
    data = json.loads(reader.get_metrics_data().to_json())  # type: ignore[union-attr]
    (scope,) = data["resource_metrics"][0]["scope_metrics"]
    names = ("telepath.account", "telepath.job", "telepath.outcome")
    return {
        tuple(point["attributes"].get(name) for name in names): point["value"]
        for found in scope["metrics"]
        for point in found["data"]["data_points"]
        if found["name"] == metric and point["value"]
    }


async def test_every_job_counts_what_it_did_for_its_account(tmp_path: Path) -> None:
    reader = InMemoryMetricReader()
    listening = Telemetry(
        meter_provider=MeterProvider([reader]), attributes={"telepath.account": "acme"}
    )
    async with Sandbox(trunks=3, calls=250, rate_limit=1_000_000) as sandbox:
        sandbox.add_call(ai_latency_ms=500)
        with closing(file_store(tmp_path)) as store:
            accounts = accounts_of(tmp_path, sandbox, JOBS.format(folder=tmp_path))
            runner = runner_of(accounts, store, telemetry={"acme": listening})
            for key in runner.jobs:
                (status,) = await runner.statuses([key])
                await store.write(evolve(status, next_run=datetime.now(UTC)))
                assert await runner.run(key) == "success"
    assert counted(reader, "telepath.sync.rows") == {("acme", "sync", "inserted"): 251}
    assert counted(reader, "telepath.job.outcomes") == {
        ("acme", "watch", "crossed"): 1,
        ("acme", "rotate", "rotated"): 3,
        ("acme", "rotate", "applied"): 3,
    }


async def test_a_worker_with_otel_listens_to_each_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, state, stop = InMemoryMetricReader(), str(tmp_path / "state"), asyncio.Event()
    monkeypatch.setattr(
        "telepath_async.otel.Telemetry", partial(Telemetry, meter_provider=MeterProvider([reader]))
    )
    async with Sandbox(calls=250, rate_limit=1_000_000) as sandbox, asyncio.timeout(40):
        accounts = accounts_of(
            tmp_path, sandbox, '[accounts.acme.sync]\ncron = "@hourly"\nsince = 2026-01-01\n'
        )
        options = WorkerOptions(otel=True)
        working = asyncio.create_task(
            run_worker(accounts, broker=None, state=state, options=options, stop=stop)
        )
        while not Path(state).exists() or not any(
            job.status.last_success for job in await read_report(None, state)
        ):
            await asyncio.sleep(0.1)
        stop.set()
        await working
    assert counted(reader, "telepath.sync.rows") == {("acme", "sync", "inserted"): 250}


async def test_otel_without_its_library_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "telepath_async.otel")
    monkeypatch.setitem(sys.modules, "opentelemetry.context", None)
    async with Sandbox() as sandbox:
        accounts = accounts_of(tmp_path, sandbox, JOBS.format(folder=tmp_path))
        with pytest.raises(
            UsageError, match=r'needs opentelemetry.context: pip install "telepath-async\[otel\]"'
        ):
            await run_worker(
                accounts,
                broker=None,
                state=str(tmp_path / "state"),
                options=WorkerOptions(otel=True),
                stop=asyncio.Event(),
            )
