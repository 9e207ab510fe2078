"""Both databases: SQLite in a file, and a real PostgreSQL."""

from pathlib import Path

import pytest

from .services import postgres_server, postgres_url

__all__ = ["database_url", "postgres_server", "postgres_url", "sqlite_url"]


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/calls.db"


@pytest.fixture(params=["sqlite_url", "postgres_url"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Both databases, unless a test names one."""
    url: str = request.getfixturevalue(request.param)
    return url
