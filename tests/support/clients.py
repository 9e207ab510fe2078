"""Sandboxes in both styles, and a client that neither retries nor waits."""

from __future__ import annotations

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
