"""A real PostgreSQL for the panels' SQL."""

from tests.support.services import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]
