"""Without a broker: the jobs of one process, so many at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from .accounts import Job
from .dispatch import Dispatcher
from .log import JobFailed
from .runner import Runner
from .status import JobStatus


class Embedded:
    """Runs what is submitted in tasks of this process; each job once at a time."""

    def __init__(self, runner: Runner, concurrency: int) -> None:
        self._runner = runner
        self._places: Final = asyncio.Semaphore(concurrency)
        self._submitted: set[str] = set()
        self._running: set[asyncio.Task[None]] = set()
        self._dispatcher = Dispatcher(runner=runner, submit=self._submit)

    async def serve(self, stop: asyncio.Event) -> None:
        """Run jobs at their times until `stop`.

        What is under way is cut off then, with its checkpoint kept.
        """
        async with asyncio.TaskGroup() as self._tasks:
            self._start(self._dispatcher.serve())
            await stop.wait()
            # One by one: a group that an exception of ours ends would take a cancellation of the
            # caller's, in the same moment, for its own.
            for task in self._running:
                task.cancel()

    async def _submit(self, job: Job, status: JobStatus) -> None:
        if job.key not in self._submitted:
            self._submitted.add(job.key)
            self._start(self._run(job.key, status.part_name))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._tasks.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run(self, key: str, part: str | None) -> None:
        outcome = None
        try:
            async with self._places:
                outcome = await self._runner.run(key, part)
        except JobFailed:  # logged and written down
            pass
        finally:
            self._submitted.discard(key)
        if outcome != "busy":  # that one would be due again at once
            self._dispatcher.look_at(key)
