"""Fixtures for users' own tests: installing the package is all it takes.

`telepath_sandbox`: a `Sandbox` of its own for each test, with the options of
`@pytest.mark.telepath_sandbox(style="cursor", calls=10)`. `telepath_client`: a `TelepathClient` of
that sandbox. They run under pytest-asyncio, or under anyio's plugin.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from telepath_async import TelepathClient
from telepath_async.sandbox import Sandbox

try:
    import pytest_asyncio

    fixture = (
        pytest_asyncio.fixture
    )  # in its strict mode, pytest-asyncio runs no other async fixtures than its own
except ImportError:  # pragma: no cover  # our own tests run under pytest-asyncio
    fixture = pytest.fixture  # type: ignore[assignment]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "telepath_sandbox(**options): the options of this test's telepath_sandbox"
    )


@fixture
async def telepath_sandbox(request: pytest.FixtureRequest) -> AsyncIterator[Sandbox]:
    """A local server of the Telepath API, on a free port, with data and a key of its own."""
    marker = request.node.get_closest_marker("telepath_sandbox")
    async with Sandbox(**(marker.kwargs if marker else {})) as sandbox:
        yield sandbox


@fixture
async def telepath_client(telepath_sandbox: Sandbox) -> AsyncIterator[TelepathClient]:
    """A client of `telepath_sandbox`."""
    async with TelepathClient(
        telepath_sandbox.api_key, base_url=telepath_sandbox.base_url
    ) as client:
        yield client
