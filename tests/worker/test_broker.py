"""A fleet on both brokers: one delivery of each job at a time, whatever becomes of its worker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from saq import Job as QueuedJob
from saq import Status
from saq import Worker as SaqWorker

from telepath_async import Secret, UsageError
from telepath_async.protocol.redaction import Redactor
from telepath_async.sandbox import Sandbox
from telepath_async.sync.database import account_lock, make_engine
from telepath_async.worker import (
    BrokerUnreachable,
    WorkerOptions,
    broker,
    dispatch,
    outage,
    run_worker,
)
from telepath_async.worker.broker import Broker, Worker
from telepath_async.worker.log import LogEvent
from telepath_async.worker.outage import Outage
from telepath_async.worker.runner import Runner
from telepath_async.worker.service import BrokerUrl
from telepath_async.worker.stores import WaitingStore
from tests.sync.tables import stored, truth
from tests.worker.conftest import broker_at
from tests.worker.proxy import proxied
from tests.worker.running import OFTEN, WATCH, accounts_of, jobs_running, runner_of, serving, until


@pytest.fixture(autouse=True)
def scaled_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "SECONDS_BETWEEN_BEATS", 0.1)
    monkeypatch.setattr(broker, "HEARTBEAT_SECONDS", 1)
    monkeypatch.setattr(broker, "SWEEP_SECONDS", 1)
    monkeypatch.setattr(broker, "SECONDS_TO_ANSWER_A_SWEEP", 0.2)
    monkeypatch.setattr(broker, "SECONDS_TO_WAIT_FOR_A_JOB", 0.5)
    monkeypatch.setattr(dispatch, "SECONDS_TO_LOOK_AGAIN", 0.3)


@pytest.fixture
async def connected(url: BrokerUrl) -> AsyncIterator[Broker]:
    async with url.connect(4) as connected:
        yield connected


@pytest.fixture
def watching(connected: Broker, sandbox: Sandbox, tmp_path: Path) -> Runner:
    """A runner of one job, which asks for the overview once."""
    return runner_of(accounts_of(tmp_path, sandbox, WATCH), connected.store)


@asynccontextmanager
async def served(
    connected: Broker, runner: Runner, around: Outage | None = None
) -> AsyncIterator[Worker]:
    """Run a worker, and stop it in the end."""
    worker = Worker(connected, runner, around or outage_of(connected), 2)
    async with serving(worker):
        yield worker


def outage_of(connected: Broker) -> Outage:
    return Outage(errors=connected.connection_errors, redactor=Redactor(), worker="here:1")


async def watch_job(connected: Broker) -> QueuedJob:
    job = await (await connected.queue(None)).job("telepath:acme:watch")
    assert job is not None
    return job


async def watch_taken(connected: Broker, runner: Runner) -> QueuedJob:
    """Have a worker take the job, of which nobody ever hears again."""
    await submit_watch(connected, runner)
    job = await (await connected.queue(None)).dequeue(5)
    assert job is not None
    job.started = job.touched = int(time.time() * 1000)
    return job


async def submit_watch(connected: Broker, runner: Runner) -> None:
    (status,) = await runner.statuses(["acme:watch"])
    await connected.submit(runner.jobs["acme:watch"], status, 10)


async def states(connected: Broker) -> dict[str, str]:
    return await connected.under_way(await connected.store.read_all())


async def succeeded(connected: Broker) -> None:
    """Wait until the first job has succeeded."""

    async def has() -> bool:
        return (await connected.store.read_all())[0].last_success is not None

    await until(has, 30)


def overviews(sandbox: Sandbox) -> int:
    return sum(request.path.endswith("/overview") for request in sandbox.requests)


async def test_a_sync_with_partitions_runs_to_its_end_and_on(
    connected: Broker, sandbox: Sandbox, tmp_path: Path
) -> None:
    table = f"sqlite:///{tmp_path}/calls.db"

    async def goes_on() -> bool:
        (status,) = await connected.store.read_all()
        return status.part is None and len(await stored(table)) > 300

    runner = runner_of(accounts_of(tmp_path, sandbox, OFTEN), connected.store)
    async with served(connected, runner) as worker:
        assert worker.hosts == [None]
        await until(lambda: sum("from" in dict(item.query) for item in sandbox.requests) > 5)
        sandbox.add_call()
        await until(goes_on)
    assert await stored(table) == truth(sandbox)
    (status,) = await connected.store.read_all()
    assert status.part is None
    assert status.last_success is not None


async def test_a_sync_that_finds_another_one_at_work_is_delivered_again_later(
    connected: Broker, sandbox: Sandbox, tmp_path: Path
) -> None:
    async def was_busy() -> bool:
        job = await (await connected.queue(None)).job("telepath:acme:sync")
        return job is not None and (job.result or {}).get("outcome") == "busy"

    accounts = accounts_of(tmp_path, sandbox, '[accounts.acme.sync]\ncron = "@hourly"\n')
    engine = make_engine(f"sqlite:///{tmp_path}/calls.db")
    async with AsyncExitStack() as another:
        connection = await another.enter_async_context(engine.connect())
        await another.enter_async_context(account_lock(connection, accounts.accounts[0].name))
        async with served(connected, runner_of(accounts, connected.store)):
            await until(was_busy)
            await another.aclose()
            await succeeded(connected)
    await engine.dispose()


async def test_what_is_bound_to_a_host_goes_into_its_queue(
    connected: Broker, sandbox: Sandbox, tmp_path: Path
) -> None:
    accounts = accounts_of(tmp_path, sandbox, OFTEN + WATCH, host="voice-1")
    runner = runner_of(accounts, connected.store)
    jobs = runner.jobs.values()
    for job, status in zip(jobs, await runner.statuses(list(runner.jobs)), strict=True):
        await connected.submit(job, status, 10)
        await connected.submit(job, status, 10)
    assert await (await connected.queue("voice-1")).count("queued") == 1
    assert await (await connected.queue(None)).count("queued") == 1
    assert Worker(connected, runner, outage_of(connected), 1).hosts == [None, "voice-1"]
    assert await states(connected) == {"acme:sync": "queued", "acme:watch": "queued"}


async def test_a_job_that_fails_is_failed_at_the_broker_and_not_repeated_by_it(
    connected: Broker, watching: Runner, sandbox: Sandbox
) -> None:
    async def has_failed() -> bool:
        return (await watch_job(connected)).status == Status.FAILED

    sandbox.fail_next(status=401, times=10)
    async with served(connected, watching):
        await until(lambda: sandbox.requests)
        await until(has_failed)
        await asyncio.sleep(0.7)
    error = (await watch_job(connected)).error
    assert error is not None
    assert "JobFailed: AuthenticationError: 401" in error
    assert overviews(sandbox) == 1


async def test_a_stopped_worker_gives_its_job_back_and_another_one_takes_it(
    connected: Broker, watching: Runner, sandbox: Sandbox
) -> None:
    async def is_done() -> bool:
        return not await states(connected)

    sandbox.fail_next(delay=60.0)
    async with served(connected, watching):
        await until(lambda: sandbox.requests)
        assert await states(connected) == {"acme:watch": "running"}
    assert await states(connected) == {"acme:watch": "queued"}
    async with served(connected, watching):
        await succeeded(connected)
        await until(is_done)


async def test_a_long_job_keeps_its_heartbeat_and_tells_its_rows(
    connected: Broker, watching: Runner, sandbox: Sandbox
) -> None:
    sandbox.fail_next(delay=2.5)
    async with served(connected, watching):
        await until(lambda: sandbox.requests)
        await asyncio.sleep(2.0)
        job = await watch_job(connected)
        assert job.status == Status.ACTIVE
        assert time.time() - job.touched / 1000 < 1.0
        assert job.meta == {"rows": 0}
        await succeeded(connected)
    assert (await watch_job(connected)).attempts == 1


async def test_a_worker_lets_go_of_a_job_that_another_one_has_taken(
    connected: Broker, watching: Runner, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def is_let_go() -> bool:
        job = await watch_job(connected)  # once more, after a beat in between
        job.worker_id = "another"
        await job.update()
        await asyncio.sleep(0.3)
        return not jobs_running(watching)

    monkeypatch.setattr(broker, "HEARTBEAT_SECONDS", 60)  # nothing is swept
    sandbox.fail_next(delay=60.0)
    async with served(connected, watching):
        await until(lambda: sandbox.requests)
        await until(is_let_go)
        taken = await watch_job(connected)
        assert (taken.status, taken.worker_id) == (Status.ACTIVE, "another")
    assert (await connected.store.read_all())[0].last_success is None


@pytest.mark.parametrize("ahead", [None, "started", "touched"])
async def test_a_vanished_worker_holds_its_job_no_longer_though_its_clock_was_ahead(
    connected: Broker, watching: Runner, ahead: str | None
) -> None:
    job = await watch_taken(connected, watching)
    if ahead is not None:
        setattr(job, ahead, int((time.time() + 400 * 86_400) * 1000))
    await job.update(status=Status.ACTIVE, touched=job.touched)
    async with served(connected, watching):
        await succeeded(connected)


@pytest.mark.parametrize("ended", [False, True])
async def test_a_job_that_a_clock_ahead_has_queued_is_delivered(
    postgres_broker_url: str, sandbox: Sandbox, tmp_path: Path, ended: bool
) -> None:
    async with BrokerUrl(postgres=Secret(postgres_broker_url)).connect(4) as connected:
        runner = runner_of(accounts_of(tmp_path, sandbox, WATCH), connected.store)
        await submit_watch(connected, runner)
        job = await watch_job(connected)
        job.scheduled = int(time.time()) + 400 * 86_400
        await job.update(status=Status.COMPLETE if ended else Status.QUEUED)
        async with served(connected, runner):
            await succeeded(connected)


async def test_another_fleet_in_the_same_database_holds_nothing_up(
    postgres_broker_url: str, postgres_server: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    other = await asyncpg.connect(postgres_server)
    await other.execute(
        "SELECT pg_try_advisory_lock(0, 0), pg_try_advisory_lock(0, hashtext('telepath'))"
    )  # as SAQ's own does
    async with BrokerUrl(postgres=Secret(postgres_broker_url)).connect(4) as connected:
        runner = runner_of(accounts_of(tmp_path, sandbox, WATCH), connected.store)
        async with served(connected, runner):
            await until(lambda: sandbox.requests)
    await other.close()


@pytest.mark.long
async def test_a_run_outlives_an_outage_of_the_broker_and_its_end_is_written_down(
    broker_arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(outage, "_SECONDS_BETWEEN_TRIES", 0.05)
    monkeypatch.setattr(broker, "HEARTBEAT_SECONDS", 60)
    caplog.set_level("INFO", "telepath_async.worker")
    option, broker_url = broker_arguments
    async with (
        Sandbox(latency=1.0) as sandbox,
        proxied(broker_url) as (url, proxy),
        broker_at(option, url).connect(4) as connected,
        broker_at(option, broker_url).connect() as direct,
    ):
        around = outage_of(connected)
        accounts = accounts_of(tmp_path, sandbox, WATCH)
        runner = runner_of(accounts, WaitingStore(connected.store, around))
        async with served(connected, runner, around):
            await until(lambda: sandbox.requests)
            proxy.cut()
            await until(lambda: around.error)
            await until(lambda: not jobs_running(runner))
            proxy.down = False
            await until(lambda: not around.error)
            await succeeded(direct)
        assert overviews(sandbox) == 1
    events = [record.msg.event for record in caplog.records if isinstance(record.msg, LogEvent)]
    outages = [event for event in events if event.startswith("outage")]
    assert outages  # one, and one more for a connection that was found to be dead later on
    assert outages == ["outage", "outage over"] * (len(outages) // 2)


async def test_jobs_that_cannot_be_given_back_in_time_are_left_to_others(
    connected: Broker,
    watching: Runner,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    stop_worker = SaqWorker.stop

    async def hangs(worker: SaqWorker[Any]) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await stop_worker(worker)

    monkeypatch.setattr(broker, "_SECONDS_TO_STOP", 0.1)
    monkeypatch.setattr(SaqWorker, "stop", hangs)
    async with served(connected, watching):
        await until(lambda: sandbox.requests)
    assert "not all jobs could be given back" in caplog.text


@pytest.mark.long
async def test_a_broker_that_does_not_answer_keeps_no_worker_from_its_end(
    broker_arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(broker, "_SECONDS_TO_STOP", 0.5)
    monkeypatch.setattr(broker, "_SECONDS_TO_LEAVE", 0.2)
    option, broker_url = broker_arguments
    stop, tasks = asyncio.Event(), asyncio.all_tasks()
    async with Sandbox(latency=30.0) as sandbox, proxied(broker_url) as (url, proxy):
        accounts = accounts_of(tmp_path, sandbox, WATCH)
        serving = asyncio.create_task(
            run_worker(
                accounts,
                broker=broker_at(option, url),
                state="",
                options=WorkerOptions(concurrency=2),
                stop=stop,
            )
        )
        await until(lambda: sandbox.requests)
        proxy.silent = True
        stop.set()
        async with asyncio.timeout(5):
            await serving
        left = [task for task in asyncio.all_tasks() - tasks if task.get_name() == "process"]
        for task in left:  # as asyncio.run does, which prints what they then raise
            task.cancel()
        raised = await asyncio.gather(*left, return_exceptions=True)
    assert not [error for error in raised if isinstance(error, Exception)]
    assert "not all jobs could be given back" in caplog.text


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"redis": "http://127.0.0.1"}, "redis must be a URL such as"),
        ({"postgres": "postgresql://127.0.0.1/x?nonsense=1"}, "postgres must be a URL such as"),
        ({"postgres": "host=127.0.0.1"}, "postgres must be a URL such as"),
        ({}, "a fleet has one broker"),
        ({"postgres": "postgresql://h/d", "redis": "redis://h"}, "a fleet has one broker"),
    ],
)
async def test_a_url_that_no_broker_has_is_refused(options: dict[str, str], fault: str) -> None:
    with pytest.raises(UsageError, match=fault):
        async with BrokerUrl(**{name: Secret(value) for name, value in options.items()}).connect():
            pass


@pytest.mark.parametrize(
    "options",
    [
        {"redis": "redis://:hidden@127.0.0.1:1/0"},
        {"postgres": "postgresql://u:hidden@127.0.0.1:1/d"},
    ],
)
async def test_a_broker_that_does_not_answer_is_told_without_its_password(
    options: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("telepath_async.worker.brokers._SECONDS_TO_CONNECT", 0.5)
    with pytest.raises(BrokerUnreachable, match="the broker cannot be reached") as failed:
        async with BrokerUrl(**{name: Secret(value) for name, value in options.items()}).connect():
            pass
    assert "hidden" not in str(failed.value)
