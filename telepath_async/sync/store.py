"""Read and write the sync's tables; a page and its checkpoint are one transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

from attrs import frozen
from sqlalchemy import Connection, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from telepath_async import Call

from .database import alone, connect, transact
from .plan import Coverage, Walk
from .schema import call_row, calls, metadata, sync_state

AnyInsert = Any  # both dialects have an Insert of their own, alike in all that is used here
_DDL_LOCK: Final = 7_354_031  # any number: two accounts may be the first at once


@frozen
class Changes:
    """What a page changed in the table, in rows."""

    inserted: int
    updated: int
    unchanged: int


@asynccontextmanager
async def open_store(
    engine: AsyncEngine, account: str, trunk_id: str | None
) -> AsyncIterator[Store]:
    """Connect, lock, and make missing tables; dispose of the engine at the end."""
    try:
        async with connect(engine) as connection, alone(connection, account):
            await transact(connection, lambda connection: connection.run_sync(_make_tables))
            yield Store(connection, account, trunk_id)
    finally:
        await engine.dispose()


class Store:
    """The tables, for one account and one filter (`trunk_id`; None = all)."""

    def __init__(self, connection: AsyncConnection, account: str, trunk_id: str | None) -> None:
        insert = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}[connection.dialect.name]
        self._connection = connection
        self._key = {"account": account, "trunk_id": trunk_id or ""}
        self._upsert_calls = _upsert_calls(insert(calls))
        self._upsert_state = _upsert_state(insert(sync_state))

    async def load(self) -> tuple[Coverage | None, Walk | None]:
        """Return what the table covers, and the walk that was cut off."""
        wanted = select(sync_state).where(
            *(sync_state.c[name] == value for name, value in self._key.items())
        )
        row = (
            await transact(self._connection, lambda connection: connection.execute(wanted))
        ).one_or_none()
        if row is None:
            return None, None
        coverage = None if row.watermark is None else Coverage(row.complete_since, row.watermark)
        if row.checkpoint is None:
            return coverage, None
        return coverage, Walk(
            since=row.walk_since,
            until=row.walk_until,
            started=row.walk_started,
            newest=row.walk_newest,
            rows=row.walk_rows,
            uncertain=row.walk_uncertain,
            checkpoint=row.checkpoint,
        )

    async def save_page(
        self, page: Sequence[Call], coverage: Coverage | None, walk: Walk
    ) -> Changes:
        """Take over the calls of a page together with the place behind it."""
        now = datetime.now(UTC)
        rows = [call_row(call, now) for call in page]

        async def save(connection: AsyncConnection) -> Sequence[int]:
            await connection.execute(self._upsert_state, self._state(coverage, walk, now))
            return (await connection.scalars(self._upsert_calls, rows)).all() if rows else []

        revisions = await transact(self._connection, save)
        inserted = revisions.count(1)
        return Changes(inserted, len(revisions) - inserted, len(page) - len(revisions))

    async def save_state(self, coverage: Coverage | None) -> None:
        """Note that the walk has ended, or cannot go on, and what the table covers now."""
        state = self._state(coverage, Walk(since=None, until=None), datetime.now(UTC))
        await transact(
            self._connection, lambda connection: connection.execute(self._upsert_state, state)
        )

    def _state(self, coverage: Coverage | None, walk: Walk, now: datetime) -> dict[str, Any]:
        return self._key | {
            "complete_since": coverage and coverage.since,
            "watermark": coverage and coverage.watermark,
            "walk_since": walk.since,
            "walk_until": walk.until,
            "walk_started": walk.started,
            "walk_newest": walk.newest,
            "walk_rows": walk.rows,
            "walk_uncertain": walk.uncertain,
            "checkpoint": walk.checkpoint,
            "updated_at": now,
        }


def _upsert_calls(insert: AnyInsert) -> AnyInsert:
    """Write what is new or differs; return the revision of each row written."""
    given = insert.excluded
    compared = [
        column.name
        for column in calls.columns
        if column.name not in ("id", "revision", "synced_at")
    ]
    return insert.on_conflict_do_update(
        index_elements=[calls.c.id],
        set_={name: given[name] for name in compared}
        | {"synced_at": given.synced_at, "revision": calls.c.revision + 1},
        where=or_(*(calls.c[name].is_distinct_from(given[name]) for name in compared)),
    ).returning(calls.c.revision)


def _upsert_state(insert: AnyInsert) -> AnyInsert:
    given = insert.excluded
    return insert.on_conflict_do_update(
        index_elements=[sync_state.c.account, sync_state.c.trunk_id],
        set_={
            column.name: given[column.name]
            for column in sync_state.columns
            if not column.primary_key
        },
    )


def _make_tables(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_DDL_LOCK)))
    metadata.create_all(connection)
