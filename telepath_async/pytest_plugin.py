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

    # In its strict mode, pytest-asyncio runs no other async fixtures than its own.
    fixture = pytest_asyncio.fixture
except ImportError:  # pragma: no cover  # our own tests run under pytest-asyncio
    fixture = pytest.fixture  # type: ignore[assignment]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "telepath_sandbox(**options): the options of this test's telepath_sandbox"
    )


@fixture
async def telepath_sandbox(request: pytest.FixtureRequest) -> AsyncIterator[Sandbox]:
    """A local server of the Telepath API, on a free port, with data and a key of its own."""
    _check_loops(request)
    marker = request.node.get_closest_marker("telepath_sandbox")
    if marker is not None and marker.args:
        pytest.fail(
            f"telepath_sandbox takes its options by name, such as style='cursor', not "
            f"{marker.args!r}",
            pytrace=False,
        )
    async with Sandbox(**(marker.kwargs if marker else {})) as sandbox:
        yield sandbox


@fixture
async def telepath_client(telepath_sandbox: Sandbox) -> AsyncIterator[TelepathClient]:
    """A client of `telepath_sandbox`."""
    async with TelepathClient(
        telepath_sandbox.api_key, base_url=telepath_sandbox.base_url
    ) as client:
        yield client


def _check_loops(request: pytest.FixtureRequest) -> None:
    """Fail a test that pytest-asyncio runs on another loop than these fixtures: it would hang."""
    marker = request.node.get_closest_marker("asyncio")
    if marker is None:
        return
    fixtures = request.config.getini("asyncio_default_fixture_loop_scope") or "function"
    test = marker.kwargs.get("loop_scope") or request.config.getini(
        "asyncio_default_test_loop_scope"
    )
    if test != fixtures:
        pytest.fail(
            f"this test has loop_scope={test!r}, and telepath_sandbox and telepath_client run on "
            f"the loop of scope {fixtures!r}, so that the test would hang: set "
            f"asyncio_default_fixture_loop_scope = {test!r} in pytest's configuration, or take "
            "loop_scope out of the test's mark",
            pytrace=False,
        )
