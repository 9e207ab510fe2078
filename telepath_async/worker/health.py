"""`/healthz` and `/metrics` of a worker, for what watches it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final, Protocol

from aiohttp import web
from attrs import frozen
from prometheus_client.exposition import choose_encoder

from .clocks import utc_now
from .dispatch import Dispatcher
from .metrics import Metrics
from .outage import Outage
from .status import JobStatus
from .stores import StatusStore
from .web import LOOPBACK, serve_app

_SECONDS_BETWEEN_TURNS: Final = 60.0
_SECONDS_TO_ANSWER: Final = 5.0
_MAX_LATE: Final = 10
_HEADERS: Final = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


class WatchedWorker(Protocol):
    """What is known of a worker, with a broker and without."""

    @property
    def dispatcher(self) -> Dispatcher:
        """What submits its jobs."""
        ...

    async def running(self, statuses: Sequence[JobStatus]) -> set[str]:
        """Return which of these jobs are running, by key."""
        ...


@frozen(kw_only=True)
class HealthOptions:
    """Where a worker's health is served: an address, and a port (0: a free one).

    `late_after_minutes`: a job that has been due for longer, and is not running, is a fault.
    """

    port: int
    host: str = LOOPBACK
    late_after_minutes: float = 15.0


@frozen(kw_only=True)
class Health:
    """Whether a worker does its work. `store`: as it is, for a probe does not wait."""

    worker: WatchedWorker
    store: StatusStore
    outage: Outage
    options: HealthOptions

    async def faults(self) -> list[str]:
        """Return what is wrong, a line each; none: the worker is well."""
        found: list[str] = []
        if time.monotonic() - self.worker.dispatcher.turned > _SECONDS_BETWEEN_TURNS:
            found.append("the loop that submits jobs stands still")
        if self.outage.error is not None:
            return [*found, self.outage.error]
        try:
            async with asyncio.timeout(_SECONDS_TO_ANSWER):
                return [*found, *await self._late()]
        except TimeoutError:
            return [*found, f"no answer within {_SECONDS_TO_ANSWER:g} s"]
        except self.outage.errors as error:
            return [*found, self.outage.redactor.error(error)]

    def oldest_due_seconds(self) -> float:
        """Return how long the oldest due job has been due; 0 without one."""
        due = self.worker.dispatcher.due.values()
        return max(((utc_now() - status.next_run).total_seconds() for status in due), default=0.0)

    async def _late(self) -> list[str]:
        """Return a line for each job that waits for too long. Raises what the store raises."""
        dispatcher = self.worker.dispatcher
        await self.store.read(list(dispatcher.runner.jobs)[:1])
        minutes = self.options.late_after_minutes
        since = utc_now() - timedelta(minutes=minutes)
        late = [status for status in dispatcher.due.values() if status.next_run < since]
        running = await self.worker.running(late)
        waiting = [status.key for status in late if status.key not in running]
        return [f"{key} has been due for more than {minutes:g} min" for key in waiting[:_MAX_LATE]]


@asynccontextmanager
async def serve_health(health: Health, metrics: Metrics) -> AsyncIterator[str]:
    """Answer `/healthz` (200 or 503) and `/metrics`, and give the address.

    Raises UsageError where the port cannot be had.
    """
    metrics.gauge(
        "telepath_worker_oldest_due_seconds",
        "How long the oldest due job has been due.",
        health.oldest_due_seconds,
    )
    metrics.gauge(
        "telepath_worker_outage", "1 while the broker, or the state file, cannot be used.",
        lambda: float(health.outage.error is not None),
    )  # fmt: skip
    metrics.gauge(
        "telepath_worker_jobs", "Jobs that this worker may run.",
        lambda: float(len(health.worker.dispatcher.runner.jobs)),
    )  # fmt: skip

    async def healthz(_: web.Request) -> web.Response:
        faults = await health.faults()
        status = 503 if faults else 200
        return web.json_response({"faults": faults}, status=status, headers=_HEADERS)

    async def read_metrics(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        headers = {**_HEADERS, "Content-Type": content_type}
        return web.Response(body=encode(metrics.registry), headers=headers)

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/metrics", read_metrics)])
    async with serve_app(app, health.options.host, health.options.port) as url:
        yield url
