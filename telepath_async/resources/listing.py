"""How a list endpoint becomes a `Paginator`: options checked at the call, dates in both spellings.

The filters are bound into the checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Generic, TypeVar

from attrs import define, frozen

from ..checks import check_whole
from ..errors import UsageError
from ..models.fields import Listed
from ..paginator import Paginator
from ..protocol.answers import read_list
from ..protocol.checkpoint import Checkpoint, Style, read_checkpoints
from ..protocol.dates import DateRange, read_range
from ..protocol.messages import Request
from ..protocol.paging import Plan, style_of
from ..protocol.recent_ids import RecentIds
from ..protocol.url import Query
from ..session import Session
from ..walk import Answer, Source

T = TypeVar("T", bound=Listed)

_ALWAYS = DateRange()


@frozen(kw_only=True)
class ListOptions:
    """The options that all lists share; see `Trunks.list` and `Calls.list`."""

    page_size: int = 100
    max_items: int | None = None
    prefetch: int = 0
    overlap: int = 1
    shards: int = 1
    resume: str | None = None

    def check(self) -> None:
        """Raise UsageError on an option that cannot be meant."""
        check_whole("page_size", self.page_size, 1, 100)
        check_whole("prefetch", self.prefetch, 0, 100)
        check_whole("overlap", self.overlap, 0, 99)
        check_whole("shards", self.shards, 1, 100)
        if self.max_items is not None:
            check_whole("max_items", self.max_items, 0)


def paginator(
    session: Session,
    model: type[T],
    of: str,
    options: ListOptions,
    *,
    filters: Query,
    dates: DateRange = _ALWAYS,
    started: Callable[[T], datetime | None] = lambda row: None,
) -> Paginator[T]:
    """Return the paginator of `GET /{of}`; `started`: the time of a row, for `dates`.

    Raises UsageError on bad options, before anything is sent.
    """
    options.check()
    starts = _starts(of, options, dict(filters), dates)
    pages = [_Pages(session, model, of, start, started) for start in starts]

    def sources() -> list[Source[T]]:
        undated = RecentIds() if len(starts) > 1 else None
        return [Source(each.plan(options, len(starts), undated), each.ask) for each in pages]

    return Paginator(
        sources,
        path=f"/{of}",
        filters=dict(filters) | dates.filters() if options.resume is None else starts[0].filters,
        max_items=options.max_items,
        prefetch=options.prefetch,
    )


def _starts(
    of: str, options: ListOptions, filters: dict[str, str], dates: DateRange
) -> list[Checkpoint]:
    if options.resume is not None:
        if options.shards != 1:
            raise UsageError("shards cannot be given beside resume: the checkpoint holds them")
        return read_checkpoints(options.resume, of=of, filters=filters | dates.filters())
    shards = dates.shards(options.shards)
    return [Checkpoint(of=of, filters=filters | shard.filters()) for shard in shards]


@define
class _Pages(Generic[T]):
    """Asks for pages under the filters of one checkpoint."""

    session: Session
    model: type[T]
    of: str
    start: Checkpoint
    started: Callable[[T], datetime | None]
    filters: Query = ()
    dates: DateRange = _ALWAYS
    style: Style | None = None

    def __attrs_post_init__(self) -> None:
        bound = self.start.filters
        self.dates = read_range(bound)
        self.filters = tuple(item for item in bound.items() if item[0] not in ("from", "to"))
        self.style = self.start.style

    def plan(self, options: ListOptions, shards: int, undated: RecentIds | None) -> Plan[T]:
        """Return the plan of a walk; `undated`: ids of rows without a time, of all shards."""

        def keeps(row: T) -> bool:
            moment = self.started(row)
            if moment is None and undated is not None:
                if row.id in undated:  # a server may put it into every shard
                    return False
                undated.add({row.id})
            return self.dates.holds(moment)

        return Plan(
            of=self.of,
            keeps=None if self.dates.is_open else keeps,
            page_size=options.page_size,
            overlap=options.overlap,
            shards=shards,
            start=self.start,
            style_hint=self.session.key.paging_style,
            undated=undated,
        )

    async def ask(self, page: Query) -> Answer[T]:
        """Ask for a page, again with the other spelling of the dates where the server wants it."""
        known = self.session.key.paging_style or self.style
        answer = await self._send(known, page)
        shown = style_of(answer[1])
        if shown is not None:
            self.session.key.paging_style = shown
        self.style = shown or known or "offset"
        if self.dates.is_open or known == "offset" or self.style == "cursor":
            return answer
        return await self._send("offset", page)

    async def _send(self, style: Style | None, page: Query) -> Answer[T]:
        query = self.filters + self.dates.rounded().query(style) + page
        path = f"/{self.of}"
        response = await self.session.send(
            Request(method="GET", path=path, template=path, query=query)
        )
        return response, read_list(self.model, self.of, response)
