"""A sandbox of three trunks, and a client of it that gives up at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from telepath_async.sandbox import Sandbox
from tests.support.clients import telepath

__all__ = ["telepath"]


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(trunks=3, calls=0) as sandbox:
        yield sandbox


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "rotation.ndjson"
