"""Sandboxes in both styles, SQLite on disk and a real PostgreSQL, and the tables read back."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from telepath_async.sandbox import Sandbox
from tests.support.clients import style, telepath
from tests.support.databases import database_url, postgres_server, postgres_url, sqlite_url

__all__ = ["database_url", "postgres_server", "postgres_url", "sqlite_url", "style", "telepath"]


@pytest.fixture
def calls() -> int:
    """How many calls the sandbox begins with; tests override it by `parametrize`."""
    return 250


@pytest.fixture
async def sandbox(style: str, calls: int) -> AsyncIterator[Sandbox]:
    async with Sandbox(style=style, trunks=3, calls=calls) as sandbox:  # type: ignore[arg-type]
        yield sandbox
