"""Sandboxes in both styles, SQLite on disk and a real PostgreSQL, and the tables read back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from telepath_async import LocalLimiter, RetryPolicy, TelepathClient
from telepath_async.sandbox import Sandbox
from tests.support.services import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]


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


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/calls.db"


@pytest.fixture(params=["sqlite_url", "postgres_url"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Both databases, unless a test names one."""
    url: str = request.getfixturevalue(request.param)
    return url


def client_of(sandbox: Sandbox) -> TelepathClient:
    return TelepathClient(
        sandbox.api_key,
        base_url=sandbox.base_url,
        retry=RetryPolicy(max_attempts=1),
        limiter=LocalLimiter(limit=1_000_000, period=1.0),
    )
