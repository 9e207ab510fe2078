"""Put it together: clients, syncs, and the page over one database."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from attrs import field, frozen

from telepath_async import Secret, TelepathClient, UsageError
from telepath_async.protocol.redaction import as_secret
from telepath_async.sync.reading import make_reader

from .board import Account, Board, BoardOptions
from .queries import CallReader
from .server import Address, serve
from .syncing import Syncer, Waits


@frozen(kw_only=True)
class Source:
    """An account to be shown: its key, and its name in the database (None: its key's hash)."""

    api_key: Secret
    account: str | None = None
    base_url: str | None = None
    since: datetime | None = None


@frozen(kw_only=True)
class DashboardOptions:
    """Where the page is, and what it shows; `jobs`: how the workers' jobs stand."""

    address: Address = field(factory=Address)
    board: BoardOptions = field(factory=BoardOptions)
    jobs: Callable[[], Awaitable[list[dict[str, Any]]]] | None = None


async def serve_dashboard(
    database_url: str | Secret,
    sources: Sequence[Source] = (),
    *,
    options: DashboardOptions | None = None,
    announce: Callable[[str], object],
) -> None:
    """Sync the sources into the database and show it until cancelled.

    `announce` is called with the address of the page, whose token lets one browser in. With
    `sync_seconds=None` nothing is synced, and the database must be there. Raises UsageError before
    anything is sent or opened, and OSError for a port in use.
    """
    options = DashboardOptions() if options is None else options
    database_url = as_secret(database_url)
    reader = CallReader(make_reader(database_url))
    seconds = options.board.sync_seconds
    if seconds is None:
        reader.check_exists()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(reader.close)
        syncers = [await _syncer(stack, source, database_url, seconds or 0.0) for source in sources]
        accounts = [
            Account(
                name=syncer.account or syncer.telepath.key_id,
                telepath=syncer.telepath,
                figures=syncer.figures,
            )
            for syncer in syncers
        ]
        board = Board(reader, options.board, accounts, options.jobs)
        announce(await stack.enter_async_context(serve(board, options.address)))
        async with asyncio.TaskGroup() as group:
            for syncer in syncers if seconds is not None else ():
                group.create_task(syncer.run())
            group.create_task(asyncio.Event().wait())


async def _syncer(
    stack: AsyncExitStack, source: Source, database_url: Secret, seconds: float
) -> Syncer:
    waits = Waits()
    client = TelepathClient(source.api_key, base_url=source.base_url, on_event=waits)
    return Syncer(
        telepath=await stack.enter_async_context(client),
        database_url=database_url,
        account=source.account,
        since=source.since,
        seconds=seconds,
        meter=lambda: waits.count,
    )


def cache_database() -> str:
    """Return the URL of a SQLite database in the user's cache directory, which is made."""
    if sys.platform == "darwin":
        caches = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        caches = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    directory = caches / "telepath"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{directory} cannot be made ({error.strerror}): give --database"
        ) from None
    return f"sqlite:///{directory / 'calls.db'}"


def grafana_json(database_url: str) -> str:
    """Return the Grafana dashboard for a database of this kind (PostgreSQL, or SQLite)."""
    kind = "sqlite" if database_url.startswith("sqlite") else "postgresql"
    return files("telepath_async.dashboard").joinpath(f"grafana/{kind}.json").read_text()
