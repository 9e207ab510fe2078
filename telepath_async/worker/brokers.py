"""Connections to the two brokers: Redis (or Valkey), and PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Final, cast

from telepath_async import Secret, TelepathError, UsageError

from .broker import Broker
from .stores import PostgresStore, RedisStore

if TYPE_CHECKING:
    from saq.queue.postgres import PostgresQueue

    from .stores import Pool

_SECONDS_TO_CONNECT: Final = 5.0
_SECONDS_TO_ANSWER: Final = 15.0  # more than a worker waits for a job
_SECONDS_TO_CLOSE: Final = 0.5
_SECONDS_FOR_THE_TABLES: Final = 15.0
_SPARE_CONNECTIONS: Final = 6  # dispatcher, listener, upkeep, statuses


class BrokerUnreachable(TelepathError):
    """The broker does not answer at the worker's start; later on, workers wait for it."""


@asynccontextmanager
async def redis_broker(url: Secret, name: str) -> AsyncIterator[Broker]:
    """Give the broker on a Redis server.

    Raises UsageError for a URL that cannot be used, and BrokerUnreachable.
    """
    import redis.asyncio as redis

    from .redis_queue import PatchedRedisQueue

    try:
        client = redis.Redis.from_url(
            url.reveal(),
            socket_connect_timeout=_SECONDS_TO_CONNECT,
            socket_timeout=_SECONDS_TO_ANSWER,
        )
    except ValueError:
        client = None
    if client is None:
        raise UsageError("redis must be a URL such as redis://127.0.0.1:6379/0")
    connection_errors = (redis.RedisError, OSError, TimeoutError)
    broker = Broker(
        name,
        lambda queue: PatchedRedisQueue(client, queue),
        RedisStore(client, name),
        connection_errors,
    )
    try:
        await _reached(client.ping(), connection_errors)
        yield broker
    finally:
        await _closed(broker.close(), connection_errors)
        await _closed(client.aclose(), connection_errors)


@asynccontextmanager
async def postgres_broker(url: Secret, name: str, *, concurrency: int = 1) -> AsyncIterator[Broker]:
    """Give the broker in a PostgreSQL database; its tables (`saq_…`, `telepath_worker_status`) are
    made where missing.

    Raises UsageError for a URL that cannot be used, and BrokerUnreachable.
    """
    import psycopg
    from psycopg import conninfo
    from psycopg_pool import AsyncConnectionPool

    from .postgres_queue import PatchedPostgresQueue

    try:
        conninfo.conninfo_to_dict(url.reveal())
    except psycopg.ProgrammingError:
        bad = True
    else:
        bad = not url.reveal().startswith(("postgres://", "postgresql://"))
    if bad:
        raise UsageError("postgres must be a URL such as postgresql://user@host/name")
    pool: Pool = AsyncConnectionPool(
        url.reveal(),
        min_size=1,
        max_size=concurrency + _SPARE_CONNECTIONS,
        timeout=_SECONDS_TO_ANSWER,
        kwargs={"autocommit": True},
        check=AsyncConnectionPool.check_connection,
        open=False,
    )
    connection_errors = (psycopg.Error, OSError, TimeoutError)
    await pool.open()
    try:
        await _reached(pool.wait(_SECONDS_TO_CONNECT), connection_errors)
        store = PostgresStore(pool, name)
        await store.open()
        # SAQ's locks are the whole database's: another fleet's, in another schema, would keep ours
        # from being swept.
        make = partial(
            PatchedPostgresQueue,
            pool,
            manage_pool_lifecycle=False,
            saq_lock_keyspace=await store.lock_keyspace(),
        )
        broker = Broker(name, lambda queue: make(name=queue), store, connection_errors)
        try:
            await _tables_made(cast("PostgresQueue", await broker.queue(None)))
            yield broker
        finally:
            await _closed(broker.close(), connection_errors)
    finally:
        await pool.close(_SECONDS_TO_CLOSE)


async def _closed(closing: Awaitable[object], errors: tuple[type[Exception], ...]) -> None:
    """Close, unless the broker does not answer: that must not keep a worker from its end."""
    with suppress(*errors):
        async with asyncio.timeout(_SECONDS_TO_CLOSE):
            await closing


async def _reached(answer: Awaitable[object], errors: tuple[type[Exception], ...]) -> None:
    try:
        await answer
    except errors as error:
        failure = type(error).__name__
    else:
        return
    raise BrokerUnreachable(
        f"the broker cannot be reached ({failure}): look at its URL, and whether it is up"
    )


async def _tables_made(queue: PostgresQueue) -> None:
    """Wait for SAQ's tables: of several workers that start at once, it has one make them, and lets
    the others go on.

    That one may be killed before it is done.
    """
    import psycopg

    async with asyncio.timeout(_SECONDS_FOR_THE_TABLES):
        while True:
            try:
                await queue.info()
            except psycopg.errors.UndefinedTable:
                await asyncio.sleep(0.1)
                await queue.init_db()
            else:
                return
