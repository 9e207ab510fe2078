"""`run_worker` and `read_report`: everything wired, from accounts and options to a worker."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sqlite3
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager
from typing import TYPE_CHECKING, TextIO

from attrs import frozen

from telepath_async import Secret, UsageError
from telepath_async.jobs.commands import CommandFailed, check_command
from telepath_async.protocol.redaction import Redactor, url_secrets

from .accounts import Accounts, Job
from .broker import Broker, Worker
from .brokers import postgres_broker, redis_broker
from .clocks import utc_now
from .commands import Commands
from .file_store import FileStore, is_served, lock_file
from .health import Health, HealthOptions, serve_health
from .limits import Limiters
from .local import LocalWorker
from .log import Duplicates, JsonFormatter, LogHandler, log_event, logger
from .outage import Outage
from .report import JobReport, report_jobs
from .runner import Runner
from .stores import StatusStore, WaitingStore
from .web import serve_page

if TYPE_CHECKING:
    from telepath_async.otel import Telemetry


@frozen(kw_only=True)
class BrokerUrl:
    """Where the fleet's broker is: one of the two URLs. `queue`: the fleet's name there."""

    redis: Secret | None = None
    postgres: Secret | None = None
    queue: str = "telepath"

    def __attrs_post_init__(self) -> None:
        if (self.redis is None) == (self.postgres is None):
            raise UsageError("a fleet has one broker: give redis or postgres")

    @asynccontextmanager
    async def connect(self, concurrency: int = 1) -> AsyncIterator[Broker]:
        """Give the broker."""
        if self.redis is not None:
            async with redis_broker(self.redis, self.queue) as broker:
                yield broker
        else:
            assert self.postgres is not None
            async with postgres_broker(
                self.postgres, self.queue, concurrency=concurrency
            ) as broker:
                yield broker


@frozen(kw_only=True)
class WorkerOptions:
    """How a worker runs.

    `concurrency`: jobs at once (with a broker: of each queue). `limiter_redis`: where the limiters
    are shared; None: at the broker, where that is Redis. `expected_processes`: how many share a
    key's limit when they cannot ask each other. `web`: the port of SAQ's page. `health`: where
    `/healthz` and `/metrics` are answered. `otel`: whether each account has spans and metrics, with
    `telepath.account`, at the global providers.
    """

    concurrency: int = 10
    limiter_redis: Secret | None = None
    expected_processes: int = 4
    web: int | None = None
    health: HealthOptions | None = None
    otel: bool = False


async def run_worker(
    accounts: Accounts,
    *,
    broker: BrokerUrl | None,
    state: str,
    options: WorkerOptions,
    stop: asyncio.Event,
) -> None:
    """Run the jobs of the accounts until `stop` is set: a part of a fleet, or, without a broker,
    all of them here.

    `state`: the file that keeps the statuses without a broker. Within 10 s of `stop`, what
    was under way is given back to the queue with its checkpoint kept.

    Raises UsageError before anything is run; and what a broker raises that cannot be reached at the
    beginning.
    """
    async with AsyncExitStack() as stack:
        connected = (
            None
            if broker is None
            else await stack.enter_async_context(broker.connect(options.concurrency))
        )
        store = _file_store(state, accounts, stack) if connected is None else connected.store
        outage = Outage(
            errors=(sqlite3.Error,) if connected is None else connected.connection_errors,
            redactor=_redactor(accounts, broker, options),
            worker=f"{socket.gethostname()}:{os.getpid()}",
        )
        runner = _runner(accounts, WaitingStore(store, outage), broker, options, outage)
        _check_commands(runner.jobs.values())
        elsewhere = [job for job in accounts.jobs if job.key not in runner.jobs]
        log_event("start", worker=runner.worker, jobs=len(runner.jobs), elsewhere=len(elsewhere))
        worker: LocalWorker | Worker
        if connected is None:
            worker = LocalWorker(runner, options.concurrency)
        else:
            worker = Worker(connected, runner, outage, options.concurrency)
            if options.web is not None:
                queues = [await connected.queue(host) for host in worker.hosts]
                log_event(
                    "web", url=await stack.enter_async_context(serve_page(queues, options.web))
                )
        if options.health is not None:
            health = Health(worker=worker, store=store, outage=outage, options=options.health)
            url = await stack.enter_async_context(serve_health(health, runner.metrics))
            log_event("health", url=url)
        await worker.serve(stop)
        log_event("stop", worker=runner.worker)


@contextmanager
def log_lines(
    stream: TextIO, accounts: Accounts, broker: BrokerUrl | None, options: WorkerOptions
) -> Iterator[None]:
    """Write what the workers and libraries log to a stream: JSON lines, without secrets."""
    handler = LogHandler(stream)
    handler.setFormatter(JsonFormatter(_redactor(accounts, broker, options)))
    handler.addFilter(Duplicates())
    logger.setLevel(logging.INFO)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)


async def read_report(broker: BrokerUrl | None, state: str) -> list[JobReport]:
    """Return how every job of a fleet stands; without a broker, of this state file's worker."""
    if broker is None:
        return await _read_file(state)
    async with broker.connect() as connected:
        statuses = await connected.store.read_all()
        return report_jobs(statuses, await connected.under_way(statuses), utc_now())


async def _read_file(state: str) -> list[JobReport]:
    if not os.path.exists(state):  # noqa: ASYNC240  # of a command that does nothing else
        raise UsageError(
            f"there is no {state}: no worker has run here yet, or it has a broker; give "
            "--redis or --postgres"
        )
    with closing(FileStore(state)) as store:
        statuses = await store.read_all()
    running = (
        {status.key: "running" for status in statuses if status.running_since is not None}
        if is_served(state)
        else {}
    )
    return report_jobs(statuses, running, utc_now())


def _file_store(state: str, accounts: Accounts, stack: AsyncExitStack) -> StatusStore:
    stack.enter_context(closing(lock_file(state)))
    store = stack.enter_context(closing(FileStore(state)))
    store.keep_only({job.key for job in accounts.jobs})
    return store


def _runner(
    accounts: Accounts,
    store: StatusStore,
    broker: BrokerUrl | None,
    options: WorkerOptions,
    outage: Outage,
) -> Runner:
    host = socket.gethostname()
    return Runner(
        jobs={job.key: job for job in accounts.jobs if job.host in (None, host)},
        every_job=accounts.jobs,
        store=store,
        limiters=_limiters(accounts, broker, options),
        commands=Commands(accounts.secret_variables),
        redactor=outage.redactor,
        worker=outage.worker,
        telemetry=_telemetry(accounts) if options.otel else {},
    )


def _check_commands(jobs: Iterable[Job]) -> None:
    """Raise UsageError that lists the commands of these jobs that cannot be started here."""
    found: list[str] = []
    for job in jobs:
        plan = job.account.watch if job.name == "watch" else job.account.rotate
        try:
            if job.name != "sync" and plan is not None:
                check_command(plan.command)
        except CommandFailed as error:
            found.append(f"accounts.{job.account.name}.{job.name}.command: {error}")
    if found:
        raise UsageError("\n".join(found))


def _telemetry(accounts: Accounts) -> dict[str, Telemetry]:
    try:
        from telepath_async.otel import Telemetry
    except ModuleNotFoundError as error:
        missing = str(error)
    else:
        return {
            account.name: Telemetry(attributes={"telepath.account": account.name})
            for account in accounts.accounts
        }
    raise UsageError(missing)


def _limiters(accounts: Accounts, broker: BrokerUrl | None, options: WorkerOptions) -> Limiters:
    shared = options.limiter_redis or (broker.redis if broker else None)
    alone = shared is None and broker is None
    limiters = Limiters(shared, 1 if alone else options.expected_processes)
    limiters.check(account.limit for account in accounts.accounts)
    return limiters


def _redactor(accounts: Accounts, broker: BrokerUrl | None, options: WorkerOptions) -> Redactor:
    urls = [options.limiter_redis, *((broker.redis, broker.postgres) if broker else ())]
    passwords = (secret for url in urls if url is not None for secret in url_secrets(url))
    return Redactor([*accounts.secrets(), *passwords])
