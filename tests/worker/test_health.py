"""`/healthz` and `/metrics`: what a supervisor and Prometheus see of a worker."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from attrs import evolve
from prometheus_client.parser import text_string_to_metric_families

from telepath_async import UsageError
from telepath_async.protocol.redaction import Redactor
from telepath_async.sandbox import Sandbox
from telepath_async.worker import BrokerUrl, HealthOptions, WorkerOptions, run_worker
from telepath_async.worker import health as module
from telepath_async.worker.health import Health, serve_health
from telepath_async.worker.local import LocalWorker
from telepath_async.worker.log import JobFailed
from telepath_async.worker.metrics import Metrics
from telepath_async.worker.outage import Outage
from telepath_async.worker.runner import Runner
from tests.worker.conftest import broker_at
from tests.worker.proxy import proxied
from tests.worker.running import SYNC, WATCH, RunnerOn, accounts_of, serving, until


def health_of(runner: Runner) -> Health:
    """The health of a worker that does not run."""
    outage = Outage(errors=(ConnectionError,), redactor=Redactor(), worker="here:1")
    options = HealthOptions(port=0, late_after_minutes=2)
    worker = LocalWorker(runner, 1)
    return Health(worker=worker, store=runner.store, outage=outage, options=options)


@pytest.fixture
def health(runner_on: RunnerOn) -> Health:
    return health_of(runner_on(SYNC + WATCH))


async def due_since(health: Health, minutes: float, key: str = "acme:sync") -> None:
    dispatcher = health.worker.dispatcher
    (status,) = await dispatcher.runner.statuses([key])
    next_run = datetime.now(UTC) - timedelta(minutes=minutes)
    dispatcher.due[key] = evolve(status, next_run=next_run)


async def test_a_worker_that_turns_and_whose_store_answers_is_well(health: Health) -> None:
    assert await health.faults() == []
    await due_since(health, 1.9)
    assert await health.faults() == []


async def test_a_worker_without_jobs_is_well(health: Health) -> None:
    health.worker.dispatcher.runner.jobs = {}
    assert await health.faults() == []


async def test_a_job_that_waits_for_too_long_is_a_fault(health: Health) -> None:
    await due_since(health, 2.1)
    await due_since(health, 2.1, "acme:watch")
    assert await health.faults() == [
        "acme:sync has been due for more than 2 min",
        "acme:watch has been due for more than 2 min",
    ]


async def test_a_late_job_that_is_running_is_no_fault(health: Health, sandbox: Sandbox) -> None:
    sandbox.fail_next(delay=60.0, times=10)
    async with serving(health.worker):  # type: ignore[arg-type]
        await until(lambda: sandbox.requests)
        await due_since(health, 2.1)
        assert await health.faults() == []


async def test_a_loop_that_stands_still_is_a_fault(health: Health) -> None:
    health.worker.dispatcher.turned = time.monotonic() - 59
    assert await health.faults() == []
    health.worker.dispatcher.turned = time.monotonic() - 60.5
    assert await health.faults() == ["the loop that submits jobs stands still"]


async def test_an_outage_that_is_known_is_a_fault_and_the_store_is_not_asked(
    health: Health,
) -> None:
    health.outage.error = "ConnectionError: gone"
    unasked = evolve(health, store=None)  # type: ignore[arg-type]
    assert await unasked.faults() == ["ConnectionError: gone"]


async def test_a_store_that_fails_or_does_not_answer_is_a_fault(
    health: Health, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        async def read(self, keys: object) -> object:
            raise ConnectionError("gone")

    class Slow:
        async def read(self, keys: object) -> object:
            await asyncio.sleep(60)

    broken: Any = Broken()
    assert await evolve(health, store=broken).faults() == ["ConnectionError: gone"]
    monkeypatch.setattr(module, "_SECONDS_TO_ANSWER", 0.01)
    slow: Any = Slow()
    assert await evolve(health, store=slow).faults() == ["no answer within 0.01 s"]


async def read(url: str, **headers: str) -> tuple[int, str, Any]:
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        return answer.status, await answer.text(), answer.headers


def figures(text: str) -> dict[tuple[Any, ...], float]:
    return {
        (sample.name.removeprefix("telepath_worker_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_the_answers_are_http_s_and_prometheus_own(health: Health) -> None:
    metrics = health.worker.dispatcher.runner.metrics
    async with serve_health(health, metrics) as url:
        assert url.startswith("http://127.0.0.1:")
        status, text, headers = await read(f"{url}healthz")
        assert (status, text) == (200, '{"faults": []}')
        assert headers["X-Content-Type-Options"] == "nosniff"
        await due_since(health, 3)
        status, text, _ = await read(f"{url}healthz")
        assert status == 503
        assert "acme:sync has been due for more than 2 min" in text
        status, text, headers = await read(f"{url}metrics")
        assert headers["Content-Type"].startswith("text/plain; version=")
        found = figures(text)
        assert found["oldest_due_seconds",] == pytest.approx(180, abs=30)
        assert (found["outage",], found["jobs",], found["running",]) == (0, 2, 0)
        assert found["process_resident_memory_bytes",] > 1_000_000
        health.outage.error = "gone"
        assert figures((await read(f"{url}metrics"))[1])["outage",] == 1
        accept = "application/openmetrics-text; version=1.0.0"
        _, text, headers = await read(f"{url}metrics", Accept=accept)
        assert headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
        assert text.endswith("# EOF\n")
        assert (await read(url))[0] == 404


async def test_it_answers_at_an_ipv6_address_too(health: Health) -> None:
    of_six = evolve(health, options=HealthOptions(host="::1", port=0))
    async with serve_health(of_six, health.worker.dispatcher.runner.metrics) as url:
        assert url.startswith("http://[::1]:")
        assert (await read(f"{url}healthz"))[0] == 200


async def test_the_longest_list_of_late_jobs_is_ten(health: Health) -> None:
    await due_since(health, 3)
    due = health.worker.dispatcher.due
    due.update({str(n): evolve(due["acme:sync"], account=str(n)) for n in range(20)})
    assert len(await health.faults()) == 10


async def test_a_port_in_use_is_refused(health: Health) -> None:
    async with serve_health(health, health.worker.dispatcher.runner.metrics) as url:
        port = int(url.rstrip("/").rpartition(":")[2])
        taken = evolve(health, options=HealthOptions(port=port))
        with pytest.raises(UsageError, match=rf"port {port} of 127.0.0.1 cannot be had"):
            async with serve_health(taken, Metrics()):
                pass


async def test_runs_are_counted_by_account_job_and_outcome(
    runner_on: RunnerOn, sandbox: Sandbox
) -> None:
    runner = runner_on(SYNC + WATCH)
    assert await runner.run("acme:sync") == "success"
    sandbox.fail_next(status=401)
    with pytest.raises(JobFailed):
        await runner.run("acme:watch")
    async with serve_health(health_of(runner), runner.metrics) as url:
        found = figures((await read(f"{url}metrics"))[1])
    assert found["runs_total", "acme", "sync", "success"] == 1
    assert found["runs_total", "acme", "watch", "fault"] == 1
    assert found["rows_total", "acme", "sync"] == 300
    assert found["run_seconds_count", "sync"] == 1
    assert found["run_seconds_bucket", "sync", "3600.0"] == 1
    assert found["run_seconds_sum", "sync"] > 0
    succeeded_at = found["last_success_timestamp_seconds", "acme", "sync"]
    assert succeeded_at == pytest.approx(time.time(), abs=60)
    assert ("last_success_timestamp_seconds", "acme", "watch") not in found
    assert found["oldest_due_seconds",] == 0


@asynccontextmanager
async def working(
    accounts: Any, broker: BrokerUrl | None, state: str
) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """Run a worker with its health, and give the health's address."""
    stop, urls = asyncio.Event(), asyncio.Queue[str]()

    def announce(event: str, **values: Any) -> None:
        if event == "health":
            urls.put_nowait(values["url"])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("telepath_async.worker.service.log_event", announce)
        task = asyncio.create_task(
            run_worker(
                accounts, broker=broker, state=state,
                options=WorkerOptions(health=HealthOptions(port=0)), stop=stop,
            )
        )  # fmt: skip
        async with asyncio.timeout(60):
            yield await urls.get(), stop
            stop.set()
            await task


async def becomes(url: str, status: int) -> str:
    """Wait for a status of `/healthz`, and return its text."""
    async with asyncio.timeout(30):
        while (found := await read(f"{url}healthz"))[0] != status:
            await asyncio.sleep(0.05)
    return found[1]


async def test_a_broker_that_is_gone_is_seen_and_so_is_its_return(
    broker_arguments: list[str], sandbox: Sandbox, tmp_path: Path
) -> None:
    option, broker_url = broker_arguments
    async with proxied(broker_url) as (url, proxy):
        accounts = accounts_of(tmp_path, sandbox, WATCH)
        async with working(accounts, broker_at(option, url), "") as (health_url, _):
            await until(lambda: sandbox.requests)
            await becomes(health_url, 200)
            proxy.cut()
            assert json.loads(await becomes(health_url, 503))["faults"]
            proxy.down = False
            await becomes(health_url, 200)
