"""A real PostgreSQL beside SQLite."""

from pathlib import Path

import pytest

from tests.support.services import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/calls.db"


@pytest.fixture(params=["sqlite_url", "postgres_url"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Both databases."""
    url: str = request.getfixturevalue(request.param)
    return url
