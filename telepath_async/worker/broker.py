"""With a broker: SAQ's queues between the dispatchers and the workers, on any number of hosts.

What SAQ (0.26) leaves to us, and where it would lose work by itself:

- A job whose worker was killed is taken up again only with a heartbeat, which is off by default.
  Ours beat every 5 s, and count as dead after 20 s. The workers sweep for the dead every 5 s, one
  of them at a time, and wait 2.5 s for an answer: a killed worker's job is under way elsewhere
  within 30 s (PostgreSQL: 2.5 s more for each further one of its jobs).
- A sweeper that is killed between taking a dead job out of the queue and putting it back loses it
  (Redis). By its status, the job is still due, so that the dispatchers submit it again.
- Its retries know no difference between a fault and a bad moment, and its cron knows one job for
  each function: when a job runs again is decided by its status. SAQ's own retries are for workers
  that died or were stopped.
- A worker that was swept because it stood still (a paused machine) goes on with a job that another
  one has now: each heartbeat looks whose it is, and lets go. The locks of the sync and of the
  journal hold in between.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from saq import Job as QueuedJob
from saq import Queue, Status
from saq import Worker as SaqWorker

from .accounts import Job
from .dispatch import Dispatcher
from .log import JobFailed, log_event
from .outage import Outage
from .runner import Runner
from .status import JobStatus
from .stores import StatusStore
from .work import Run

_FUNCTION: Final = "run"
HEARTBEAT_SECONDS: Final = 20
SECONDS_BETWEEN_BEATS: Final = 5.0
SWEEP_SECONDS: Final = 5
SECONDS_TO_ANSWER_A_SWEEP: Final = 2.5
_SECONDS_BEYOND_OUR_OWN_TIMEOUT: Final = 60
_DELIVERIES: Final = 100
_SECONDS_TO_KEEP_A_RESULT: Final = 24 * 3600
SECONDS_TO_WAIT_FOR_A_JOB: Final = 5.0
_SECONDS_TO_CANCEL: Final = 5.0
_SECONDS_TO_STOP: Final = 8.0
_SECONDS_TO_LEAVE: Final = 1.0


class Broker:
    """The queues of a fleet, by host (None: of all hosts), and where its statuses are.

    `make_queue`: by name; `connection_errors`: what is raised while it cannot be reached.
    """

    def __init__(
        self,
        name: str,
        make_queue: Callable[[str], Queue],
        store: StatusStore,
        connection_errors: tuple[type[Exception], ...],
    ) -> None:
        self.name = name
        self.store = store
        self.connection_errors = connection_errors
        self._make_queue = make_queue
        self._queues: dict[str | None, Queue] = {}

    async def queue(self, host: str | None) -> Queue:
        """Return the queue of a host, connected."""
        if host not in self._queues:
            queue = self._make_queue(self.name if host is None else f"{self.name}@{host}")
            await queue.connect()
            self._queues[host] = queue
        return self._queues[host]

    async def close(self) -> None:
        """Disconnect."""
        for queue in self._queues.values():
            await queue.disconnect()

    async def submit(self, job: Job, status: JobStatus, seconds: float) -> None:
        """Enqueue a job, unless it is queued or under way. Nothing goes with it but names."""
        queue = await self.queue(job.host)
        await queue.enqueue(
            QueuedJob(
                _FUNCTION,
                kwargs={"job": job.key, "part": status.part_name},
                key=_key(queue, status),
                timeout=int(seconds) + _SECONDS_BEYOND_OUR_OWN_TIMEOUT,
                heartbeat=HEARTBEAT_SECONDS,
                retries=_DELIVERIES,
                ttl=_SECONDS_TO_KEEP_A_RESULT,
            )
        )

    async def under_way(self, statuses: Sequence[JobStatus]) -> dict[str, str]:
        """Return which jobs are "queued" or "running", by key."""
        found: dict[str, str] = {}
        for host in {status.host for status in statuses}:
            queue = await self.queue(host)
            asked = [status for status in statuses if status.host == host]
            for status, job in zip(asked, await _jobs(queue, asked), strict=True):
                if job is not None and job.status in (
                    Status.NEW,
                    Status.QUEUED,
                    Status.ACTIVE,
                    Status.ABORTING,
                ):
                    found[status.key] = (
                        "queued" if job.status in (Status.NEW, Status.QUEUED) else "running"
                    )
        return found


async def _jobs(queue: Queue, statuses: Sequence[JobStatus]) -> list[QueuedJob | None]:
    """Return the queue's jobs in the statuses' order: PostgreSQL leaves out those it has not."""
    keys = [_key(queue, status) for status in statuses]
    found = {job.key: job for job in await queue.jobs(keys) if job is not None}
    return [found.get(key) for key in keys]


def _key(queue: Queue, status: JobStatus) -> str:
    """Return the key of a job in the broker: one for each account, job and partition.

    A PostgreSQL table holds all queues.
    """
    return ":".join(filter(None, (queue.name, status.key, status.part_name)))


class Worker:
    """This process's part in a fleet: its dispatcher, and workers for all hosts and this one."""

    def __init__(self, broker: Broker, runner: Runner, outage: Outage, concurrency: int) -> None:
        self._broker = broker
        self._runner = runner
        self._outage = outage
        self._concurrency = concurrency
        self.dispatcher = Dispatcher(runner=runner, submit=self._submit)

    @property
    def hosts(self) -> list[str | None]:
        """Whose queues are served: all hosts' (None), and this one's if it has jobs of its own."""
        return list(dict.fromkeys([None, *(job.host for job in self._runner.jobs.values())]))

    async def serve(self, stop: asyncio.Event) -> None:
        """Run jobs until `stop`; what is under way goes back to the queue, its checkpoint kept."""
        if stop.is_set():
            return
        workers = [self._worker(await self._broker.queue(host)) for host in self.hosts]
        work = [
            asyncio.ensure_future(item)
            for item in (*(worker.start() for worker in workers), self.dispatcher.serve())
        ]
        stopping = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait([*work, stopping], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            await self._end(work)
        for item in work:
            if not item.cancelled():
                item.result()  # or what it failed by

    async def _end(self, work: Sequence[asyncio.Future[None]]) -> None:
        """Cancel: SAQ's workers give their jobs back. Once more if that takes too long."""
        for seconds in (_SECONDS_TO_STOP, _SECONDS_TO_LEAVE):
            for item in work:
                item.cancel()
            if (await asyncio.wait(work, timeout=seconds))[1]:
                log_event(
                    "stop",
                    level=logging.WARNING,
                    error="not all jobs could be given back; others take them over",
                )

    async def running(self, statuses: Sequence[JobStatus]) -> set[str]:
        """Return which of these jobs are running, here or elsewhere, by key."""
        under_way = await self._broker.under_way(statuses)
        return {key for key, state in under_way.items() if state == "running"}

    def _worker(self, queue: Queue) -> SaqWorker[Any]:
        # What upkeep calls: see the top of this file.
        sweep = partial(queue.sweep, abort=SECONDS_TO_ANSWER_A_SWEEP)
        queue.sweep = sweep  # type: ignore[method-assign]
        return _SaqWorker(
            queue,
            functions=[(_FUNCTION, self._run)],
            concurrency=self._concurrency,
            after_process=self._after,
            timers={"sweep": SWEEP_SECONDS, "schedule": 1, "abort": 1, "worker_info": 10},
            dequeue_timeout=SECONDS_TO_WAIT_FOR_A_JOB,
            cancellation_hard_deadline_s=_SECONDS_TO_CANCEL,
            metadata={"worker": self._runner.worker},
        )

    async def _submit(self, job: Job, status: JobStatus) -> None:
        seconds = self._runner.seconds[job.name]
        await self._outage.wait_out(lambda: self._broker.submit(job, status, seconds))

    async def _run(
        self, context: dict[str, Any], *, job: str, part: str | None = None
    ) -> dict[str, object]:
        """Run a job that came from the queue, and keep its heartbeat up."""
        queued: QueuedJob = context["job"]
        runs: list[Run] = []
        work = asyncio.ensure_future(self._runner.run(job, part, runs.append))
        try:
            while not (await asyncio.wait([work], timeout=SECONDS_BETWEEN_BEATS))[0]:
                await self._outage.wait_out(lambda: self._beat(queued, runs, work))
            context["outcome"] = outcome = await work
        except JobFailed:
            queued.retries = 0  # when it is tried again stands in its status
            raise
        finally:
            work.cancel()
            await asyncio.wait([work])
        return {"outcome": outcome, "rows": runs[0].rows if runs else 0}

    async def _beat(self, queued: QueuedJob, runs: list[Run], work: asyncio.Future[Any]) -> None:
        """Send a heartbeat; cancel a job that is another worker's by now, as SAQ does then."""
        stored = await queued.get_queue().job(queued.key)
        if stored is None or (stored.worker_id, stored.attempts) != (
            queued.worker_id,
            queued.attempts,
        ):
            work.cancel()
            return
        queued.meta = {"rows": runs[0].rows} if runs else {}
        await queued.update()

    async def _after(self, context: dict[str, Any]) -> None:
        """Look at the job again, now that the queue takes it again."""
        queued: QueuedJob = context["job"]
        if context.get("outcome") != "busy":  # that one would be due again at once
            self.dispatcher.look_at((queued.kwargs or {}).get("job", ""))


class _SaqWorker(SaqWorker[Any]):
    SIGNALS = []  # ours: there are two workers in a process, and a dispatcher

    async def stop(self) -> None:
        """Have the jobs given back, and leave no task to the end of the loop: SAQ forgets them."""
        tasks = list(self.tasks)
        try:
            await super().stop()
        finally:
            for task in tasks:
                task.cancel()
