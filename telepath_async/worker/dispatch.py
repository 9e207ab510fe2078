"""Submit each job at its time, and again until a worker has run it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

from attrs import define, field

from .accounts import Job
from .log import log_event
from .runner import Runner, utc_now
from .status import JobStatus

# A job that was submitted and is still due has been lost with its worker, is under way, or waits:
# submitting it again does nothing in the last two cases.
_SECONDS_TO_LOOK_AGAIN: Final = 5.0
_MOST_SECONDS_TO_SLEEP: Final = 5.0  # the wall clock may be set
_SECONDS_OF_AN_OUTAGE: Final = 1.0


@define(kw_only=True)
class Dispatcher:
    """Submits what is due. Every worker has one: none is the first among them, and a submission
    twice over is one.

    `outages`: what a broker raises that cannot be reached; we go on when it can.
    """

    runner: Runner
    submit: Callable[[Job, JobStatus], Awaitable[object]]
    outages: tuple[type[Exception], ...] = ()
    _looks: dict[str, float] = field(init=False)
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
        while (
            not task.cancelling()
        ):  # redis-py can turn a cancellation, while it connects, into an error of its own
            self._woken.clear()
            try:
                await self._round(utc_now())
                now = utc_now().timestamp()
                pause = min(
                    [_MOST_SECONDS_TO_SLEEP, *(look - now for look in self._looks.values())]
                )
            except self.outages as error:
                log_event(
                    "outage",
                    level=logging.WARNING,
                    error=self.runner.mask.error(error),
                    worker=self.runner.worker,
                )
                pause = _SECONDS_OF_AN_OUTAGE
            try:
                async with asyncio.timeout(max(pause, 0.0)):
                    await self._woken.wait()
            except TimeoutError:
                pass

    async def _round(self, now: datetime) -> None:
        due = [key for key, look in self._looks.items() if look <= now.timestamp()]
        for status in await self.runner.statuses(due):
            if status.next_run > now:
                self._looks[status.key] = status.next_run.timestamp()
                continue
            self._looks[status.key] = now.timestamp() + _SECONDS_TO_LOOK_AGAIN
            await self.submit(self.runner.jobs[status.key], status)
