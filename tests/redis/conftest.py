from collections.abc import Iterator

import pytest

from tests.redis.world import World, made_up
from tests.support.services import redis_url

__all__ = ["redis_url"]


@pytest.fixture
def world(redis_url: str) -> Iterator[World]:
    """A world of its own, on a loop in whose time nothing takes long."""
    with made_up(redis_url) as world:
        yield world
