"""What stands in the tables, and what should: both as {id: {column: value}}."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Table, select, update

from telepath_async.sandbox import Sandbox
from telepath_async.sync.database import make_engine
from telepath_async.sync.schema import calls, sync_state

Rows = dict[str, dict[str, Any]]

OURS = ("revision", "synced_at", "account")


async def stored(database_url: str) -> Rows:
    """Return the table of calls without what the server does not say."""
    return {
        key: {name: value for name, value in row.items() if name not in OURS}
        for key, row in (await whole_rows(database_url)).items()
    }


async def whole_rows(database_url: str) -> Rows:
    engine = make_engine(database_url)
    async with engine.connect() as connection:
        rows = (await connection.execute(select(calls))).mappings().all()
    await engine.dispose()
    return {row["id"]: dict(row) for row in rows}


async def read(database_url: str, question: Any) -> list[Any]:
    engine = make_engine(database_url)
    async with engine.connect() as connection:
        rows = (await connection.execute(question)).all()
    await engine.dispose()
    return [tuple(row) for row in rows]


async def change_state(database_url: str, **values: Any) -> None:
    """Overwrite columns of the sync's state."""
    await _update(database_url, sync_state, values)


async def change_calls(database_url: str, **values: Any) -> None:
    """Overwrite columns of all calls."""
    await _update(database_url, calls, values)


async def _update(database_url: str, table: Table, values: dict[str, Any]) -> None:
    engine = make_engine(database_url)
    async with engine.begin() as connection:
        await connection.execute(update(table).values(**values))
    await engine.dispose()


def asked_for_calls(sandbox: Sandbox) -> int:
    """Return how many times the list of calls was asked for."""
    return sum(request.path.endswith("/calls") for request in sandbox.requests)


def truth(sandbox: Sandbox) -> Rows:
    """Return the server's calls as the table should show them."""
    return {key: _as_row(call) for key, call in sandbox.calls.items()}


def _as_row(call: dict[str, Any]) -> dict[str, Any]:
    row = dict(call)
    row |= {"from_number": row.pop("from"), "to_number": row.pop("to")}
    row |= {
        name: row[name] and datetime.fromisoformat(row[name]) for name in ("start_time", "end_time")
    }
    columns = {column.name for column in calls.columns}
    extra = {name: row.pop(name) for name in list(row) if name not in columns}
    return row | {"extra": extra}
