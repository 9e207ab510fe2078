"""Both brokers, on real servers."""

from __future__ import annotations

import pytest

from tests.services import postgres_server, postgres_url, redis_server, redis_url

__all__ = ["postgres_server", "postgres_url", "redis_server", "redis_url"]


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
