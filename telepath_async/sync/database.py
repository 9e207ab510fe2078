"""From a URL as people write it to an engine, and the lock that lets one sync of an account run in
one database.

The lock goes with its holder, however that ends: PostgreSQL drops it with the session, SQLite with
the process.
"""

from __future__ import annotations

import asyncio
import importlib
import sqlite3
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, closing
from functools import partial
from hashlib import sha256
from typing import Any, Final, TypeVar

from sqlalchemy import event, func, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from telepath_async import Secret, TelepathError, UsageError
from telepath_async.protocol.redaction import as_secret

from .postgres import read_target, split_hosts
from .schema import write_json

T = TypeVar("T")

_DRIVERS: Final = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}
_LAST_PORT: Final = 65_535
_SECONDS_TO_WAIT: Final = 2.0  # a session that was killed takes its server a moment to bury
_SECONDS_BETWEEN_TRIES: Final = 0.05
_SECONDS_TO_WAIT_FOR_WRITERS: Final = 10.0


class SyncBusy(TelepathError):
    """Another sync of this account into this database is under way. Nothing was sent or changed."""


def make_engine(database_url: str | Secret) -> AsyncEngine:
    """Return an engine that opens nothing yet.

    Raises UsageError for a URL that cannot be used, or a missing driver.
    """
    database_url = as_secret(database_url)
    driver = _driver(database_url)
    make = {"sqlite+aiosqlite": _sqlite, "postgresql+asyncpg": _postgresql}[driver]
    try:
        return make(
            database_url,
            {"poolclass": NullPool, "json_serializer": write_json, "hide_parameters": True},
        )
    except ModuleNotFoundError as error:
        missing = error.name
    database = driver.partition("+")[0]
    raise UsageError(f'{database} needs {missing}: pip install "telepath-async[sync]"')


@asynccontextmanager
async def named_failures(database_url: Secret) -> AsyncIterator[None]:
    """Add to what the database or its driver raises that it is of the database."""
    try:
        yield
    except database_errors() as error:
        if not isinstance(error, TelepathError):
            is_file = _driver(database_url).startswith("sqlite")
            error.add_note(f"the database {_url(database_url).database if is_file else ''}".strip())
        raise


def database_errors() -> tuple[type[Exception], ...]:
    """Return what a database or its driver raises; the texts may hold its URL.

    SQLAlchemy lets errors of asyncpg, imported where it is used, through while it connects.
    """
    asyncpg: Any = sys.modules.get("asyncpg")
    of_driver = (asyncpg.PostgresError, asyncpg.InterfaceError) if asyncpg else ()
    return (SQLAlchemyError, sqlite3.Error, OSError, *of_driver)


@asynccontextmanager
async def connect(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Connect, and disconnect at the end.

    A cancellation waits until an SQLite file is open, and until it is closed: aiosqlite forgets a
    connection whose opening is cut off, and its thread may outlive the loop that cuts off its end.
    """
    _check_file(engine)
    connection = engine.connect()
    is_sqlite = engine.dialect.name == "sqlite"
    try:
        opening = connection.start()
        await (uninterrupted(opening) if is_sqlite else opening)
        yield connection
    finally:
        if connection.sync_connection is not None:
            ending = connection.close()
            await (uninterrupted(ending) if is_sqlite else asyncio.shield(ending))


def _check_file(engine: AsyncEngine) -> None:
    """Open a SQLite file and close it: aiosqlite's thread outlives an opening that fails."""
    if engine.dialect.name == "sqlite":
        arguments, options = engine.dialect.create_connect_args(engine.url)
        connect: Any = sqlite3.connect
        connect(*arguments, **options).close()


@asynccontextmanager
async def account_lock(connection: AsyncConnection, account: str) -> AsyncIterator[None]:
    """Hold the lock of `account` in the database.

    Raises SyncBusy when another holds it for longer than two seconds.
    """
    digest = sha256(f"telepath_sync {account}".encode()).digest()[:8]
    if connection.dialect.name == "postgresql":
        key = int.from_bytes(digest, signed=True)
        await _retry_until(partial(_lock_session, connection, key))
        yield
        return
    await _retry_until(lambda: uninterrupted(_write_ahead(connection)))
    path = await transact(connection, _path)
    # A database of no content, for SQLite knows how to lock a file on every system.
    with closing(
        sqlite3.connect(f"{path}-sync-{digest.hex()}", timeout=0, isolation_level=None)
    ) as lock:
        await _retry_until(partial(_lock_file, lock))
        yield


async def transact(
    connection: AsyncConnection, work: Callable[[AsyncConnection], Awaitable[T]]
) -> T:
    """Do the work in a transaction; in SQLite, it ends before a cancellation goes on.

    There, a statement cut off under way holds the write lock for as long as anything refers to it:
    a traceback, for example.
    """

    async def transaction() -> T:
        async with connection.begin():
            return await work(connection)

    if (
        connection.dialect.name == "postgresql"
    ):  # a server may be out of reach, and asyncpg hangs up cleanly
        return await transaction()
    return await uninterrupted(transaction())


async def uninterrupted(work: Coroutine[Any, Any, T]) -> T:
    under_way = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(under_way)
    except asyncio.CancelledError:
        await asyncio.wait([under_way])
        raise


# Below, a URL is a Secret wherever anything may fail: crash reporters print the locals of frames,
# and SQLAlchemy's URL hides the password, but not one that stands in the query.


def _driver(database_url: Secret) -> str:
    scheme = _scheme(database_url)
    if scheme not in _DRIVERS:
        other = "" if scheme is None else f", not {scheme}://"
        raise UsageError(
            "database_url must be a URL such as sqlite:///calls.db or "
            f"postgresql://user@host/name{other}"
        )
    return _DRIVERS[scheme]


def _scheme(database_url: object) -> str | None:
    if not isinstance(database_url, Secret):
        return None
    try:
        first, hosts = split_hosts(database_url)
        url = _url(first)
    except (ArgumentError, ValueError):
        return None  # a port that is not a number may be half a password with an @ in it
    if max(0, url.port or 0, *hosts.get("port", ())) > _LAST_PORT or "\0" in (url.database or ""):
        return None
    return url.drivername


def _url(database_url: Secret) -> URL:
    return make_url(database_url.reveal())


def _is_in_memory(database_url: Secret) -> bool:
    url = _url(database_url)
    return url.database in (None, "", ":memory:") or url.query.get("mode") == "memory"


def _sqlite(database_url: Secret, options: dict[str, Any]) -> AsyncEngine:
    if _is_in_memory(database_url):
        raise UsageError(
            "database_url must name a file (sqlite:///calls.db): a database in memory ends "
            "with the sync"
        )
    engine = create_async_engine(
        _url(database_url).set(drivername="sqlite+aiosqlite"),
        connect_args={"timeout": _SECONDS_TO_WAIT_FOR_WRITERS},
        **options,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def on_connect(connection: Any, record: object) -> None:
        # Python's own would leave the DDL outside of the transaction.
        connection.isolation_level = None

    @event.listens_for(engine.sync_engine, "begin")
    def on_begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _postgresql(database_url: Secret, options: dict[str, Any]) -> AsyncEngine:
    importlib.import_module("asyncpg")  # what is missing is named before anything is opened
    target = read_target(database_url)
    return create_async_engine("postgresql+asyncpg://", async_creator=target.connect, **options)


async def _path(connection: AsyncConnection) -> str:
    opened = await connection.exec_driver_sql("PRAGMA database_list")
    return str(opened.scalars("file").all()[0])  # the second, where there is one, is temporary


async def _write_ahead(connection: AsyncConnection) -> bool:
    """Let readers go on while we write, and no commit wait for the disk.

    A power cut loses the last pages, and their checkpoints too.
    """
    driver: Any = (await connection.get_raw_connection()).driver_connection
    await driver.execute_fetchall("PRAGMA journal_mode=WAL")
    await driver.execute_fetchall("PRAGMA synchronous=NORMAL")
    return True


async def _lock_session(connection: AsyncConnection, key: int) -> bool:
    async with connection.begin():
        return bool(await connection.scalar(select(func.pg_try_advisory_lock(key))))


async def _lock_file(lock: sqlite3.Connection) -> bool:
    lock.execute("BEGIN EXCLUSIVE")
    return True


async def _retry_until(take: Callable[[], Awaitable[bool]]) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + _SECONDS_TO_WAIT
    while not await _taken(take):
        if loop.time() > end:
            raise SyncBusy(
                "another sync of this account into this database is under way: let it end, and "
                "start again"
            )
        await asyncio.sleep(_SECONDS_BETWEEN_TRIES)


async def _taken(take: Callable[[], Awaitable[bool]]) -> bool:
    try:
        return await take()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
            raise
        return False
