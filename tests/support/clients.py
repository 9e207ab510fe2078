"""Sandboxes in both styles, and a client that neither retries nor waits."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from telepath_async import LocalLimiter, RetryPolicy, TelepathClient
from telepath_async.sandbox import Sandbox


@pytest.fixture(params=["offset", "cursor"])
def style(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def client_of(sandbox: Sandbox) -> TelepathClient:
    return TelepathClient(
        sandbox.api_key,
        base_url=sandbox.base_url,
        retry=RetryPolicy(max_attempts=1),
        limiter=LocalLimiter(limit=1_000_000, period=1.0),
    )


@pytest.fixture
async def telepath(sandbox: Sandbox) -> AsyncIterator[TelepathClient]:
    """A client of the room's own `sandbox`."""
    async with client_of(sandbox) as telepath:
        yield telepath


def posts(sandbox: Sandbox) -> int:
    return sum(request.method == "POST" for request in sandbox.requests)
