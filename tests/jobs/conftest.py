"""A sandbox of three trunks, and a client of it that gives up at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from telepath_async import LocalLimiter, RetryPolicy, TelepathClient
from telepath_async.sandbox import Sandbox


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(trunks=3, calls=0) as sandbox:
        yield sandbox


@pytest.fixture
async def telepath(sandbox: Sandbox) -> AsyncIterator[TelepathClient]:
    async with TelepathClient(
        sandbox.api_key,
        base_url=sandbox.base_url,
        retry=RetryPolicy(max_attempts=1),
        limiter=LocalLimiter(limit=1_000_000, period=1.0),
    ) as telepath:
        yield telepath


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "rotation.ndjson"
