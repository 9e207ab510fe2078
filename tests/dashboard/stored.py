"""Calls put into the tables without a sync, and SQL run by hand."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert, text

from telepath_async.dashboard.queries import CallReader
from telepath_async.sync.database import make_engine
from telepath_async.sync.migration import make_tables
from telepath_async.sync.reading import make_reader
from telepath_async.sync.schema import calls, sync_state, trunks

NOW = datetime(2026, 11, 27, 14, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


def call(number: int, **fields: Any) -> dict[str, Any]:
    """Return a row of a call, whose fields may be given."""
    return {
        "id": f"call_{number:05}", "account": "acme", "trunk_id": "trunk_1", "extra": {},
        "from_number": "+15550100001", "to_number": "+15559244335", "direction": "inbound",
        "status": "completed", "duration_seconds": 60.0, "start_time": NOW - HOUR,
        "end_time": NOW, "carrier_lag_ms": 60.0, "ai_latency_ms": 250.0,
        "gateway_processing_ms": 15.0, "revision": 1, "synced_at": NOW,
    } | fields  # fmt: skip


def many_calls(count: int, days: int = 14, seed: int = 0) -> list[dict[str, Any]]:
    """Return calls of two accounts and three trunks over some days before `NOW`."""
    rng = random.Random(seed)
    return [
        call(
            number,
            account=rng.choice(("acme", "beta")),
            trunk_id=rng.choice(("trunk_1", "trunk_2", None)),
            direction=rng.choice(("inbound", "outbound")),
            status=rng.choice(("completed", "completed", "completed", "disconnected", "failed")),
            start_time=NOW - timedelta(seconds=rng.randrange(days * 86_400)),
            ai_latency_ms=rng.choice((None, *(float(rng.randrange(150, 900)) for _ in range(9)))),
            carrier_lag_ms=rng.uniform(20, 200),
        )
        for number in range(count)
    ]


def trunk(trunk_id: str, account: str = "acme", name: str = "A trunk") -> dict[str, Any]:
    return {
        "id": trunk_id, "account": account, "name": name, "ai_provider": "openai",
        "status": "active", "sip_username": trunk_id, "created_at": NOW, "updated_at": NOW,
        "extra": {},
    }  # fmt: skip


def state(account: str = "acme", **fields: Any) -> dict[str, Any]:
    return {
        "account": account, "trunk_id": "", "complete_since": None, "watermark": NOW,
        "walk_rows": 0, "walk_uncertain": 0, "checkpoint": None, "updated_at": NOW,
    } | fields  # fmt: skip


async def store(
    database_url: str,
    rows: Sequence[dict[str, Any]] = (),
    *,
    known: Sequence[dict[str, Any]] = (),
    states: Sequence[dict[str, Any]] = (),
) -> None:
    """Make the tables where they are missing, and put rows into them."""
    engine = make_engine(database_url)
    async with engine.begin() as connection:
        await connection.run_sync(make_tables)
        for table, values in ((calls, rows), (trunks, known), (sync_state, states)):
            if values:
                await connection.execute(insert(table), list(values))
    await engine.dispose()


async def run_sql(database_url: str, statement: str, **values: Any) -> list[Any]:
    """Run SQL by hand, and return its rows."""
    engine = make_engine(database_url)
    async with engine.begin() as connection:
        result = await connection.execute(text(statement), values)
        rows = list(result.all()) if result.returns_rows else []
    await engine.dispose()
    return rows


@asynccontextmanager
async def reading(database_url: str):  # type: ignore[no-untyped-def]
    """Give a reader of the database."""
    reader = CallReader(make_reader(database_url))
    try:
        yield reader
    finally:
        await reader.close()
