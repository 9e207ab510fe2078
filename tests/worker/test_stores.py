"""Where statuses are kept: the same with both brokers and in a file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from attrs import evolve

from telepath_async import Secret
from telepath_async.worker.file_store import FileStore
from telepath_async.worker.service import BrokerUrl
from telepath_async.worker.status import first_status
from telepath_async.worker.stores import PostgresStore, RedisStore, StatusStore
from tests.worker.running import file_store
from tests.worker.statuses import LATER, NOW, sync_job


@pytest.fixture(params=["redis_url", "postgres_broker_url", None])
def broker_url(request: pytest.FixtureRequest) -> BrokerUrl | None:
    if request.param is None:
        return None
    return BrokerUrl(
        **{request.param.partition("_")[0]: Secret(request.getfixturevalue(request.param))}
    )


@pytest.fixture
async def store(broker_url: BrokerUrl | None, tmp_path: Path) -> AsyncIterator[StatusStore]:
    if broker_url is None:
        with closing(file_store(tmp_path)) as store:
            yield store
    else:
        async with broker_url.connect() as broker:
            yield broker.store


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
    store: StatusStore, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    first = first_status(sync_job(), NOW)
    other = evolve(first, account="other")
    await store.write(first)
    await store.write(other)
    await overwrite(store, first.key, text)
    assert await store.read_all() == [other]
    assert await store.read([first.key, other.key]) == [None, other]
    await store.write(first, keep=True)
    assert await store.read([first.key]) == [first]
    assert "damaged status" in caplog.text
    assert first.key in caplog.text


async def overwrite(store: StatusStore, key: str, text: str) -> None:
    """Put a text in the place of a status, as another program might."""
    if isinstance(store, FileStore):
        store._database.execute("UPDATE status SET status = ? WHERE key = ?", (text, key))
    elif isinstance(store, RedisStore):
        await store._redis.hset(store._hash, key, text)
    elif isinstance(store, PostgresStore):
        update = "UPDATE telepath_worker_status SET status = %s WHERE key = %s"
        async with store._pool.connection() as connection:
            await connection.execute(update, (text, key))
