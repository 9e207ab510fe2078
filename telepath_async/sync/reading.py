"""Read the synced calls over connections that cannot write."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, cast
from urllib.parse import quote, unquote

from sqlalchemy import Connection, event, func, inspect, select
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from telepath_async import Secret

from .database import make_engine
from .schema import calls, sync_state, trunks

_ROWS_AT_ONCE: Final = 20_000
_TABLES: Final = frozenset((calls.name, trunks.name, sync_state.name))


class CallRow(NamedTuple):
    """What figures need of a call; `second`: its start in UTC, such as `2026-11-28 14:05:09`."""

    second: str
    account: str
    trunk_id: str | None
    direction: str | None
    status: str | None
    carrier_lag_ms: float | None
    ai_latency_ms: float | None
    gateway_processing_ms: float | None


def make_reader(database_url: str | Secret) -> AsyncEngine:
    """Return an engine whose transactions only read; it opens nothing yet.

    Raises UsageError for a URL that cannot be used, or a missing driver.
    """
    engine = make_engine(database_url)
    if engine.dialect.name == "sqlite":
        return _sqlite_reader(engine.url)

    @event.listens_for(engine.sync_engine, "begin")
    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")

    return engine


def _sqlite_reader(url: URL) -> AsyncEngine:
    read_only = URL.create(
        url.drivername,
        database=f"file:{quote(str(_path(url).absolute()))}",
        query={"mode": "ro", "uri": "true"},
    )
    return create_async_engine(read_only, poolclass=NullPool, hide_parameters=True)


def sqlite_path(engine: AsyncEngine) -> Path | None:
    """Return the file that an engine opens; None for a database that is not a file."""
    return _path(engine.url) if engine.dialect.name == "sqlite" else None


def _path(url: URL) -> Path:
    database = url.database or ""
    is_uri = database.startswith("file:")
    return Path(unquote(database.removeprefix("file:")) if is_uri else database)


async def has_tables(connection: AsyncConnection) -> bool:
    """Whether a sync has made its tables here, in this version's form."""

    def look(sync_connection: Connection) -> bool:
        inspector = inspect(sync_connection)
        if not set(inspector.get_table_names()) >= _TABLES:
            return False
        return any(column["name"] == "account" for column in inspector.get_columns(calls.name))

    return await connection.run_sync(look)


def second_of(column: Any, dialect: str) -> Any:
    """Return the expression that writes a time as `2026-11-28 14:05:09`, in UTC."""
    if dialect == "postgresql":
        return func.to_char(func.timezone("UTC", column), "YYYY-MM-DD HH24:MI:SS")
    return func.substr(column, 1, 19)  # as `UtcTime` is stored there


async def read_rows(
    connection: AsyncConnection, since: datetime, until: datetime
) -> AsyncIterator[Sequence[CallRow]]:
    """Read the calls that started from `since` to before `until`, in batches."""
    wanted = select(
        second_of(calls.c.start_time, connection.dialect.name).label("second"),
        calls.c.account,
        calls.c.trunk_id,
        calls.c.direction,
        calls.c.status,
        calls.c.carrier_lag_ms,
        calls.c.ai_latency_ms,
        calls.c.gateway_processing_ms,
    ).where(calls.c.start_time >= since, calls.c.start_time < until)
    async with connection.stream(wanted) as rows:
        async for part in rows.partitions(_ROWS_AT_ONCE):
            # They have its fields; a million copies take a second.
            yield cast("Sequence[CallRow]", part)
