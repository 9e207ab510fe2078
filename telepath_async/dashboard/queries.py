"""Every question that the dashboard asks the database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Final

from attrs import evolve, frozen
from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from telepath_async import UsageError
from telepath_async.insights.cells import Filter, hour_of
from telepath_async.sync.database import connect
from telepath_async.sync.reading import CallRow, has_tables, read_rows, second_of, sqlite_path
from telepath_async.sync.schema import calls, sync_state, trunks

MOST_CALLS: Final = 200
# A page is stamped before it is committed, on a host whose clock may be behind.
LATE: Final = timedelta(minutes=2)
_HOUR_CHARACTERS: Final = 13  # 2026-11-28 14
_LISTED: Final = (
    calls.c.account,
    calls.c.id,
    calls.c.trunk_id,
    calls.c.start_time,
    calls.c.direction,
    calls.c.status,
    calls.c.duration_seconds,
    calls.c.carrier_lag_ms,
    calls.c.ai_latency_ms,
    calls.c.gateway_processing_ms,
)


@frozen
class Newest:
    """When the newest row was synced, and whose calls there are.

    `revisions`: of the rows of about that time, in sum: an older stamp may be committed later.
    """

    synced_at: datetime | None
    revisions: int | None
    accounts: frozenset[str]


NOTHING: Final = Newest(None, None, frozenset())


class CallReader:
    """Read what a sync has stored; a database without its tables has no calls."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._path = sqlite_path(engine)
        self._ready = False

    def check_exists(self) -> None:
        """Raise UsageError where the database is a file that is not there."""
        if self._path is not None and not self._path.exists():
            raise UsageError(f"there is no database {self._path}: sync into it first")

    async def close(self) -> None:
        """Let the connections go."""
        await self._engine.dispose()

    async def newest(self) -> Newest:
        """Return when the newest row was synced, and whose calls there are."""
        async with self._connected() as connection:
            if connection is None:
                return NOTHING
            accounts = await connection.scalars(select(sync_state.c.account).distinct())
            synced_at = await connection.scalar(select(func.max(calls.c.synced_at)))
            if synced_at is None:
                return evolve(NOTHING, accounts=frozenset(accounts))
            revisions = await connection.scalar(
                select(func.sum(calls.c.revision)).where(calls.c.synced_at >= synced_at - LATE)
            )
            return Newest(synced_at, revisions, frozenset(accounts))

    async def hours_synced(self, since: datetime) -> set[int]:
        """Return the hours that have rows which were synced from `since` on."""
        second = second_of(calls.c.start_time, self._engine.dialect.name)
        hour = func.substr(second, 1, _HOUR_CHARACTERS)
        wanted = select(hour).distinct()
        synced = wanted.where(calls.c.start_time.is_not(None), calls.c.synced_at >= since)
        async with self._connected() as connection:
            assert connection is not None  # there is a newest row
            return {hour_of(text) for text in await connection.scalars(synced)}

    async def rows(self, since: datetime, until: datetime) -> AsyncIterator[Sequence[CallRow]]:
        """Read the calls that started from `since` to before `until`."""
        async with self._connected() as connection:
            if connection is None:
                return
            async for rows in read_rows(connection, since, until):
                yield rows

    async def trunks(self) -> list[dict[str, Any]]:
        """Return the trunks: account, id, name, provider, status."""
        columns = (trunks.c.account, trunks.c.id, trunks.c.name, trunks.c.status)
        return await self._dicts(
            select(*columns, trunks.c.ai_provider.label("provider")).order_by(trunks.c.name)
        )

    async def sync_states(self) -> list[dict[str, Any]]:
        """Return how far each account is synced, of all its trunks."""
        wanted = select(
            sync_state.c.account,
            sync_state.c.complete_since,
            sync_state.c.watermark,
            sync_state.c.updated_at,
            sync_state.c.walk_rows,
            sync_state.c.checkpoint.is_not(None).label("under_way"),
        ).where(sync_state.c.trunk_id == "")
        return await self._dicts(wanted.order_by(sync_state.c.account))

    async def calls(
        self, wanted: Filter, since: datetime, until: datetime, status: str | None
    ) -> list[dict[str, Any]]:
        """Return the newest calls of a time, one more than `MOST_CALLS` where there are more."""
        conditions = [*_conditions(wanted), *_between(since, until)]
        if status is not None:
            conditions.append(calls.c.status == status)
        newest = select(*_LISTED).where(*conditions).order_by(calls.c.start_time.desc(), calls.c.id)
        return await self._dicts(newest.limit(MOST_CALLS + 1))

    async def slowest(
        self, wanted: Filter, hours: Sequence[tuple[datetime, datetime]], least_ms: float, most: int
    ) -> list[dict[str, Any]]:
        """Return the calls of these hours with the largest AI latency, from `least_ms` on."""
        if not hours:
            return []
        in_hours = or_(*(and_(*_between(since, until)) for since, until in hours))
        slow = select(*_LISTED).where(
            *_conditions(wanted), in_hours, calls.c.ai_latency_ms >= least_ms
        )
        ordered = slow.order_by(calls.c.ai_latency_ms.desc(), calls.c.start_time.desc(), calls.c.id)
        return await self._dicts(ordered.limit(most))

    async def call(self, account: str, call_id: str) -> dict[str, Any] | None:
        """Return one call as it was synced."""
        wanted = select(*_LISTED, calls.c.end_time, calls.c.from_number, calls.c.to_number).where(
            calls.c.account == account, calls.c.id == call_id
        )
        return next(iter(await self._dicts(wanted)), None)

    async def _dicts(self, wanted: Any) -> list[dict[str, Any]]:
        async with self._connected() as connection:
            if connection is None:
                return []
            return [dict(row) for row in (await connection.execute(wanted)).mappings()]

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsyncConnection | None]:
        if self._path is not None and not self._path.exists():
            yield None
            return
        async with connect(self._engine) as connection:
            self._ready = self._ready or await has_tables(connection)
            yield connection if self._ready else None


def _between(since: datetime, until: datetime) -> list[ColumnElement[bool]]:
    return [calls.c.start_time >= since, calls.c.start_time < until]


def _conditions(wanted: Filter) -> list[ColumnElement[bool]]:
    chosen = (
        (calls.c.account, wanted.account),
        (calls.c.trunk_id, wanted.trunk),
        (calls.c.direction, wanted.direction),
    )
    return [func.coalesce(column, "") == value for column, value in chosen if value is not None]
