"""Both brokers, on real servers."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from redis import Redis

from tests.support.services import missing, postgres_server, postgres_url
from tests.support.services import redis_url as redis_server

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
