"""Run the jobs of many accounts (`telepath worker`), and show their state (`… status`).

A worker runs alone, or shares the jobs with others through a broker.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from telepath_async import Secret, UsageError
from telepath_async.protocol.redaction import url_secrets

from .options import Debug, named_file
from .output import NONE, Column, echo, printable, render, render_rows
from .shell import Shell, command, example_text, run

if TYPE_CHECKING:
    from telepath_async.worker import BrokerUrl, HealthOptions, JobReport

_REDIS: Final = "TELEPATH_WORKER_REDIS"
_POSTGRES: Final = "TELEPATH_WORKER_POSTGRES"
_LIMITER_REDIS: Final = "TELEPATH_LIMITER_REDIS"
_LOOPBACK: Final = "127.0.0.1"

group: Final = typer.Typer(
    help="Run sync, alerts and rotation for many accounts at their times: in this "
    "process, or shared with other workers.",
    epilog=example_text(
        [
            "telepath worker --accounts accounts.toml",
            "telepath worker --accounts accounts.toml --redis redis://127.0.0.1:6379/0",
            "telepath worker status --redis redis://127.0.0.1:6379/0",
        ]
    ),
    invoke_without_command=True,
)


def _time(moment: datetime | None) -> str:
    return NONE if moment is None else f"{moment:%m-%d %H:%M:%S}"


_COLUMNS: Final[tuple[Column[JobReport], ...]] = (
    Column("account", lambda report: report.status.account),
    Column("job", lambda report: _job(report)),
    Column("state", lambda report: report.state),
    Column("next run (UTC)", lambda report: _time(report.status.next_run)),
    Column("last success", lambda report: _time(report.status.last_success)),
    Column("rows", lambda report: report.status.rows, justify="right"),
    Column("last failure", lambda report: _time(report.status.last_failure)),
)


def _job(report: JobReport) -> str:
    return " ".join(filter(None, (report.status.job, report.status.part_name)))


Accounts = Annotated[
    str, typer.Option("--accounts", metavar="FILE", help="What to do, when, and for whom.")
]
Redis = Annotated[
    str | None,
    typer.Option(
        "--redis",
        metavar="URL",
        envvar=_REDIS,
        show_envvar=True,
        help="The workers' broker: Redis or Valkey.",
    ),
]
Postgres = Annotated[
    str | None,
    typer.Option(
        "--postgres",
        metavar="URL",
        envvar=_POSTGRES,
        show_envvar=True,
        help="The workers' broker: PostgreSQL.",
    ),
]
Queue = Annotated[str, typer.Option("--queue", help="The queue's name at the broker.")]
State = Annotated[
    str | None,
    typer.Option(
        "--state",
        metavar="FILE",
        help="Without a broker: where how jobs stand is kept [ACCOUNTS.state].",
        callback=named_file(),
    ),
]


@group.callback()
def work(
    context: typer.Context,
    accounts: Accounts = "accounts.toml",
    redis: Redis = None,
    postgres: Postgres = None,
    queue: Queue = "telepath",
    state: State = None,
    concurrency: Annotated[int, typer.Option(min=1, max=1000, help="Jobs at once.")] = 10,
    limiter_redis: Annotated[
        str | None,
        typer.Option(
            metavar="URL", envvar=_LIMITER_REDIS, show_envvar=True,
            help="Where the workers share each key's limit; the broker where that is Redis.",
        ),
    ] = None,
    expected_processes: Annotated[
        int,
        typer.Option(
            min=1, help="How many workers share a key's limit while they cannot ask Redis."
        ),
    ] = 4,
    web: Annotated[
        int | None,
        typer.Option(metavar="PORT", min=0, max=65_535, help="Serve SAQ's page at 127.0.0.1."),
    ] = None,
    health: Annotated[
        str | None,
        typer.Option(
            metavar="[HOST:]PORT",
            help="Answer /healthz and /metrics (Prometheus), at 127.0.0.1 without a HOST.",
        ),
    ] = None,
    late_after: Annotated[
        int,
        typer.Option(
            min=1, metavar="MINUTES", help="/healthz fails when a due job has waited for so long."
        ),
    ] = 15,
    otel: Annotated[
        bool,
        typer.Option(
            "--otel",
            help="Spans and metrics of each account; start it by opentelemetry-instrument.",
        ),
    ] = False,
    debug: Debug = False,
) -> None:  # fmt: skip
    """Run the jobs of many accounts until SIGTERM or Ctrl-C, and log a JSON line for each."""
    if context.invoked_subcommand is not None:
        return
    _warn_of_passwords(context, redis=redis, postgres=postgres, limiter_redis=limiter_redis)

    async def serve() -> None:
        from telepath_async.worker import WorkerOptions, load_accounts, log_lines, run_worker

        if state is not None and (redis or postgres):
            raise UsageError("--state is of a worker without a broker; give one or the other")
        broker = broker_url(redis, postgres, queue)
        if web is not None and broker is None:
            raise UsageError("--web shows a broker's queues; give --redis or --postgres")
        options = WorkerOptions(
            concurrency=concurrency, limiter_redis=_secret(limiter_redis),
            expected_processes=expected_processes, web=web, otel=otel,
            health=None if health is None else _health(health, late_after),
        )  # fmt: skip
        stop, loaded = asyncio.Event(), load_accounts(accounts, distributed=broker is not None)
        with log_lines(sys.stdout, loaded, broker, options), _set_by_signal(stop):
            await run_worker(
                loaded,
                broker=broker,
                state=state or f"{accounts}.state",
                options=options,
                stop=stop,
            )

    raise typer.Exit(run(serve(), debug=debug, logs_itself=True))


@command(
    group,
    "status",
    examples=["telepath worker status --json | jq 'select(.failures > 0)'"],
    options=("json", "debug"),
)
async def status(
    shell: Shell,
    accounts: Accounts = "accounts.toml",
    redis: Redis = None,
    postgres: Postgres = None,
    queue: Queue = "telepath",
    state: State = None,
) -> None:
    """Show each job: its state, its last success and failure, its rows, and its next run."""
    from telepath_async.worker import read_report

    reports = await read_report(broker_url(redis, postgres, queue), state or f"{accounts}.state")
    if shell.as_json:
        shell.write(*(report.to_dict() for report in reports))
    else:
        render_rows(reports, _COLUMNS)
        errors = [report for report in reports if report.status.error]
        render(*(printable(f"{report.status.key}: {report.status.error}") for report in errors))


def _secret(text: str | None) -> Secret | None:
    return None if text is None else Secret(text)


def broker_url(redis: str | None, postgres: str | None, queue: str) -> BrokerUrl | None:
    """Return where the broker is, or None without one. Raises UsageError where there are two."""
    if redis is None and postgres is None:
        return None  # the dashboard does not need the extra of the worker
    from telepath_async.worker import BrokerUrl

    return BrokerUrl(redis=_secret(redis), postgres=_secret(postgres), queue=queue)


def _health(address: str, late_after: int) -> HealthOptions:
    from telepath_async.worker import HealthOptions

    host, _, port = address.rpartition(":")
    if not (port.isdecimal() and port.isascii() and int(port) <= 65_535):
        raise UsageError(f"--health must be a port, or HOST:PORT, not {address!r}")
    return HealthOptions(
        host=host.strip("[]") or _LOOPBACK, port=int(port), late_after_minutes=late_after
    )


def _warn_of_passwords(context: typer.Context, **urls: str | None) -> None:
    for name, url in urls.items():
        source = context.get_parameter_source(name)
        if (
            url is not None
            and source is not None
            and source.name == "COMMANDLINE"
            and url_secrets(Secret(url))
        ):
            echo(
                "other users of this machine can read the password in "
                f"--{name.replace('_', '-')}: set its variable",
                kind="warning",
            )


@contextmanager
def _set_by_signal(stop: asyncio.Event) -> Iterator[None]:
    """Stop at the first SIGTERM or SIGINT; the next one ends the command as it ends others.

    Not `loop.add_signal_handler`, which Windows does not have.
    """
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def stop_at_first(*_: Any) -> None:
        restore()
        loop.call_soon_threadsafe(stop.set)

    for number in before:
        signal.signal(number, stop_at_first)
    try:
        yield
    finally:
        restore()
