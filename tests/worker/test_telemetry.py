"""What workers leave in OpenTelemetry, by its own in-memory exporter."""

from __future__ import annotations

import asyncio
import json
import sys
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
from telepath_async.worker.file_store import FileStore
from tests.worker.running import SYNC, RunnerOn, accounts_of, until

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


async def test_every_job_counts_what_it_did_for_its_account(
    runner_on: RunnerOn, sandbox: Sandbox, store: FileStore, tmp_path: Path
) -> None:
    reader = InMemoryMetricReader()
    listening = Telemetry(
        meter_provider=MeterProvider([reader]), attributes={"telepath.account": "acme"}
    )
    sandbox.add_call(ai_latency_ms=500)
    runner = runner_on(JOBS.format(folder=tmp_path), telemetry={"acme": listening})
    for key in runner.jobs:
        (status,) = await runner.statuses([key])
        await store.write(evolve(status, next_run=datetime.now(UTC)))
        assert await runner.run(key) == "success"
    assert counted(reader, "telepath.sync.rows") == {("acme", "sync", "inserted"): 301}
    assert counted(reader, "telepath.job.outcomes") == {
        ("acme", "watch", "crossed"): 1,
        ("acme", "rotate", "rotated"): 3,
        ("acme", "rotate", "applied"): 3,
    }


async def test_a_worker_with_otel_listens_to_each_account(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, state, stop = InMemoryMetricReader(), str(tmp_path / "state"), asyncio.Event()
    provider = MeterProvider([reader])
    monkeypatch.setattr(
        "telepath_async.otel.Telemetry", partial(Telemetry, meter_provider=provider)
    )

    async def has_succeeded() -> bool:
        return Path(state).exists() and any(
            job.status.last_success for job in await read_report(None, state)
        )

    accounts, options = accounts_of(tmp_path, sandbox, SYNC), WorkerOptions(otel=True)
    working = asyncio.create_task(
        run_worker(accounts, broker=None, state=state, options=options, stop=stop)
    )
    await until(has_succeeded, 40)
    stop.set()
    await working
    assert counted(reader, "telepath.sync.rows") == {("acme", "sync", "inserted"): 300}


async def test_otel_without_its_library_is_refused(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "telepath_async.otel")
    monkeypatch.setitem(sys.modules, "opentelemetry.context", None)
    accounts, options = accounts_of(tmp_path, sandbox, SYNC), WorkerOptions(otel=True)
    advice = r'needs opentelemetry.context: pip install "telepath-async\[otel\]"'
    with pytest.raises(UsageError, match=advice):
        await run_worker(
            accounts, broker=None, state=str(tmp_path / "state"), options=options,
            stop=asyncio.Event(),
        )  # fmt: skip
