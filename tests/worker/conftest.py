"""Both brokers, on real servers; a store in a file, a sandbox, and runners of jobs on them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from redis import Redis

from telepath_async import Secret
from telepath_async.sandbox import Sandbox
from telepath_async.worker import BrokerUrl
from telepath_async.worker.file_store import FileStore
from tests.support.services import missing, postgres_server, postgres_url
from tests.support.services import redis_url as redis_server
from tests.worker.running import RunnerOn, accounts_of, file_store, runner_of

__all__ = ["postgres_server", "postgres_url", "redis_server"]


@pytest.fixture
def redis_url(redis_server: str) -> Iterator[str]:
    """Yield the URL of a Redis database of our own, empty at first and again in the end.

    Others may test on this server too.
    """
    server = redis_server.rstrip("/")
    url = (
        server
        if server.removeprefix("redis://").count("/")
        else f"{server}/{_free_database(server)}"
    )
    yield url
    with Redis.from_url(url) as client:
        client.flushdb()


def _free_database(server: str) -> int:
    """Return the first database from 9 on that is empty, and mark it as ours."""
    for number in range(9, 16):
        with Redis.from_url(f"{server}/{number}") as client:
            if client.set("telepath:tests", os.getpid(), nx=True):
                if client.dbsize() == 1:
                    return number
                client.delete("telepath:tests")
    return missing("Redis", f"the databases 9 to 15 of {server} are not empty")


@pytest.fixture
def postgres_broker_url(postgres_url: str) -> str:
    """The fresh schema, as libpq is told of it."""
    server, _, schema = postgres_url.rpartition("search_path=")
    return f"{server}options=-csearch_path%3D{schema}"


@pytest.fixture(params=["redis", "postgres"])
def broker_arguments(request: pytest.FixtureRequest) -> list[str]:
    """The command's option for each broker."""
    fixture = {"redis": "redis_url", "postgres": "postgres_broker_url"}[request.param]
    return [f"--{request.param}", request.getfixturevalue(fixture)]


@pytest.fixture
def url(broker_arguments: list[str]) -> BrokerUrl:
    option, value = broker_arguments
    return broker_at(option, value)


@pytest.fixture(params=["redis_url", "postgres_broker_url", None])
def broker(request: pytest.FixtureRequest) -> BrokerUrl | None:
    """Each broker, and none."""
    if request.param is None:
        return None
    return broker_at(request.param.partition("_")[0], request.getfixturevalue(request.param))


def broker_at(option: str, url: str) -> BrokerUrl:
    return BrokerUrl(**{option.removeprefix("--"): Secret(url)})


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(trunks=3, calls=300, rate_limit=1_000_000) as sandbox:
        yield sandbox


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FileStore]:
    with closing(file_store(tmp_path)) as store:
        yield store


@pytest.fixture
def runner_on(tmp_path: Path, sandbox: Sandbox, store: FileStore) -> RunnerOn:
    """Return what makes a runner of these jobs, on the sandbox and the store in a file."""
    return lambda jobs, **options: runner_of(accounts_of(tmp_path, sandbox, jobs), store, **options)
