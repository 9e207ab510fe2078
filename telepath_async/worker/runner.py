"""One run of one job: begun, ended in time, its end written down and logged.

The same with and without a broker.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from attrs import define, evolve, field, frozen

from telepath_async import TelepathClient
from telepath_async.protocol.redaction import Redactor

from .accounts import SECONDS_OF_A_RUN, Job, JobName
from .clocks import utc_now
from .commands import Commands
from .limits import Limiters
from .log import JobFailed, log_event
from .metrics import Metrics
from .status import (
    JobStatus,
    current,
    distrust,
    failed,
    first_status,
    started,
    succeeded,
    timed_out,
)
from .stores import StatusStore
from .work import BUSY, PERMANENT, Result, Run

if TYPE_CHECKING:
    from telepath_async.otel import Telemetry

Outcome: TypeAlias = Literal[
    "success", "failure", "fault", "timed out", "busy", "not due", "stopped", "unknown job"
]

_SECONDS_OF_GRACE: Final = 5.0  # the clocks of two hosts differ


class _TimeIsUp(Exception):
    """Our bound on a run, distinct from the timeouts inside of it."""


@frozen
class _End:
    outcome: Outcome
    error: str | None = None
    status: JobStatus | None = None


@define(kw_only=True)
class Runner:
    """Runs jobs by their key.

    `jobs`: those that may run on this host; `every_job`: those of other hosts, too; `worker`: this
    process, in the log; `telemetry`: by account, who observes it.
    """

    jobs: Mapping[str, Job]
    store: StatusStore
    limiters: Limiters
    commands: Commands
    redactor: Redactor
    worker: str
    every_job: Sequence[Job] = ()
    telemetry: Mapping[str, Telemetry] = field(factory=dict)
    metrics: Metrics = field(factory=Metrics)
    seconds: Mapping[JobName, float] = field(factory=lambda: dict(SECONDS_OF_A_RUN))

    async def schedule(self) -> None:
        """Write when jobs are due under the present plans, those of hosts without a worker, too.

        A status that waits for the next run to show it would be of another schedule until then.
        """
        found = await self.store.read([job.key for job in self.every_job])
        for job, status in zip(self.every_job, found, strict=True):
            if status is None:
                await self.store.write(first_status(job, utc_now()), keep=True)
            elif status.plan != job.plan:
                await self.store.write(current(status, job, utc_now()))

    async def statuses(
        self, keys: list[str], known: Mapping[str, datetime] | None = None
    ) -> list[JobStatus]:
        """Return how jobs stand under their present plans; write what nobody has written yet.

        `known`: when jobs are due, as far as it was read before: a store that was emptied since
        then skips no run.
        """
        statuses: list[JobStatus] = []
        for key, found in zip(keys, await self.store.read(keys), strict=True):
            job, now = self.jobs[key], utc_now()
            if found is None:
                first = first_status(job, now)
                due = min(first.next_run, (known or {}).get(key, first.next_run))
                statuses.append(evolve(first, next_run=due))
                await self.store.write(statuses[-1], keep=True)
                continue
            kept = distrust(found, job, now)
            if kept is not found:
                log_event("clock was wrong", level=logging.WARNING, job=key, worker=self.worker)
                await self.store.write(kept)
            statuses.append(current(kept, job, now))
        return statuses

    async def run(
        self, key: str, part: str | None = None, on_run: Callable[[Run], object] = lambda run: None
    ) -> Outcome:
        """Run a job, or this partition of it, and return how that ended; `on_run` gets what is
        under way.

        A delivery of what is not due any more does nothing: a broker that loses a worker may
        deliver twice. Raises JobFailed for a run that failed: that, and when the next one is due,
        is written down by then.
        """
        if key not in self.jobs:
            log_event(
                "job", level=logging.WARNING, job=key, outcome="unknown job", worker=self.worker
            )
            return "unknown job"
        (status,) = await self.statuses([key])
        if (
            status.next_run - utc_now()
        ).total_seconds() > _SECONDS_OF_GRACE or part != status.part_name:
            return "not due"
        status = started(status, utc_now())
        await self.store.write(status)
        job = self.jobs[key]
        run = Run(
            job=job,
            status=status,
            commands=self.commands,
            telemetry=self.telemetry.get(job.account.name),
        )
        begun, end = time.monotonic(), _End("stopped")
        on_run(run)
        try:
            with self.metrics.running.track_inprogress():
                end = await self._end(run, begun)
            if end.status is not None:
                await self.store.write(end.status)
        finally:
            self._log(run, end, time.monotonic() - begun)
        if end.outcome in ("failure", "fault"):
            raise JobFailed(end.error)
        return end.outcome

    async def _end(self, run: Run, begun: float) -> _End:
        job, status = run.job, run.status
        try:
            result = await self._do(run)
        except BUSY as busy:  # nothing has changed: it is due as it was
            return _End("busy", self.redactor.error(busy))
        except _TimeIsUp as up:
            if job.name == "sync":
                return _End(
                    "timed out",
                    None,
                    timed_out(status, utc_now(), rows=run.rows, seconds=time.monotonic() - begun),
                )
            error, permanent = str(up), False
        except Exception as failure:  # noqa: BLE001  # drivers raise anything: logged, masked
            error, permanent = self.redactor.error(failure), isinstance(failure, PERMANENT)
        else:
            seconds = time.monotonic() - begun
            after = succeeded(
                status, job, utc_now(), rows=result.rows, seconds=seconds, alerts=result.alerts
            )
            return _End("success", None, after)
        after = failed(
            status,
            job,
            utc_now(),
            error=error,
            permanent=permanent,
            rows=run.rows,
            seconds=time.monotonic() - begun,
            jitter=random.random(),
        )
        return _End("fault" if permanent else "failure", error, after)

    async def _do(self, run: Run) -> Result:
        account, seconds = run.account, self.seconds[run.job.name]
        async with (
            self.limiters.hold(account) as limiter,
            TelepathClient(
                account.api_key, base_url=account.base_url, limiter=limiter, on_event=run.telemetry
            ) as telepath,
        ):
            limit = asyncio.timeout(seconds)
            try:
                async with limit:
                    return await run.do(telepath)
            except TimeoutError:
                if not limit.expired():
                    raise
        raise _TimeIsUp(f"it took more than {seconds:g} s, and was ended")

    def _log(self, run: Run, end: _End, seconds: float) -> None:
        self.metrics.count(run.job, end.outcome, rows=run.rows, seconds=seconds)
        log_event(
            "job",
            level=logging.WARNING if end.error else logging.INFO,
            account=run.account.name,
            job=run.job.name,
            partition=run.status.part_name,
            outcome=end.outcome,
            rows=run.rows,
            seconds=round(seconds, 3),
            error=end.error,
            worker=self.worker,
        )
