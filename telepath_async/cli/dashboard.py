"""`telepath dashboard`: a local page over the synced calls, from a key to a picture."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from telepath_async import Secret, UsageError

from .credentials import API_KEY, given_secret, read_secret
from .exits import OK
from .options import span_option
from .output import echo, write_out
from .shell import Shell, command
from .worker import broker_url

if TYPE_CHECKING:
    from telepath_async.dashboard import Source
    from telepath_async.worker import BrokerUrl

_SANDBOX_CALLS = 20_000
_SANDBOX_SYNC_SECONDS = 5.0


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    examples = [
        "telepath dashboard --sandbox",
        "TELEPATH_API_KEY=$(pass show telepath) telepath dashboard",
        "telepath dashboard --accounts accounts.toml --database postgresql://me@db/calls",
        "telepath dashboard --no-sync --database sqlite:///calls.db",
    ]
    options = ("api_key_file", "base_url", "debug")
    command(app, "dashboard", examples=examples, options=options)(dashboard)


async def dashboard(
    shell: Shell,
    *,
    accounts: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Many accounts, as a worker has them (extra jobs)."),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            envvar="TELEPATH_DATABASE_URL",
            help="Instead of SQLite in the user's cache directory.",
        ),
    ] = None,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="Without a key: made-up calls, and more of them.")
    ] = False,
    sync: Annotated[
        bool, typer.Option(help="--no-sync draws what a worker, or telepath calls sync, stores.")
    ] = True,
    history: Annotated[
        timedelta, span_option("How far back the first sync goes:", "30d")
    ] = timedelta(days=30),
    every: Annotated[timedelta, span_option("How often is synced:", "1m")] = timedelta(minutes=1),
    account: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of the one account, in the database.")
    ] = None,
    ai_limit: Annotated[
        float, typer.Option(metavar="MS", min=0, help="An AI latency above is slow.")
    ] = 400.0,
    carrier_limit: Annotated[
        float, typer.Option(metavar="MS", min=0, help="A carrier lag above is slow.")
    ] = 150.0,
    mask_numbers: Annotated[
        bool, typer.Option("--mask-numbers", help="Hide the middle of every phone number.")
    ] = False,
    redis: Annotated[
        str | None,
        typer.Option(metavar="URL", envvar="TELEPATH_WORKER_REDIS", help="Show its workers' jobs."),
    ] = None,
    postgres: Annotated[
        str | None,
        typer.Option(
            metavar="URL", envvar="TELEPATH_WORKER_POSTGRES", help="Show its workers' jobs."
        ),
    ] = None,
    queue: Annotated[str, typer.Option(help="The fleet's name at its broker.")] = "telepath",
    grafana: Annotated[
        bool,
        typer.Option("--grafana", help="Print a Grafana dashboard over these tables, and end."),
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 picks a free one.")] = 0,
    host: Annotated[str, typer.Option(help="Needs --behind-proxy.")] = "127.0.0.1",
    behind_proxy: Annotated[
        str | None, typer.Option(metavar="URL", help="Of a proxy with TLS and a login before it.")
    ] = None,
) -> int:  # fmt: skip
    """Sync the calls and show them on a page at 127.0.0.1, until Ctrl-C.

    Charts of calls, latencies and failures, by trunk and account; each call with its turns.
    """
    from telepath_async.dashboard import (
        Address,
        BoardOptions,
        DashboardOptions,
        Limits,
        cache_database,
        grafana_json,
        serve_dashboard,
    )

    if grafana:
        write_out(grafana_json(database or "postgresql:"))
        return OK
    if sandbox and (accounts or database or not sync):
        raise UsageError("--sandbox has its own account and database: leave out the others")
    seconds = _SANDBOX_SYNC_SECONDS if sandbox else every.total_seconds()
    broker = broker_url(redis, postgres, queue)
    options = DashboardOptions(
        address=Address(host=host, port=port, behind_proxy=behind_proxy),
        board=BoardOptions(
            limits=Limits(ai_ms=ai_limit, carrier_ms=carrier_limit),
            sync_seconds=max(seconds, 1.0) if sync else None,
            mask_numbers=mask_numbers,
        ),
        jobs=None if broker is None else partial(_jobs, broker),
    )
    since = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - history
    with suppress(asyncio.CancelledError):  # the one way to end it
        if sandbox:
            async with _sandbox() as (own_database, source):
                await serve_dashboard(own_database, [source], options=options, announce=_announce)
        else:
            sources = _sources(shell, accounts, account, since, sync=sync)
            url = Secret(database or cache_database())
            await serve_dashboard(url, sources, options=options, announce=_announce)
    return OK


def _announce(address: str) -> None:
    write_out(f"{address}\n")
    echo("open this address in a browser; it lets one in, once. Ctrl-C ends the dashboard")


def _sources(
    shell: Shell, accounts: str | None, account: str | None, since: datetime, *, sync: bool
) -> list[Source]:
    """Return whose calls are shown; without a sync, no key is needed."""
    from telepath_async.dashboard import Source

    if accounts is not None:
        from telepath_async.worker import load_accounts

        return [
            Source(
                api_key=one.api_key,
                account=one.name,
                base_url=one.base_url,
                since=(one.sync and one.sync.since) or since,
            )
            for one in load_accounts(accounts, distributed=False).accounts
        ]
    key = given_secret(API_KEY, shell.api_key_file)
    if key is None and not sync:
        return []
    key = key or read_secret(API_KEY, shell.api_key_file)
    return [Source(api_key=key, account=account, base_url=shell.base_url, since=since)]


@asynccontextmanager
async def _sandbox() -> AsyncIterator[tuple[str, Source]]:
    from telepath_async.dashboard import Source
    from telepath_async.sandbox import Sandbox

    with tempfile.TemporaryDirectory(prefix="telepath-dashboard-") as directory:
        async with Sandbox(style="cursor", calls=_SANDBOX_CALLS, live=True) as server:
            source = Source(
                api_key=Secret(server.api_key),
                account="sandbox",
                base_url=server.base_url,
                since=datetime.now(UTC) - timedelta(days=30),
            )
            yield f"sqlite:///{Path(directory) / 'calls.db'}", source


async def _jobs(broker: BrokerUrl) -> list[dict[str, Any]]:
    """Return how the workers' jobs stand."""
    from telepath_async.worker import read_report

    return [job.to_dict() for job in await read_report(broker, "")]
