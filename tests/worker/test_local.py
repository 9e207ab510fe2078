"""Without a broker: the same jobs at their times, in one process."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from telepath_async.sandbox import Sandbox
from telepath_async.worker import dispatch
from telepath_async.worker.dispatch import Dispatcher
from telepath_async.worker.file_store import FileStore
from telepath_async.worker.local import LocalWorker
from telepath_async.worker.log import JobFailed
from telepath_async.worker.runner import Runner
from telepath_async.worker.status import JobStatus, succeeded
from tests.sync.tables import stored, truth
from tests.worker.running import OFTEN, SYNC, RunnerOn, serving, until


class Counting(Runner):
    """Counts the runs, and lets each end as told."""

    def __init__(self, runner: Runner, endings: list[object]) -> None:
        super().__init__(
            jobs=runner.jobs,
            store=runner.store,
            limiters=runner.limiters,
            commands=runner.commands,
            redactor=runner.redactor,
            worker="w",
        )
        self.endings = endings
        self.runs = 0
        self.most = 0
        self.at_once = 0

    async def run(self, key: str, part: str | None = None, on_run: object = None) -> object:  # type: ignore[override]
        self.runs += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await asyncio.sleep(0.05)
        self.at_once -= 1
        ending = self.endings[min(self.runs, len(self.endings)) - 1]
        if isinstance(ending, Exception):
            raise ending
        return ending


async def test_a_first_sync_and_those_after_it_run_until_the_worker_is_stopped(
    runner_on: RunnerOn, sandbox: Sandbox, tmp_path: Path
) -> None:
    def synced() -> bool:
        return sum("from" in dict(request.query) for request in sandbox.requests) > 8

    async def rows() -> int:
        return len(await stored(f"sqlite:///{tmp_path}/calls.db"))

    async def has_the_new_call() -> bool:
        if synced() and len(sandbox.calls) == 300:
            sandbox.add_call()
        return synced() and await rows() == 301

    async with serving(LocalWorker(runner_on(OFTEN), 2)):
        await until(has_the_new_call)
    assert await stored(f"sqlite:///{tmp_path}/calls.db") == truth(sandbox)


async def test_a_stop_cuts_off_what_is_under_way(runner_on: RunnerOn, sandbox: Sandbox) -> None:
    sandbox.fail_next(delay=60.0, times=10)
    async with serving(LocalWorker(runner_on(OFTEN), 2)):
        await until(lambda: sandbox.requests)


@pytest.mark.parametrize("turns", range(5))
async def test_a_cancellation_while_it_stops_is_not_swallowed(
    runner_on: RunnerOn, sandbox: Sandbox, turns: int
) -> None:
    sandbox.fail_next(delay=60.0, times=10)
    stop = asyncio.Event()
    serving = asyncio.create_task(LocalWorker(runner_on(OFTEN), 2).serve(stop))
    await until(lambda: sandbox.requests)
    stop.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    accepted = serving.cancel()
    await asyncio.wait([serving])
    assert serving.cancelled() is accepted


@pytest.mark.parametrize("ending", [JobFailed("no"), "busy"])
async def test_a_job_that_failed_or_was_busy_is_looked_at_again_and_runs_once_at_a_time(
    runner_on: RunnerOn, ending: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "SECONDS_TO_LOOK_AGAIN", 0.01)
    runner = Counting(runner_on(OFTEN), [ending])
    async with serving(LocalWorker(runner, 2)):
        await until(lambda: runner.runs >= 3)
    assert runner.most == 1


async def test_a_job_that_was_busy_is_not_tried_again_at_once(runner_on: RunnerOn) -> None:
    runner = Counting(runner_on(OFTEN), ["busy"])
    began = time.monotonic()
    async with serving(LocalWorker(runner, 2)):
        await until(lambda: time.monotonic() > began + 0.5)
    assert runner.runs == 1


async def test_a_dispatcher_ends_though_a_library_loses_its_cancellation(
    runner_on: RunnerOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "SECONDS_TO_LOOK_AGAIN", 0.01)
    begun = asyncio.Event()

    async def submit(job: object, status: JobStatus) -> None:
        begun.set()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)

    dispatching = asyncio.create_task(Dispatcher(runner=runner_on(OFTEN), submit=submit).serve())
    await begun.wait()
    dispatching.cancel()
    done, _ = await asyncio.wait([dispatching], timeout=5)
    dispatching.cancel()
    await asyncio.wait([dispatching])
    assert done


@pytest.fixture
def submitted() -> list[JobStatus]:
    """What a dispatcher has submitted."""
    return []


@pytest.fixture
def dispatcher_on(runner_on: RunnerOn, submitted: list[JobStatus]) -> Callable[[str], Dispatcher]:
    async def submit(job: object, status: JobStatus) -> None:
        submitted.append(status)

    return lambda jobs: Dispatcher(runner=runner_on(jobs), submit=submit)


@contextmanager
def clock_at(moment: datetime) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for module in ("runner", "dispatch"):
            patch.setattr(f"telepath_async.worker.{module}.utc_now", lambda: moment)
        yield


async def test_a_clock_that_is_set_back_keeps_no_job_waiting(
    dispatcher_on: Callable[[str], Dispatcher], store: FileStore, submitted: list[JobStatus]
) -> None:
    dispatcher = dispatcher_on(SYNC)
    runner, ahead = dispatcher.runner, datetime.now(UTC) + timedelta(days=400)
    with clock_at(ahead):
        (status,) = await runner.statuses(["acme:sync"])
        await store.write(succeeded(status, runner.jobs["acme:sync"], ahead, rows=0, seconds=1))
        await dispatcher.submit_due(ahead)
    assert (submitted, dispatcher.due) == ([], {})
    for _ in range(2):  # what was mended is due from the moment on at which it was
        await dispatcher.submit_due(datetime.now(UTC))
    assert [status.next_run <= datetime.now(UTC) for status in submitted] == [True]
    assert list(dispatcher.due) == ["acme:sync"]


async def test_a_store_that_was_emptied_skips_no_rotation(
    dispatcher_on: Callable[[str], Dispatcher],
    store: FileStore,
    submitted: list[JobStatus],
    tmp_path: Path,
) -> None:
    rotate = f'cron = "@monthly"\njournal = "{tmp_path}/journal"\ncommand = ["/bin/cat"]\n'
    dispatcher = dispatcher_on(f"[accounts.acme.rotate]\n{rotate}")
    await dispatcher.submit_due(datetime.now(UTC))
    (status,) = await store.read_all()
    with closing(sqlite3.connect(tmp_path / "state", isolation_level=None)) as database:
        database.execute("DELETE FROM status")
    due = status.next_run + timedelta(seconds=1)
    with clock_at(due):
        await dispatcher.submit_due(due)
    assert [again.next_run for again in submitted] == [status.next_run]
    assert [kept.next_run for kept in await store.read_all()] == [status.next_run]


async def test_a_dispatcher_looks_at_nothing_that_it_does_not_know(
    dispatcher_on: Callable[[str], Dispatcher], submitted: list[JobStatus]
) -> None:
    dispatcher = dispatcher_on(OFTEN)
    dispatcher.look_at("nobody:sync")
    await dispatcher.submit_due(datetime.now(UTC) + timedelta(seconds=1))
    assert [status.key for status in submitted] == ["acme:sync"]
