"""`run_worker` and `read_report`: everything wired, from accounts and options to a worker."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager
from typing import TYPE_CHECKING, TextIO

from attrs import frozen

from telepath_async import Secret, UsageError
from telepath_async.jobs.commands import CommandFailed, check_command

from .accounts import Accounts, Job, passwords_in
from .broker import Broker, Fleet
from .brokers import postgres_broker, redis_broker
from .commands import Commands
from .embedded import Embedded
from .limits import Limiters, local_limiter
from .log import JsonFormatter, Mask, is_news, log_event, logger
from .report import JobReport, report_jobs
from .runner import Runner, utc_now
from .stores import FileStore, StatusStore, is_served, lock_file
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
    key's limit when they cannot ask each other. `web`: the port of SAQ's page. `otel`: whether each
    account has spans and metrics, with `telepath.account`, at the global providers.
    """

    concurrency: int = 10
    limiter_redis: Secret | None = None
    expected_processes: int = 4
    web: int | None = None
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

    `state`: the file that keeps the statuses where there is no broker. Within 10 s of `stop`, what
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
        store = _file_store(state, stack) if connected is None else connected.store
        runner = _runner(accounts, store, broker, options)
        _check_commands(runner.jobs.values())
        log_event(
            "start",
            worker=runner.worker,
            jobs=len(runner.jobs),
            elsewhere=len(accounts.jobs) - len(runner.jobs),
        )
        if connected is None:
            await Embedded(runner, options.concurrency).serve(stop)
        else:
            fleet = Fleet(connected, runner, options.concurrency)
            if options.web is not None:
                queues = [await connected.queue(host) for host in fleet.hosts]
                log_event(
                    "web", url=await stack.enter_async_context(serve_page(queues, options.web))
                )
            await fleet.serve(stop)
        log_event("stop", worker=runner.worker)


@contextmanager
def log_lines(
    stream: TextIO, accounts: Accounts, broker: BrokerUrl | None, options: WorkerOptions
) -> Iterator[None]:
    """Write what the workers and libraries log to a stream: JSON lines, without secrets."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter(_mask(accounts, broker, options)))
    handler.addFilter(is_news)
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


def _file_store(state: str, stack: AsyncExitStack) -> StatusStore:
    lock = lock_file(state)
    if lock is None:
        raise UsageError(
            f"another worker runs on {state}: stop it, name another state file, or share a broker"
        )
    stack.enter_context(closing(lock))
    return stack.enter_context(closing(FileStore(state)))


def _runner(
    accounts: Accounts, store: StatusStore, broker: BrokerUrl | None, options: WorkerOptions
) -> Runner:
    host = socket.gethostname()
    return Runner(
        jobs={job.key: job for job in accounts.jobs if job.host in (None, host)},
        store=store,
        limiters=_limiters(accounts, broker, options),
        commands=Commands(accounts.secret_variables),
        mask=_mask(accounts, broker, options),
        worker=f"{host}:{os.getpid()}",
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
    if shared is None:
        processes = 1 if broker is None else options.expected_processes
        for account in accounts.accounts:
            local_limiter(account.limit, processes)
        return Limiters(None, processes)
    return Limiters(shared, options.expected_processes)


def _mask(accounts: Accounts, broker: BrokerUrl | None, options: WorkerOptions) -> Mask:
    urls = [options.limiter_redis, *((broker.redis, broker.postgres) if broker else ())]
    return Mask.of(
        [
            *accounts.secrets(),
            *(
                password
                for url in urls
                if url is not None
                for password in passwords_in(url.reveal())
            ),
        ]
    )
