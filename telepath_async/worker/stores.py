"""Keep how each job stands, beside the broker's queue; without a broker: `file_store.py`."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Protocol

from attrs import frozen

from .log import log_event
from .outage import Outage
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


@frozen
class WaitingStore:
    """A store whose outages are waited out."""

    store: StatusStore
    outage: Outage

    async def read(self, keys: Sequence[str]) -> list[JobStatus | None]:
        """Return the statuses of these keys, in their order."""
        return await self.outage.wait_out(lambda: self.store.read(keys))

    async def read_all(self) -> list[JobStatus]:
        """Return every status."""
        return await self.outage.wait_out(self.store.read_all)

    async def write(self, status: JobStatus, *, keep: bool = False) -> None:
        """Replace a status; `keep`: unless there is one."""
        await self.outage.wait_out(lambda: self.store.write(status, keep=keep))


class TextStore(ABC):
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


class RedisStore(TextStore):
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


class PostgresStore(TextStore):
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
