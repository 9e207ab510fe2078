"""Provide a sandbox over a real socket and a client of it.

Each sandbox has a key of its own, hence a limiter of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from telepath_async import RetryPolicy, TelepathClient
from telepath_async.sandbox import Sandbox


@pytest.fixture(params=["offset", "cursor"])
def style(request: pytest.FixtureRequest) -> str:
    """Both styles, unless a test names one."""
    name: str = request.param
    return name


@pytest.fixture
async def sandbox(style: str) -> AsyncIterator[Sandbox]:
    async with Sandbox(style=style, trunks=3, calls=12) as sandbox:  # type: ignore[arg-type]
        yield sandbox


@pytest.fixture
async def telepath(sandbox: Sandbox) -> AsyncIterator[TelepathClient]:
    retry = RetryPolicy(backoff=0.001)
    async with TelepathClient(sandbox.api_key, base_url=sandbox.base_url, retry=retry) as telepath:
        yield telepath
