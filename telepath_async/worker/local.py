"""Without a broker: the jobs of one process, a bounded number at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, Final

from .accounts import Job
from .dispatch import Dispatcher
from .log import JobFailed
from .runner import Runner
from .status import JobStatus


class LocalWorker:
    """Runs what is submitted in tasks of this process; each job once at a time."""

    def __init__(self, runner: Runner, concurrency: int) -> None:
        self._runner = runner
        self._semaphore: Final = asyncio.Semaphore(concurrency)
        self._submitted: set[str] = set()
        self._running: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.dispatcher = Dispatcher(runner=runner, submit=self._submit)

    async def serve(self, stop: asyncio.Event) -> None:
        """Run jobs at their times until `stop`.

        What is under way is cancelled then, with its checkpoint kept.
        """
        async with asyncio.TaskGroup() as self._group:
            self._start(self.dispatcher.serve())
            await stop.wait()
            # One by one: a group that an exception of ours ends would take a cancellation of the
            # caller's, in the same moment, for its own.
            for task in self._tasks:
                task.cancel()

    async def running(self, statuses: Sequence[JobStatus]) -> set[str]:
        """Return which of these jobs are running, by key."""
        return {status.key for status in statuses} & self._running

    async def _submit(self, job: Job, status: JobStatus) -> None:
        if job.key not in self._submitted:
            self._submitted.add(job.key)
            self._start(self._run(job.key, status.part_name))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, key: str, part: str | None) -> None:
        outcome = None
        try:
            async with self._semaphore:
                self._running.add(key)
                outcome = await self._runner.run(key, part)
        except JobFailed:  # logged and written down
            pass
        finally:
            self._submitted.discard(key)
            self._running.discard(key)
        if outcome != "busy":  # that one would be due again at once
            self.dispatcher.look_at(key)
