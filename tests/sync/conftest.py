"""Sandboxes in both styles, SQLite on disk and a real PostgreSQL, and the tables read back."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from telepath_async import LocalLimiter, RetryPolicy, TelepathClient
from telepath_async.sandbox import Sandbox
from tests.support.databases import database_url, postgres_server, postgres_url, sqlite_url

__all__ = ["database_url", "postgres_server", "postgres_url", "sqlite_url"]


@pytest.fixture(params=["offset", "cursor"])
def style(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def calls() -> int:
    """How many calls the sandbox begins with; tests override it by `parametrize`."""
    return 250


@pytest.fixture
async def sandbox(style: str, calls: int) -> AsyncIterator[Sandbox]:
    async with Sandbox(style=style, trunks=3, calls=calls) as sandbox:  # type: ignore[arg-type]
        yield sandbox


@pytest.fixture
async def telepath(sandbox: Sandbox) -> AsyncIterator[TelepathClient]:
    async with client_of(sandbox) as telepath:
        yield telepath


def client_of(sandbox: Sandbox) -> TelepathClient:
    return TelepathClient(
        sandbox.api_key,
        base_url=sandbox.base_url,
        retry=RetryPolicy(max_attempts=1),
        limiter=LocalLimiter(limit=1_000_000, period=1.0),
    )
