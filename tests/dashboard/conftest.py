"""Both databases, and a PostgreSQL that hangs up."""

from typing import Any

import asyncpg
import pytest

from tests.support.databases import database_url, postgres_server, postgres_url, sqlite_url

__all__ = ["database_url", "postgres_server", "postgres_url", "sqlite_url"]


@pytest.fixture
def postgres_hangs_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each connection end while SQLAlchemy sets it up, where it lets asyncpg's errors pass."""
    set_type_codec = asyncpg.Connection.set_type_codec

    async def end_first(connection: asyncpg.Connection, *args: Any, **options: Any) -> None:
        connection.terminate()
        await set_type_codec(connection, *args, **options)

    monkeypatch.setattr(asyncpg.Connection, "set_type_codec", end_first)
