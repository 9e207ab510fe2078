"""A database as version 0.1 left it: calls without an account, and the state of each API key."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import column, insert, table

from telepath_async import TelepathClient
from telepath_async.sync.database import make_engine
from telepath_async.sync.schema import call_row, calls, sync_state

_TABLES: Final = """
CREATE TABLE telepath_calls (
    id TEXT NOT NULL, trunk_id TEXT, from_number TEXT, to_number TEXT, direction TEXT, status TEXT,
    duration_seconds {double}, start_time {time}, end_time {time}, carrier_lag_ms {double},
    ai_latency_ms {double}, gateway_processing_ms {double}, extra {json} NOT NULL,
    revision INTEGER NOT NULL, synced_at {time} NOT NULL, PRIMARY KEY (id));
CREATE INDEX telepath_calls_by_status ON telepath_calls (status, start_time);
CREATE INDEX telepath_calls_by_time ON telepath_calls (start_time);
CREATE INDEX telepath_calls_by_trunk ON telepath_calls (trunk_id, start_time);
CREATE TABLE telepath_sync_state (
    account TEXT NOT NULL, trunk_id TEXT NOT NULL, complete_since {time}, watermark {time},
    walk_since {time}, walk_until {time}, walk_started {time}, walk_newest {time},
    walk_rows INTEGER NOT NULL, walk_uncertain INTEGER NOT NULL, checkpoint TEXT,
    updated_at {time} NOT NULL, PRIMARY KEY (account, trunk_id));
"""
_TYPES: Final = {
    "sqlite": {"double": "DOUBLE", "time": "DATETIME", "json": "JSON"},
    "postgresql": {
        "double": "DOUBLE PRECISION",
        "time": "TIMESTAMP WITH TIME ZONE",
        "json": "JSONB",
    },
}
# What people add to a table of theirs.
_OF_THE_USER: Final = """
CREATE INDEX my_index ON telepath_calls (from_number);
CREATE VIEW my_view AS SELECT id, status FROM telepath_calls;
"""

_old_calls = table(
    calls.name, *(column(one.name, one.type) for one in calls.columns if one.name != "account")
)


async def make_old_database(database_url: str, clients: Iterable[TelepathClient]) -> None:
    """Make it, with every call of these clients, all of them complete up to their newest call."""
    engine = make_engine(database_url)
    async with engine.begin() as connection:
        statements = (_TABLES + _OF_THE_USER).format(**_TYPES[connection.dialect.name])
        for statement in filter(str.strip, statements.split(";")):
            await connection.exec_driver_sql(statement)
        for client in clients:
            listed = await client.calls.list().collect()
            now = datetime.now(UTC)
            rows = [call_row(call, "", now) for call in listed]
            for row in rows:
                del row["account"]
            state = {
                "account": client.key_id,
                "trunk_id": "",
                "watermark": max(call.start_time for call in listed if call.start_time),
                "walk_rows": 0,
                "walk_uncertain": 0,
                "updated_at": now,
            }
            await connection.execute(insert(_old_calls), rows)
            await connection.execute(insert(sync_state), state)
    await engine.dispose()
