"""What the tests of several rooms share: an aioresponses that works on today's aiohttp."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import aiohttp
import aioresponses.core as aioresponses_core
import hypothesis
import pytest
from aiohttp.client_proto import ResponseHandler
from aioresponses import aioresponses

from telepath_async.key_state import shared_budget

hypothesis.settings.register_profile("unhurried", deadline=None)  # a slow machine is no failure
hypothesis.settings.load_profile("unhurried")

# aioresponses 0.7.9 breaks on aiohttp 3.14 (`ClientResponse.__init__() missing 'stream_writer'`).
# tests/test_shim.py fails as soon as this is no longer needed.


class _Answer(aiohttp.ClientResponse):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"stream_writer": Mock(output_size=0), **kwargs})


def _stream(loop: asyncio.AbstractEventLoop) -> aiohttp.StreamReader:
    return aiohttp.StreamReader(ResponseHandler(loop=loop), limit=2**30, loop=loop)


@pytest.fixture
def mocked_api(monkeypatch: pytest.MonkeyPatch) -> Iterator[aioresponses]:
    """Answer for aiohttp's sessions without a socket.

    Middlewares, tracing and timeouts never run under it.
    """
    monkeypatch.setattr(aioresponses_core, "ClientResponse", _Answer)
    monkeypatch.setattr(aioresponses_core, "stream_reader_factory", _stream)
    with aioresponses() as mocked:
        yield mocked


@pytest.fixture(autouse=True, scope="session")
def unmeasured_processes() -> None:
    """Measure the coverage of the tests' own processes only.

    Those that they start run at their own speed, and are killed.
    """
    os.environ.pop("COVERAGE_PROCESS_CONFIG", None)


@pytest.fixture(autouse=True)
def fresh_budgets() -> None:
    """Let no test pay for the retries of another one, whose server had the same port."""
    shared_budget.cache_clear()
