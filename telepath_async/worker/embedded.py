"""Without a broker: the jobs of one process, so many at a time."""

from __future__ import annotations

import asyncio
from typing import Final

from .accounts import Job
from .dispatch import Dispatcher
from .log import JobFailed
from .runner import Runner
from .status import JobStatus


class Stopped(Exception):
    """Ends a group of tasks that is to stop."""


class Embedded:
    """Runs what is submitted in tasks of this process; each job once at a time."""

    def __init__(self, runner: Runner, concurrency: int) -> None:
        self._runner = runner
        self._places: Final = asyncio.Semaphore(concurrency)
        self._submitted: set[str] = set()
        self._dispatcher = Dispatcher(runner=runner, submit=self._submit)

    async def serve(self, stop: asyncio.Event) -> None:
        """Run jobs at their times until `stop`; what is under way ends, its checkpoint kept."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                self._tasks.create_task(self._dispatcher.serve())
                await stop.wait()
                raise Stopped
        except* Stopped:
            pass

    async def _submit(self, job: Job, status: JobStatus) -> None:
        if job.key not in self._submitted:
            self._submitted.add(job.key)
            self._tasks.create_task(self._run(job.key, status.part_name))

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
