"""Where statuses are kept: the same with both brokers and in a file."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from attrs import evolve
from redis import Redis

from telepath_async.worker import BrokerUrl
from telepath_async.worker.status import first_status
from telepath_async.worker.stores import StatusStore
from tests.worker.running import file_store
from tests.worker.statuses import LATER, NOW, sync_job


@pytest.fixture
async def store(broker: BrokerUrl | None, tmp_path: Path) -> AsyncIterator[StatusStore]:
    if broker is None:
        with closing(file_store(tmp_path)) as store:
            yield store
    else:
        async with broker.connect() as connected:
            yield connected.store


async def test_a_status_is_kept_and_replaced(store: StatusStore) -> None:
    first = first_status(sync_job(), NOW)
    other = evolve(first, account="other")
    assert await store.read([]) == []
    assert await store.read(["acme:sync"]) == [None]
    await store.write(first)
    await store.write(other)
    assert await store.read(["other:sync", "nobody:sync", "acme:sync"]) == [other, None, first]
    changed = evolve(first, next_run=LATER)
    await store.write(changed)
    assert sorted(await store.read_all(), key=lambda status: status.key) == [changed, other]


async def test_a_status_that_is_there_is_kept_on_request(store: StatusStore) -> None:
    first = first_status(sync_job(), NOW)
    await store.write(first, keep=True)
    await store.write(evolve(first, next_run=LATER), keep=True)
    assert await store.read_all() == [first]


@pytest.mark.parametrize("text", ["not JSON", "[]", '{"account": "acme", "job": "sync"}'])
async def test_a_damaged_status_costs_its_own_job_alone_and_is_replaced(
    store: StatusStore,
    broker: BrokerUrl | None,
    tmp_path: Path,
    text: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = first_status(sync_job(), NOW)
    other = evolve(first, account="other")
    await store.write(first)
    await store.write(other)
    await overwrite(broker, tmp_path, first.key, text)
    assert await store.read_all() == [other]
    assert await store.read([first.key, other.key]) == [None, other]
    await store.write(first, keep=True)
    assert await store.read([first.key]) == [first]
    assert "damaged status" in caplog.text
    assert first.key in caplog.text


async def overwrite(broker: BrokerUrl | None, folder: Path, key: str, text: str) -> None:
    """Put a text in the place of a status, as another program might."""
    if broker is None:
        with closing(sqlite3.connect(folder / "state", isolation_level=None)) as database:
            database.execute("UPDATE status SET status = ? WHERE key = ?", (text, key))
    elif broker.redis is not None:
        with Redis.from_url(broker.redis.reveal()) as redis:
            redis.hset("telepath:worker:telepath:status", key, text)
    else:
        assert broker.postgres is not None
        with psycopg.connect(broker.postgres.reveal(), autocommit=True) as connection:
            update = "UPDATE telepath_worker_status SET status = %s WHERE key = %s"
            connection.execute(update, (text, key))
