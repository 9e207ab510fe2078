"""Run the jobs of many accounts (`telepath worker`), and show their state (`… status`).

A worker runs alone or as a part of a fleet.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final

import typer

from telepath_async import Secret, TelepathError, UsageError
from telepath_async.protocol.redaction import url_secrets

FAILED: Final = 1
USAGE: Final = 2
_REDIS: Final = "TELEPATH_WORKER_REDIS"
_POSTGRES: Final = "TELEPATH_WORKER_POSTGRES"
_LIMITER_REDIS: Final = "TELEPATH_LIMITER_REDIS"
_NEVER: Final = "-"

group: Final = typer.Typer(
    name="worker",
    help="Run sync, alerts and rotation for many accounts at their times: in this "
    "process, or as a part of a fleet.",
    epilog="\n".join(
        [
            "\b",
            "Examples:",
            "  telepath worker --accounts accounts.toml",
            "  telepath worker --accounts accounts.toml --redis redis://127.0.0.1:6379/0",
            "  telepath worker status --redis redis://127.0.0.1:6379/0",
        ]
    ),
    invoke_without_command=True,
    pretty_exceptions_enable=False,  # rich's tracebacks show locals, and these hold keys
)

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
        help="The fleet's broker: Redis or Valkey.",
    ),
]
Postgres = Annotated[
    str | None,
    typer.Option(
        "--postgres",
        metavar="URL",
        envvar=_POSTGRES,
        show_envvar=True,
        help="The fleet's broker: PostgreSQL.",
    ),
]
Queue = Annotated[str, typer.Option("--queue", help="The fleet's name at its broker.")]
State = Annotated[
    str | None,
    typer.Option(
        "--state",
        metavar="FILE",
        help="Without a broker: where how jobs stand is kept [ACCOUNTS.state].",
    ),
]


@group.callback()
def run(
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
    otel: Annotated[
        bool,
        typer.Option(
            "--otel",
            help="Spans and metrics of each account; start it by opentelemetry-instrument.",
        ),
    ] = False,
) -> None:  # fmt: skip
    """Run the jobs of many accounts until SIGTERM or Ctrl-C, and log a JSON line for each."""
    if context.invoked_subcommand is not None:
        return
    _warn_of_passwords(context, redis=redis, postgres=postgres, limiter_redis=limiter_redis)
    from telepath_async.worker import BrokerUrl, WorkerOptions, load_accounts, log_lines, run_worker

    async def work() -> None:
        if state is not None and (redis or postgres):
            raise UsageError("--state is of a worker without a broker; give one or the other")
        broker = _broker(BrokerUrl, redis, postgres, queue)
        if web is not None and broker is None:
            raise UsageError("--web shows a broker's queues; give --redis or --postgres")
        options = WorkerOptions(
            concurrency=concurrency, limiter_redis=_secret(limiter_redis),
            expected_processes=expected_processes, web=web, otel=otel,
        )  # fmt: skip
        stop, loaded = asyncio.Event(), load_accounts(accounts, distributed=broker is not None)
        with log_lines(sys.stdout, loaded, broker, options), _set_by_signals(stop):
            await run_worker(
                loaded,
                broker=broker,
                state=state or f"{accounts}.state",
                options=options,
                stop=stop,
            )

    _ended(work())


@group.command("status")
def status(
    accounts: Accounts = "accounts.toml",
    redis: Redis = None,
    postgres: Postgres = None,
    queue: Queue = "telepath",
    state: State = None,
    as_json: Annotated[
        bool | None,
        typer.Option(
            "--json/--table",
            help="NDJSON, or a table; NDJSON when standard output is not a terminal.",
        ),
    ] = None,
) -> None:
    """Show each job: its state, its last success and failure, its rows, and its next run."""
    from telepath_async.worker import BrokerUrl, JobReport, read_report

    async def tell() -> None:
        broker = _broker(BrokerUrl, redis, postgres, queue)
        reports: list[JobReport] = await read_report(broker, state or f"{accounts}.state")
        rows = [report.to_dict() for report in reports]
        if as_json or (as_json is None and not sys.stdout.isatty()):
            sys.stdout.writelines(json.dumps(row) + "\n" for row in rows)
        else:
            _draw(rows)

    _ended(tell())


def _draw(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("account", "job", "state", "last success (UTC)", "last failure"):
        table.add_column(title)
    table.add_column("rows", justify="right")
    table.add_column("next run")
    for row in rows:
        part = f" {row['partition']}" if row["partition"] else ""
        rows_told = _NEVER if row["rows"] is None else f"{row['rows']:,}"
        table.add_row(
            Text(row["account"]), row["job"] + part, row["state"], _time(row["last_success"]),
            _time(row["last_failure"]), rows_told, _time(row["next_run"]),
        )  # fmt: skip
    console = Console(highlight=False, emoji=False, markup=False)
    console.print(table)
    for row in rows:
        if row["error"]:
            console.print(Text(f"{row['account']} {row['job']}: {row['error']}"))


def _time(text: str | None) -> str:
    return _NEVER if text is None else text[5:19].replace("T", " ")


def _secret(text: str | None) -> Secret | None:
    return None if text is None else Secret(text)


def _broker(make: Any, redis: str | None, postgres: str | None, queue: str) -> Any:
    """Return where the broker is, or None without one. Raises UsageError where there are two."""
    if redis is None and postgres is None:
        return None
    return make(redis=_secret(redis), postgres=_secret(postgres), queue=queue)


def _warn_of_passwords(context: typer.Context, **urls: str | None) -> None:
    for name, url in urls.items():
        source = context.get_parameter_source(name)
        if (
            url is not None
            and source is not None
            and source.name == "COMMANDLINE"
            and url_secrets(Secret(url))
        ):
            _say(
                "warning",
                "other users of this machine can read the password in "
                f"--{name.replace('_', '-')}: set its variable",
            )


@contextmanager
def _set_by_signals(stop: asyncio.Event) -> Iterator[None]:
    """Stop at the first SIGTERM or SIGINT.

    Not `loop.add_signal_handler`, which Windows does not have.
    """
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set)) for number in numbers
    ]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _ended(work: Coroutine[Any, Any, None]) -> None:
    """Run it, and exit with a code where it ends by an error of ours."""
    try:
        asyncio.run(work)
    except TelepathError as error:
        _say("error", str(error))
        code = USAGE if isinstance(error, UsageError) else FAILED
    else:
        return
    raise typer.Exit(code)


def _say(kind: str, text: str) -> None:
    sys.stderr.write(f"{kind}: {text}\n")
