"""Read and write the sync's tables; a page and its checkpoint are one transaction."""

from __future__ import annotations

import codecs
import re
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Table, exists, func, or_, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from telepath_async import Call, Trunk
from telepath_async.coverage import FINAL, UNDER_WAY, Coverage, RangeWalk

from .database import account_lock, connect, transact
from .migration import make_tables, rename_account
from .report import Changes
from .schema import Row, call_row, calls, encodable, sync_state, trunk_row, trunks

AnyInsert = Any  # both dialects have an Insert of their own, alike in all that is used here
_KEY_HASH: Final = re.compile(r"[0-9a-f]{64}")  # of an account that nobody has named


@asynccontextmanager
async def open_store(
    engine: AsyncEngine, account: str, trunk_id: str | None
) -> AsyncIterator[Store]:
    """Connect, lock, bring the tables up to date; dispose of the engine at the end."""
    try:
        async with connect(engine) as connection, account_lock(connection, account):
            await transact(connection, lambda connection: connection.run_sync(make_tables))
            yield Store(connection, account, trunk_id, await transact(connection, _codec))
    finally:
        await engine.dispose()


class Store:
    """The tables, for one account and one filter (`trunk_id`; None = all)."""

    def __init__(
        self, connection: AsyncConnection, account: str, trunk_id: str | None, codec: str
    ) -> None:
        insert = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}[connection.dialect.name]
        self._connection = connection
        self._account = account
        self._codec = codec
        self._unclaimed = False  # whether there are calls of which nobody knows the account
        self._key = {"account": account, "trunk_id": trunk_id or ""}
        self._upsert_calls = _upsert_changes(insert(calls))
        self._upsert_trunks = _upsert(insert(trunks), trunks)
        self._upsert_state = _upsert(insert(sync_state), sync_state)

    async def take_over(self, key_id: str, listed: Collection[Trunk]) -> None:
        """Give the account's name to what was synced before it had one.

        That is the account of the same key, or else the one whose calls are of the same trunks:
        its key has been replaced.
        """
        old = await transact(
            self._connection, lambda connection: self._nameless(connection, key_id, listed)
        )
        if old is not None:
            async with account_lock(self._connection, old):
                await transact(
                    self._connection,
                    lambda connection: connection.run_sync(rename_account, old, self._account),
                )

    async def _nameless(
        self, connection: AsyncConnection, key_id: str, listed: Collection[Trunk]
    ) -> str | None:
        known: set[str] = set(await connection.scalars(select(sync_state.c.account).distinct()))
        if self._account in known or self._account == key_id:
            return None
        if key_id in known:
            return key_id
        ids = [trunk.id for trunk in listed]
        for account in sorted(filter(_KEY_HASH.fullmatch, known)):
            same = exists().where(calls.c.account == account, calls.c.trunk_id.in_(ids))
            if await connection.scalar(select(same)):
                return account
        return None

    async def save_trunks(self, listed: Collection[Trunk]) -> None:
        """Refresh the account's trunks."""
        rows = self._encodable([trunk_row(trunk, self._account) for trunk in listed])

        async def save(connection: AsyncConnection) -> None:
            if rows:
                await connection.execute(self._upsert_trunks, rows)

        await transact(self._connection, save)

    async def load(self) -> tuple[Coverage | None, RangeWalk | None]:
        """Return what the table covers, and the walk that was cut off."""
        wanted = select(sync_state).where(
            *(sync_state.c[name] == value for name, value in self._key.items())
        )
        unclaimed = select(exists().where(calls.c.account == ""))

        async def read(connection: AsyncConnection) -> Any:
            self._unclaimed = bool(await connection.scalar(unclaimed))
            return (await connection.execute(wanted)).one_or_none()

        row = await transact(self._connection, read)
        if row is None:
            return None, None
        coverage = None if row.watermark is None else Coverage(row.complete_since, row.watermark)
        if row.checkpoint is None:
            return coverage, None
        return coverage, RangeWalk(
            since=row.walk_since,
            until=row.walk_until,
            started=row.walk_started,
            newest=row.walk_newest,
            rows=row.walk_rows,
            uncertain=row.walk_uncertain,
            checkpoint=row.checkpoint,
        )

    async def unstarted(self, last_change: datetime, most: int) -> list[str]:
        """Return calls under way that have no start time, those that have waited longest first.

        What did not change from `last_change` on is left out.
        """
        wanted = (
            select(calls.c.id)
            .where(
                calls.c.account == self._account,
                calls.c.start_time.is_(None),
                calls.c.synced_at >= last_change,
                func.lower(calls.c.status).in_(UNDER_WAY),
                *self._of_trunk(),
            )
            .order_by(calls.c.synced_at)
        )
        found = await transact(
            self._connection, lambda connection: connection.scalars(wanted.limit(most))
        )
        return list(found)

    def _of_trunk(self) -> list[ColumnElement[bool]]:
        trunk_id = self._key["trunk_id"]
        return [calls.c.trunk_id == trunk_id] if trunk_id else []

    async def unfinished(self, since: datetime, until: datetime) -> list[datetime]:
        """Return when the calls began, from `since` to `until`, that had not ended when read."""
        status = func.lower(calls.c.status)
        wanted = select(calls.c.start_time).where(
            calls.c.account == self._account,
            calls.c.start_time.between(since, until),
            or_(calls.c.end_time.is_(None), status.in_(UNDER_WAY)),
            or_(status.is_(None), status.not_in(FINAL)),
            *self._of_trunk(),
        )
        found = await transact(self._connection, lambda connection: connection.scalars(wanted))
        return sorted(found)

    async def save_page(
        self, page: Sequence[Call], coverage: Coverage | None = None, walk: RangeWalk | None = None
    ) -> Changes:
        """Store the calls of a page, together with the position after it in a walk."""
        now = datetime.now(UTC)
        rows = self._encodable([call_row(call, self._account, now) for call in page])
        claim = (
            update(calls)
            .where(calls.c.account == "", calls.c.id.in_([row["id"] for row in rows]))
            .values(account=self._account)
        )

        async def save(connection: AsyncConnection) -> Sequence[int]:
            if walk is not None:
                await connection.execute(self._upsert_state, self._state(coverage, walk, now))
            if not rows:
                return []
            if self._unclaimed:
                await connection.execute(claim)
            return (await connection.scalars(self._upsert_calls, rows)).all()

        revisions = await transact(self._connection, save)
        inserted = revisions.count(1)
        return Changes(inserted, len(revisions) - inserted, len(page) - len(revisions))

    async def save_state(self, coverage: Coverage | None) -> None:
        """Note that the walk has ended, or cannot go on, and what the table covers now."""
        state = self._state(coverage, RangeWalk(since=None, until=None), datetime.now(UTC))
        await transact(
            self._connection, lambda connection: connection.execute(self._upsert_state, state)
        )

    def _encodable(self, rows: list[Row]) -> list[Row]:
        if self._codec == "utf-8":
            return rows
        return [encodable(row, self._codec) for row in rows]

    def _state(self, coverage: Coverage | None, walk: RangeWalk, now: datetime) -> dict[str, Any]:
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


async def _codec(connection: AsyncConnection) -> str:
    """Return Python's name of the database's encoding; ASCII goes into those that it has not."""
    if connection.dialect.name != "postgresql":
        return "utf-8"
    name = str(await connection.scalar(text("SHOW server_encoding"))).lower()
    if name == "sql_ascii":  # it keeps the bytes as they come
        return "utf-8"
    for spelling in (name, name.replace("win", "cp"), name.replace("koi8", "koi8_")):
        with suppress(LookupError):
            return codecs.lookup(spelling).name
    return "ascii"


def _upsert_changes(insert: AnyInsert) -> AnyInsert:
    """Write calls that are new or differ; return the revision of each row written."""
    given = insert.excluded
    compared = [
        column.name
        for column in calls.columns
        if not column.primary_key and column.name not in ("revision", "synced_at")
    ]
    return insert.on_conflict_do_update(
        index_elements=list(calls.primary_key),
        set_={name: given[name] for name in compared}
        | {"synced_at": given.synced_at, "revision": calls.c.revision + 1},
        where=or_(*(calls.c[name].is_distinct_from(given[name]) for name in compared)),
    ).returning(calls.c.revision)


def _upsert(insert: AnyInsert, table: Table) -> AnyInsert:
    """Write rows, in place of those with the same key."""
    return insert.on_conflict_do_update(
        index_elements=list(table.primary_key),
        set_={
            column.name: insert.excluded[column.name]
            for column in table.columns
            if not column.primary_key
        },
    )
