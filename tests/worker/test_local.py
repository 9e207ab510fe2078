"""Without a broker: the same jobs at their times, in one process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import closing, suppress
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
from tests.worker.running import OFTEN, accounts_of, file_store, runner_of, until


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FileStore]:
    with closing(file_store(tmp_path)) as store:
        yield store


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
    tmp_path: Path, store: FileStore
) -> None:
    async with Sandbox(calls=300, rate_limit=1_000_000) as sandbox:
        runner, stop = runner_of(accounts_of(tmp_path, sandbox, OFTEN), store), asyncio.Event()
        serving = asyncio.create_task(LocalWorker(runner, 2).serve(stop))
        await until(
            lambda: len([item for item in sandbox.requests if "from" in dict(item.query)]) > 8
        )

        sandbox.add_call()
        rows = len(sandbox.calls)
        end = time.monotonic() + 20
        while len(await stored(f"sqlite:///{tmp_path}/calls.db")) < rows and time.monotonic() < end:
            await asyncio.sleep(0.1)
        stop.set()
        await serving
        assert await stored(f"sqlite:///{tmp_path}/calls.db") == truth(sandbox)


async def test_a_stop_cuts_off_what_is_under_way(tmp_path: Path, store: FileStore) -> None:
    async with Sandbox(latency=60.0) as sandbox:
        runner, stop = runner_of(accounts_of(tmp_path, sandbox, OFTEN), store), asyncio.Event()
        serving = asyncio.create_task(LocalWorker(runner, 2).serve(stop))
        await until(lambda: sandbox.requests)
        stop.set()
        async with asyncio.timeout(10):
            await serving


@pytest.mark.parametrize("turns", range(5))
async def test_a_cancellation_while_it_stops_is_not_swallowed(
    tmp_path: Path, store: FileStore, turns: int
) -> None:
    async with Sandbox(latency=60.0) as sandbox:
        runner, stop = runner_of(accounts_of(tmp_path, sandbox, OFTEN), store), asyncio.Event()
        serving = asyncio.create_task(LocalWorker(runner, 2).serve(stop))
        await until(lambda: sandbox.requests)
        stop.set()
        for _ in range(turns):
            await asyncio.sleep(0)
        accepted = serving.cancel()
        await asyncio.wait([serving])
        assert serving.cancelled() is accepted


@pytest.mark.parametrize("ending", [JobFailed("no"), "busy"])
async def test_a_job_that_failed_or_was_busy_is_looked_at_again_and_runs_once_at_a_time(
    tmp_path: Path, store: FileStore, ending: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "_SECONDS_TO_LOOK_AGAIN", 0.01)
    async with Sandbox() as sandbox:
        runner = Counting(runner_of(accounts_of(tmp_path, sandbox, OFTEN), store), [ending])
        stop = asyncio.Event()
        serving = asyncio.create_task(LocalWorker(runner, 2).serve(stop))
        await until(lambda: runner.runs >= 3)
        stop.set()
        await serving
        assert runner.most == 1


async def test_a_job_that_was_busy_is_not_tried_again_at_once(
    tmp_path: Path, store: FileStore
) -> None:
    async with Sandbox() as sandbox:
        runner = Counting(runner_of(accounts_of(tmp_path, sandbox, OFTEN), store), ["busy"])
        stop = asyncio.Event()
        serving = asyncio.create_task(LocalWorker(runner, 2).serve(stop))
        await until(lambda: runner.runs == 1)
        await asyncio.sleep(0.5)
        stop.set()
        await serving
        assert runner.runs == 1


async def test_a_dispatcher_ends_though_a_library_loses_its_cancellation(
    tmp_path: Path, store: FileStore
) -> None:
    begun = asyncio.Event()

    async def submit(job: object, status: JobStatus) -> None:
        begun.set()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)

    async with Sandbox() as sandbox:
        runner = runner_of(accounts_of(tmp_path, sandbox, OFTEN), store)
        dispatching = asyncio.create_task(Dispatcher(runner=runner, submit=submit).serve())
        await begun.wait()
        dispatching.cancel()
        done, _ = await asyncio.wait([dispatching], timeout=5)
        dispatching.cancel()
        await asyncio.wait([dispatching])
        assert done


async def test_a_clock_that_is_set_back_keeps_no_job_waiting(
    tmp_path: Path, store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted: list[JobStatus] = []

    async def submit(job: object, status: JobStatus) -> None:
        submitted.append(status)

    async with Sandbox() as sandbox:
        accounts = accounts_of(tmp_path, sandbox, '[accounts.acme.sync]\ncron = "@hourly"\n')
        runner = runner_of(accounts, store)
        dispatcher = Dispatcher(runner=runner, submit=submit)
        ahead = datetime.now(UTC) + timedelta(days=400)
        with monkeypatch.context() as patched:
            for module in ("runner", "dispatch"):
                patched.setattr(f"telepath_async.worker.{module}.utc_now", lambda: ahead)
            (status,) = await runner.statuses(["acme:sync"])
            await store.write(succeeded(status, runner.jobs["acme:sync"], ahead, rows=0, seconds=1))
            await dispatcher._round(ahead)
        assert (submitted, dispatcher.due) == ([], {})
        for _ in range(2):  # what was mended is due from the moment on at which it was
            await dispatcher._round(datetime.now(UTC))
        assert [status.next_run <= datetime.now(UTC) for status in submitted] == [True]
        assert list(dispatcher.due) == ["acme:sync"]


async def test_a_store_that_was_emptied_skips_no_rotation(
    tmp_path: Path, store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted: list[JobStatus] = []

    async def submit(job: object, status: JobStatus) -> None:
        submitted.append(status)

    rotate = f'cron = "@monthly"\njournal = "{tmp_path}/journal"\ncommand = ["/bin/cat"]\n'
    async with Sandbox() as sandbox:
        accounts = accounts_of(tmp_path, sandbox, f"[accounts.acme.rotate]\n{rotate}")
        dispatcher = Dispatcher(runner=runner_of(accounts, store), submit=submit)
        await dispatcher._round(datetime.now(UTC))
        (status,) = await store.read_all()
        store._database.execute("DELETE FROM status")
        due = status.next_run + timedelta(seconds=1)
        for module in ("runner", "dispatch"):
            monkeypatch.setattr(f"telepath_async.worker.{module}.utc_now", lambda: due)
        await dispatcher._round(due)
        assert [again.next_run for again in submitted] == [status.next_run]
        assert [kept.next_run for kept in await store.read_all()] == [status.next_run]


async def test_a_dispatcher_looks_at_nothing_that_it_does_not_know(
    tmp_path: Path, store: FileStore
) -> None:
    async with Sandbox() as sandbox:
        runner = runner_of(accounts_of(tmp_path, sandbox, OFTEN), store)

        async def submit(job: object, status: JobStatus) -> None: ...

        dispatcher = Dispatcher(runner=runner, submit=submit)
        dispatcher.look_at("nobody:sync")
        assert list(dispatcher._looks) == ["acme:sync"]
