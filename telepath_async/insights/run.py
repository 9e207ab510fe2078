"""`explain`: read the hours that are needed, and compare them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import MAXYEAR, UTC, datetime, timedelta
from functools import partial
from typing import Final, TypeAlias

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from telepath_async import Secret, UsageError
from telepath_async.checks import check_time, check_whole
from telepath_async.sync.database import connect
from telepath_async.sync.reading import has_tables, make_reader, read_rows, sqlite_path
from telepath_async.sync.schema import trunks

from .cells import Cells, add_rows
from .explanation import Explanation, Providers, explain_periods, explain_week

Times: TypeAlias = tuple[datetime, datetime]

WEEK: Final = timedelta(days=7)


async def explain(
    database_url: str | Secret,
    *,
    before: Times | None = None,
    after: Times | None = None,
    account: str | None = None,
    seed: int = 0,
    now: datetime | None = None,
) -> Explanation:
    """Find who is to blame for slow or failing calls, since when, from what was synced.

    `before`, `after`: two periods (aware datetimes), the earlier one first, taken to whole hours
    (an hour in which one ends and the other begins is of `after`); without them, the change that
    stands out most in the 7 days before `now` (the present). `account`: only its calls. `seed`: of
    the resampling for the intervals.

    Raises UsageError for options that make no sense, or a database that is not there.
    """
    moment = datetime.now(UTC) if now is None else check_time("now", now)
    check_whole("seed", seed, least=0)
    if (before is None) != (after is None):
        raise UsageError("give both before and after, or neither")
    periods = [_hours("now", (moment - WEEK, moment))]
    if before is not None and after is not None:
        periods = _compared(_hours("before", before), _hours("after", after))
    engine = make_reader(database_url)
    path = sqlite_path(engine)
    if path is not None and not path.exists():
        raise UsageError(f"there is no database {path}: sync into it first")
    try:
        async with connect(engine) as connection:
            hours, known = await _read(connection, periods)
    finally:
        await engine.dispose()
    if len(periods) == 1:
        answer = partial(explain_week, hours, periods[0], known, account=account, seed=seed)
    else:
        answer = partial(
            explain_periods, hours, periods[0], periods[1], known, account=account, seed=seed
        )
    return await asyncio.to_thread(answer)


def _hours(name: str, times: Times) -> range:
    since, until = (check_time(name, moment) for moment in times)
    hours = range(int(since.timestamp()) // 3600, -(-int(until.timestamp()) // 3600))
    if not hours:
        raise UsageError(f"{name} must end after it begins, not {until} after {since}")
    if hours.start < 0 or until.year == MAXYEAR:
        raise UsageError(f"{name} must lie between 1970 and {MAXYEAR}, not {since} to {until}")
    return hours


def _compared(before: range, after: range) -> list[range]:
    """Return both without an hour of `before` in which `after` begins: no call is of both."""
    alone = range(before.start, min(before.stop, after.start))
    if not alone or before.stop > after.start + 1:
        raise UsageError(
            "before must end before after begins; give two periods that do not overlap"
        )
    return [alone, after]


async def _read(
    connection: AsyncConnection, periods: list[range]
) -> tuple[Mapping[int, Cells], Providers]:
    hours: dict[int, Cells] = {hour: {} for period in periods for hour in period}
    if not await has_tables(connection):
        raise UsageError("nothing has been synced into this database: telepath calls sync")
    for period in periods:
        since, until = (
            datetime.fromtimestamp(hour * 3600, UTC) for hour in (period.start, period.stop)
        )
        async for rows in read_rows(connection, since, until):
            await asyncio.to_thread(add_rows, hours, rows)
    wanted = select(trunks.c.account, trunks.c.id, trunks.c.name, trunks.c.ai_provider)
    found = await connection.execute(wanted)
    return hours, {
        (account, trunk_id): (name or trunk_id, provider or "")
        for account, trunk_id, name, provider in found
    }
