"""How the rest of a long cursor list comes to be read in parts at once: places ahead, found by
asking for single calls.

With cursors, each page must wait for the one before it. But the cursor behind a call is often the
same in the whole list and under a date filter. So we ask, by date, for calls two, four, eight …
times as far away as we have come, and read on behind each of them, without that filter: what is
sent are the very requests that one chain would send (`Paginator.in_parts`). Thus nothing rests on
the order of the list, on what the server makes of dates, or on every call having a start: where the
server is not as we hope, some requests are wasted, and no row is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

from attrs import define, field

from telepath_async import Call, Paginator, TelepathClient, TelepathError

Place = tuple[str, str]
T = TypeVar("T")

PAGES_ALONE: Final = 10  # fewer are read before the answers have come
_AT_ONCE: Final = 4
_MOST_DOUBLINGS: Final = 16


async def _all(asking: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Await all, or raise the first error.

    TaskGroup and gather take an error beside a cancellation for all there is.
    """
    tasks = [asyncio.ensure_future(each) for each in asking]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for error in [task.exception() for task in tasks if not task.cancelled()]:
        if error is not None:
            raise error
    return [task.result() for task in tasks]


@define(kw_only=True)
class Scout:
    """Follows a walk through `calls` from `since` to `until` for `PAGES_ALONE` pages, and then looks ahead, once."""

    telepath: TelepathClient
    calls: Paginator[Call]
    trunk_id: str | None
    since: datetime | None
    until: datetime | None
    pages: int = 0
    times: list[datetime] = field(factory=list)

    async def look_ahead(self, page: Sequence[Call], before: str | None) -> str | None:
        """Take note of a page and the checkpoint before it. Return a checkpoint in parts, if it is
        time, and they were found.

        It costs from 4 to 18 requests, and is tried only where cursors and times are seen.
        """
        self.pages += 1
        if self.pages > PAGES_ALONE:
            return None
        self.times += [call.start_time for call in page if call.start_time is not None]
        if (
            self.pages < PAGES_ALONE
            or before is None
            or self.calls.place is None
            or len(set(self.times)) < 2
        ):
            return None
        in_parts = None
        try:
            places = await self._places_ahead()
            if places and await self._meets_places(page, before):
                in_parts = self.calls.in_parts(places)
        except TelepathError:  # the walk does without, and fails by itself where it must
            pass
        return in_parts

    async def _places_ahead(self) -> list[Place]:
        """Return the places found, the nearest first."""
        found: dict[str, str] = {}
        for doublings in range(1, _MOST_DOUBLINGS, _AT_ONCE):
            moments = [self._ahead(2**n) for n in range(doublings, doublings + _AT_ONCE)]
            answers = await _all(self._place_behind(moment) for moment in moments)
            found |= dict(place for place in answers if place is not None)
            if None in answers:
                break
        return list(found.items())

    async def _meets_places(self, page: Sequence[Call], before: str) -> bool:
        """Whether a place that we have passed is the same when it is found by date and when the walk comes by."""
        ids = [call.id for call in page]
        starts = [call.start_time for call in page if call.start_time is not None]
        place = await self._place_behind(starts[len(starts) // 2]) if starts else None
        if place is None or place[0] not in ids:
            return False
        again = self.telepath.calls.list(resume=before, page_size=ids.index(place[0]) + 1)
        await anext(again.pages())
        return again.place == place

    def _ahead(self, spans: int) -> datetime | None:
        """Return the time that lies so many times as far from the beginning as we have come."""
        begin, end = (
            (max(self.times), min(self.times))
            if self._newest_first
            else (min(self.times), max(self.times))
        )
        try:
            return begin + spans * (end - begin)
        except OverflowError:
            return None

    async def _place_behind(self, moment: datetime | None) -> Place | None:
        """Return the place behind the call that comes first in the list among those from `moment` on, in our direction."""
        if (
            moment is None
            or (self.since and moment < self.since)
            or (self.until and moment > self.until)
        ):
            return None
        since, until = (self.since, moment) if self._newest_first else (moment, self.until)
        calls = self.telepath.calls.list(
            trunk_id=self.trunk_id, since=since, until=until, page_size=1
        )
        page = await anext(calls.pages())
        return calls.place if any(call.start_time for call in page.items) else None

    @property
    def _newest_first(self) -> bool:
        return self.times[-1] < self.times[0]
