"""Test a whole worker in this process, with both brokers and without, and its refusals."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from croniter import croniter  # type: ignore[import-untyped]

from telepath_async import Secret, UsageError
from telepath_async.sandbox import Sandbox
from telepath_async.worker import (
    Accounts,
    BrokerUrl,
    JobReport,
    StateBusy,
    WorkerOptions,
    read_report,
    run_worker,
)
from telepath_async.worker.file_store import lock_file
from tests.sync.tables import stored, truth
from tests.worker.running import SYNC, accounts_of, until


async def work(
    accounts: Accounts,
    state: Path | str = "",
    *,
    broker: BrokerUrl | None = None,
    stop: asyncio.Event | None = None,
    **options: Any,
) -> None:
    """Run a worker until it is stopped."""
    stop, chosen = stop or asyncio.Event(), WorkerOptions(**options)
    await run_worker(accounts, broker=broker, state=str(state), options=chosen, stop=stop)


@asynccontextmanager
async def working(
    accounts: Accounts, state: Path, broker: BrokerUrl | None, **options: Any
) -> AsyncIterator[None]:
    stop = asyncio.Event()
    under_way = asyncio.create_task(work(accounts, state, broker=broker, stop=stop, **options))
    try:
        yield
    finally:
        stop.set()
        await under_way


async def until_reported(
    broker: BrokerUrl | None, state: Path, seen: Callable[[JobReport], object]
) -> None:
    async def is_reported() -> bool:
        with suppress(UsageError):  # the state file is not there yet
            return any(seen(job) for job in await read_report(broker, str(state)))
        return False

    await until(is_reported, 40)


async def test_a_worker_runs_its_jobs_and_its_report_says_so(
    broker: BrokerUrl | None, sandbox: Sandbox, tmp_path: Path
) -> None:
    accounts = accounts_of(tmp_path, sandbox, SYNC, host=socket.gethostname())
    state = tmp_path / "state"
    async with working(accounts, state, broker, web=None if broker is None else 0):
        await until_reported(broker, state, lambda job: job.status.last_success)
    (job,) = await read_report(broker, str(state))
    assert (job.state, job.status.rows) == ("waiting", 300)
    assert await stored(f"sqlite:///{tmp_path}/calls.db") == truth(sandbox)


async def test_a_worker_that_is_stopped_before_it_has_begun_ends(
    broker: BrokerUrl | None, sandbox: Sandbox, tmp_path: Path
) -> None:
    stop = asyncio.Event()
    stop.set()
    async with asyncio.timeout(30):
        accounts = accounts_of(tmp_path, sandbox, SYNC)
        await work(accounts, tmp_path / "state", broker=broker, stop=stop)


async def test_what_is_bound_to_another_host_is_left_to_it_and_stands_in_the_status(
    broker: BrokerUrl | None, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts, state = accounts_of(tmp_path, sandbox, SYNC, host="elsewhere"), tmp_path / "state"
    for _ in range(2):
        async with working(accounts, state, broker):
            await until_reported(broker, state, lambda job: job.status.host == "elsewhere")
    (job,) = await read_report(broker, str(state))
    assert (job.status.last_success, job.state) == (None, "waiting")
    later = job.status.next_run + timedelta(minutes=2)
    monkeypatch.setattr("telepath_async.worker.service.utc_now", lambda: later)
    assert [job.state for job in await read_report(broker, str(state))] == ["overdue"]
    assert not sandbox.requests


async def test_a_changed_schedule_stands_in_the_status_at_once(
    broker: BrokerUrl | None, sandbox: Sandbox, tmp_path: Path
) -> None:
    state, here = tmp_path / "state", socket.gethostname()
    due = croniter("@yearly", datetime.now(UTC)).get_next(datetime)
    async with working(accounts_of(tmp_path, sandbox, SYNC, host=here), state, broker):
        await until_reported(broker, state, lambda job: job.status.last_success)
    yearly = accounts_of(tmp_path, sandbox, SYNC.replace("@hourly", "@yearly"), host=here)
    async with working(yearly, state, broker):
        await until_reported(broker, state, lambda job: job.status.next_run == due)


async def test_commands_that_cannot_be_started_here_are_refused_all_at_once(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    jobs = f"""
        [accounts.acme.watch]
        cron = "@hourly"
        thresholds = {{ success_rate = 95 }}
        command = ["no-such-pager"]
        [accounts.acme.rotate]
        cron = "@daily"
        journal = "{tmp_path}/journal"
        command = ["/nowhere/tell-carrier"]
    """
    here = accounts_of(tmp_path, sandbox, jobs)
    with pytest.raises(UsageError) as refused:
        await work(here, tmp_path / "state")
    assert str(refused.value).splitlines() == [
        "accounts.acme.watch.command: no-such-pager cannot be started: "
        "it is in no directory of PATH",
        "accounts.acme.rotate.command: /nowhere/tell-carrier cannot be started: "
        "there is no such file",
    ]
    assert sandbox.requests == []


async def test_a_state_file_in_use_is_refused(sandbox: Sandbox, tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    lock = lock_file(state)
    with pytest.raises(StateBusy, match="another worker runs on"):
        await work(accounts_of(tmp_path, sandbox, SYNC), state)
    lock.close()


async def test_what_runs_without_a_broker_is_reported_as_running(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.fail_next(delay=60.0)
    state = tmp_path / "state"
    async with working(accounts_of(tmp_path, sandbox, SYNC), state, None):
        await until(lambda: sandbox.requests)
        assert [job.state for job in await read_report(None, str(state))] == ["running"]
    assert [job.state for job in await read_report(None, str(state))] == ["waiting"]


async def test_a_share_too_small_for_any_process_is_refused(
    postgres_broker_url: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    accounts = accounts_of(tmp_path, sandbox, SYNC)
    broker = BrokerUrl(postgres=Secret(postgres_broker_url))
    with pytest.raises(UsageError, match="is too small for 10000000 processes"):
        await work(accounts, broker=broker, expected_processes=10_000_000)


async def test_what_no_shared_limiter_can_be_made_of_is_refused_before_a_job_is_run(
    redis_url: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    accounts, broker = accounts_of(tmp_path, sandbox, SYNC), BrokerUrl(redis=Secret(redis_url))
    with pytest.raises(UsageError, match="the URL of Redis is not usable"):
        await work(accounts, broker=broker, limiter_redis=Secret("http://127.0.0.1"))
    small = evolve(accounts, accounts=tuple(evolve(one, limit=6) for one in accounts.accounts))
    with pytest.raises(UsageError, match="limit is 6; 4 processes need at least 8"):
        await work(small, broker=broker)


async def test_a_dispatcher_that_fails_ends_the_worker(
    redis_url: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    async def fails(self: object) -> None:
        await asyncio.sleep(0.5)
        raise RuntimeError("a bug")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("telepath_async.worker.dispatch.Dispatcher.serve", fails)
        with pytest.raises(RuntimeError, match="a bug"):
            await work(
                accounts_of(tmp_path, sandbox, SYNC), broker=BrokerUrl(redis=Secret(redis_url))
            )


async def test_an_account_that_is_removed_from_the_file_leaves_the_status(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    state, stop = tmp_path / "state", asyncio.Event()
    accounts = accounts_of(tmp_path, sandbox, SYNC.replace("acme", "old"), name="old")
    async with working(accounts, state, None):
        await until_reported(None, state, lambda job: job.status.last_success)
    stop.set()
    await work(accounts_of(tmp_path, sandbox, SYNC), state, stop=stop)  # it ends at once
    assert "old" not in [job.status.account for job in await read_report(None, str(state))]
