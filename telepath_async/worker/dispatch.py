"""Submit each job at its time, and again until a worker has run it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

from attrs import define, field

from .accounts import Job
from .clocks import utc_now
from .runner import Runner
from .status import JobStatus

# A job that was submitted and is still due has been lost with its worker, is under way, or waits:
# submitting it again does nothing in the last two cases.
SECONDS_TO_LOOK_AGAIN: Final = 5.0
_MAX_SECONDS_TO_SLEEP: Final = 5.0  # the wall clock may be set


@define(kw_only=True)
class Dispatcher:
    """Submits what is due. Every worker has one: none is the first among them, and a job that is
    submitted twice is queued once.

    `due`: the jobs that were due when they were last looked at; `turned`: when the loop last turned
    (monotonic).
    """

    runner: Runner
    submit: Callable[[Job, JobStatus], Awaitable[object]]
    due: dict[str, JobStatus] = field(factory=dict, init=False)
    turned: float = field(factory=time.monotonic, init=False)
    _looks: dict[str, float] = field(init=False)
    _next_runs: dict[str, datetime] = field(factory=dict, init=False)
    _last: float = field(default=0.0, init=False)
    _woken: asyncio.Event = field(factory=asyncio.Event, init=False)

    def __attrs_post_init__(self) -> None:
        self._looks = dict.fromkeys(self.runner.jobs, 0.0)

    def look_at(self, key: str) -> None:
        """Look at a job that has just been run."""
        if key in self._looks:
            self._looks[key] = 0.0
            self._woken.set()

    async def serve(self) -> None:
        """Submit until cancelled."""
        task = asyncio.current_task()
        assert task is not None
        await self.runner.schedule()
        while not task.cancelling():  # redis-py can lose a cancellation while it connects
            self._woken.clear()
            await self.submit_due(utc_now())
            self.turned = time.monotonic()
            pause = min(self._looks.values(), default=float("inf")) - utc_now().timestamp()
            try:
                async with asyncio.timeout(min(max(pause, 0.0), _MAX_SECONDS_TO_SLEEP)):
                    await self._woken.wait()
            except TimeoutError:
                pass

    async def submit_due(self, now: datetime) -> None:
        """Submit once what is due now."""
        if now.timestamp() < self._last:  # the clock was set back: what we wait for may be far
            self._looks = dict.fromkeys(self._looks, 0.0)
        self._last = now.timestamp()
        looked_at = [key for key, look in self._looks.items() if look <= now.timestamp()]
        for status in await self.runner.statuses(looked_at, self._next_runs):
            self.due.pop(status.key, None)
            self._next_runs[status.key] = status.next_run
            if status.next_run > now:
                self._looks[status.key] = status.next_run.timestamp()
                continue
            self.due[status.key] = status
            self._looks[status.key] = now.timestamp() + SECONDS_TO_LOOK_AGAIN
            await self.submit(self.runner.jobs[status.key], status)
