"""Keep the hours that were read; read those again in which something was synced since."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import groupby
from typing import Final

from telepath_async.insights.cells import Cells, add_rows

from .queries import LATE, NOTHING, CallReader

_HOURS_AT_ONCE: Final = 24
_MOST_KEPT: Final = 6_000


class HourCache:
    """The cells of the hours asked for so far; `version` grows with every change in them."""

    def __init__(self, reader: CallReader) -> None:
        self.version = 0
        self._reader = reader
        self._hours: dict[int, Cells] = {}
        self._newest = NOTHING
        self._lock = asyncio.Lock()

    async def load(self, first: int, last: int) -> Mapping[int, Cells]:
        """Return the cells of the hours from `first` to `last` (since 1970), as they are now."""
        async with self._lock:
            await self._forget_changed()
            wanted = range(first, last + 1)
            missing = [hour for hour in wanted if hour not in self._hours]
            for part in _runs(missing):
                await self._read(part)
            if len(self._hours) > _MOST_KEPT:
                self._hours = {hour: self._hours[hour] for hour in wanted}
            return {hour: self._hours[hour] for hour in wanted}

    async def _forget_changed(self) -> None:
        newest, known = await self._reader.newest(), self._newest
        if newest == known:
            return
        self._newest = newest
        self.version += 1
        if newest.accounts != known.accounts:  # one may have a new name
            self._hours.clear()
        elif known.synced_at is not None:
            for hour in await self._reader.hours_synced(known.synced_at - LATE):
                self._hours.pop(hour, None)

    async def _read(self, hours: range) -> None:
        fresh: dict[int, Cells] = {hour: {} for hour in hours}
        async for rows in self._reader.rows(moment(hours[0]), moment(hours[-1] + 1)):
            await asyncio.to_thread(add_rows, fresh, rows)
        for cells in fresh.values():
            for cell in cells.values():
                cell.sort()
        self._hours |= fresh


def moment(hour: int) -> datetime:
    """Return when an hour (since 1970) begins."""
    return datetime.fromtimestamp(hour * 3600, UTC)


def _runs(hours: list[int]) -> Iterator[range]:
    """Return consecutive hours together, up to a day at once."""
    for _, group in groupby(enumerate(hours), lambda pair: pair[1] - pair[0]):
        run = [hour for _, hour in group]
        for begin in range(0, len(run), _HOURS_AT_ONCE):
            part = run[begin : begin + _HOURS_AT_ONCE]
            yield range(part[0], part[-1] + 1)
