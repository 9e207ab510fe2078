"""Keep how each job stands: beside the broker's queue, or, without a broker, in a SQLite file."""

from __future__ import annotations

import logging
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Final, Protocol

from telepath_async import UsageError

from .log import log_event
from .status import JobStatus, read_status

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.rows import TupleRow
    from psycopg_pool import AsyncConnectionPool
    from redis.asyncio import Redis

    Pool = AsyncConnectionPool[AsyncConnection[TupleRow]]

_DDL_LOCK: Final = 7_354_032  # any number that is not the sync's


class StatusStore(Protocol):
    """The statuses by the jobs' keys."""

    async def read(self, keys: Sequence[str]) -> list[JobStatus | None]:
        """Return the statuses of these keys, in their order."""
        ...

    async def read_all(self) -> list[JobStatus]:
        """Return every status."""
        ...

    async def write(self, status: JobStatus, *, keep: bool = False) -> None:
        """Replace a status; `keep`: unless there is one."""
        ...


class _TextStore(ABC):
    """Statuses as JSON text by key. A damaged one costs its own job's status and no other's."""

    async def read(self, keys: Sequence[str]) -> list[JobStatus | None]:
        """Return the statuses of these keys, in their order; a damaged one is discarded."""
        found: dict[str, JobStatus] = {}
        for key, text in (await self._texts(keys)).items():
            status = _readable(key, text)
            if status is None:
                await self._discard(key, text)
            else:
                found[key] = status
        return [found.get(key) for key in keys]

    async def read_all(self) -> list[JobStatus]:
        """Return every status but the damaged ones."""
        found = (_readable(key, text) for key, text in (await self._texts(None)).items())
        return [status for status in found if status is not None]

    @abstractmethod
    async def _texts(self, keys: Sequence[str] | None) -> dict[str, str | bytes]:
        """Return the texts of these keys, or of all."""

    @abstractmethod
    async def _discard(self, key: str, text: str | bytes) -> None:
        """Delete the text, unless another worker has replaced it."""


def _readable(key: str, text: str | bytes) -> JobStatus | None:
    try:
        return read_status(text)
    except ValueError as error:
        log_event("damaged status", level=logging.WARNING, key=key, error=str(error))
        return None


class RedisStore(_TextStore):
    """A hash beside the queue's keys."""

    def __init__(self, redis: Redis, queue: str) -> None:
        self._redis = redis
        self._hash = f"telepath:worker:{queue}:status"

    async def write(self, status: JobStatus, *, keep: bool = False) -> None:
        """Replace a status; `keep`: unless there is one."""
        write = self._redis.hsetnx if keep else self._redis.hset
        await write(self._hash, status.key, status.to_json())

    async def _texts(self, keys: Sequence[str] | None) -> dict[str, str | bytes]:
        if keys is None:
            every = await self._redis.hgetall(self._hash)
            return {
                key if isinstance(key, str) else key.decode(): text for key, text in every.items()
            }
        found = await self._redis.hmget(self._hash, list(keys)) if keys else []
        return {key: text for key, text in zip(keys, found, strict=True) if text is not None}

    async def _discard(self, key: str, text: str | bytes) -> None:
        # One that another worker has repaired in the meantime is first written again, like this.
        await self._redis.hdel(self._hash, key)


class PostgresStore(_TextStore):
    """A table beside SAQ's."""

    def __init__(self, pool: Pool, queue: str) -> None:
        self._pool = pool
        self._queue = queue

    async def open(self) -> None:
        """Make the table where it is missing."""
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_DDL_LOCK,))
            await connection.execute(
                "CREATE TABLE IF NOT EXISTS telepath_worker_status"
                " (queue text, key text, status text NOT NULL, PRIMARY KEY (queue, key))"
            )

    async def lock_keyspace(self) -> int:
        """Return a number for advisory locks that belongs to the schema of the tables."""
        async with self._pool.connection() as connection:
            row = await (
                await connection.execute("SELECT hashtext('telepath ' || current_schema())")
            ).fetchone()
        assert row is not None
        return int(row[0])

    async def write(self, status: JobStatus, *, keep: bool = False) -> None:
        """Replace a status; `keep`: unless there is one."""
        instead = "NOTHING" if keep else "UPDATE SET status = excluded.status"
        insert = (  # the words are ours
            "INSERT INTO telepath_worker_status VALUES (%s, %s, %s) "  # noqa: S608
            f"ON CONFLICT (queue, key) DO {instead}"
        )
        async with self._pool.connection() as connection:
            await connection.execute(insert, (self._queue, status.key, status.to_json()))

    async def _texts(self, keys: Sequence[str] | None) -> dict[str, str | bytes]:
        select = "SELECT key, status FROM telepath_worker_status WHERE queue = %s"
        wanted: list[object] = [self._queue]
        if keys is not None:
            select, wanted = f"{select} AND key = ANY(%s)", [*wanted, list(keys)]
        async with self._pool.connection() as connection:
            return dict(await (await connection.execute(select, wanted)).fetchall())

    async def _discard(self, key: str, text: str | bytes) -> None:
        delete = "DELETE FROM telepath_worker_status WHERE queue = %s AND key = %s AND status = %s"
        async with self._pool.connection() as connection:
            await connection.execute(delete, (self._queue, key, text))


class FileStore(_TextStore):
    """A SQLite file, for the worker that has no broker.

    A write is on the disk when it returns, within milliseconds.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        try:
            with ExitStack() as unless_usable:
                self._database = sqlite3.connect(path, isolation_level=None, timeout=5.0)
                unless_usable.callback(self._database.close)
                # Readers, such as the status, go on while it is written.
                self._database.execute("PRAGMA journal_mode=WAL")
                self._database.execute(
                    "CREATE TABLE IF NOT EXISTS status (key TEXT PRIMARY KEY, status TEXT NOT NULL)"
                )
                unless_usable.pop_all()
        except sqlite3.Error as error:
            raise UsageError(
                f"{path} cannot be used as the worker's state file: {error}; name another one"
            ) from None

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    async def write(self, status: JobStatus, *, keep: bool = False) -> None:
        """Replace a status; `keep`: unless there is one."""
        insert = (
            "INSERT OR IGNORE INTO status VALUES (?, ?)"
            if keep
            else "INSERT OR REPLACE INTO status VALUES (?, ?)"
        )
        self._database.execute(insert, (status.key, status.to_json()))

    async def _texts(self, keys: Sequence[str] | None) -> dict[str, str | bytes]:
        texts = dict(self._database.execute("SELECT key, status FROM status"))
        return texts if keys is None else {key: texts[key] for key in keys if key in texts}

    async def _discard(self, key: str, text: str | bytes) -> None:
        self._database.execute("DELETE FROM status WHERE key = ? AND status = ?", (key, text))


def lock_file(path: str) -> sqlite3.Connection | None:
    """Return the lock of a state file, held until it is closed or its process ends; None: another
    worker holds it.

    It is a database of no content, for SQLite knows how to lock a file on every system.
    """
    try:
        # Those who ask whether a worker runs hold the lock for an instant.
        lock = _connect_to_lock(path, timeout=1.0)
    except sqlite3.Error as error:
        raise UsageError(
            f"{path} cannot be used as the worker's state file: {error}; name another one"
        ) from None
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError:
        lock.close()
        return None
    return lock


def is_served(path: str) -> bool:
    """Whether a worker runs on this state file."""
    with closing(_connect_to_lock(path, timeout=0.0)) as lock:
        try:
            lock.execute("SELECT * FROM sqlite_master")
        except sqlite3.OperationalError:
            return True
    return False


def _connect_to_lock(path: str, *, timeout: float) -> sqlite3.Connection:
    return sqlite3.connect(f"{path}-worker", timeout=timeout, isolation_level=None)
