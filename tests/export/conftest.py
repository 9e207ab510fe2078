"""Sandboxes in both styles, a client that waits for nothing, and the three formats read back."""

from __future__ import annotations

import csv
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from telepath_async.sandbox import Sandbox
from tests.support.clients import style, telepath

__all__ = ["style", "telepath"]


@pytest.fixture(params=["parquet", "csv", "ndjson"])
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
async def sandbox(style: str) -> AsyncIterator[Sandbox]:
    async with Sandbox(style=style, trunks=3, calls=250) as sandbox:  # type: ignore[arg-type]
        yield sandbox


def rows_in(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a file by its ending, in the types that the format has."""
    if path.suffix == ".parquet":
        rows: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
        return rows
    if path.suffix == ".ndjson":
        return [json.loads(line) for line in path.read_bytes().splitlines()]
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, strict=True))
