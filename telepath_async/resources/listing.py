"""How a list endpoint becomes a `Paginator`: its options checked at the call, its filters bound into the checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, TypeVar

from attrs import evolve

from ..checks import check_time_range, check_whole
from ..errors import UsageError
from ..models.fields import Model
from ..paginator import Paginator
from ..protocol.checkpoint import Checkpoint, read_checkpoints
from ..protocol.messages import Request, Response
from ..protocol.paging import DateRange, Plan, RecentIds
from ..protocol.answers import ListBody, read_list
from ..protocol.url import Query
from ..session import Session

T = TypeVar("T", bound=Model)


def paginator(
    session: Session,
    model: type[T],
    of: str,
    *,
    filters: Query,
    dates: DateRange,
    started: Callable[[T], datetime | None],
    page_size: int,
    max_items: int | None,
    prefetch: int,
    overlap: int,
    shards: int = 1,
    resume: str | None,
) -> Paginator[T]:
    """Return the paginator of `GET /{of}`.

    Raises UsageError on bad options, before anything is sent.
    """
    check_whole("page_size", page_size, 1, 100)
    check_whole("prefetch", prefetch, 0, 100)
    check_whole("overlap", overlap, 0, page_size - 1)
    check_whole("shards", shards, 1, 100)
    if max_items is not None:
        check_whole("max_items", max_items, 0)
    if resume is None:
        ranges = _split(dates, shards)
        starts = [
            Checkpoint(of=of, filters=dict(filters) | dict(part.query(None))) for part in ranges
        ]
    elif shards == 1:
        starts = read_checkpoints(resume, of=of, filters=dict(filters) | dict(dates.query(None)))
    else:
        raise UsageError("shards cannot be given beside resume: the checkpoint holds them")
    bases = [_plan_from(start, started, page_size, overlap, len(starts)) for start in starts]
    path = f"/{of}"

    def plans() -> list[Plan[T]]:
        timeless = RecentIds() if len(bases) > 1 else None
        return [evolve(base, style_hint=session.pool.style, timeless=timeless) for base in bases]

    def fetch(query: Query) -> Coroutine[Any, Any, Response]:
        return session.send(Request(method="GET", path=path, template=path, query=query))

    def read(response: Response) -> ListBody[T]:
        body = read_list(model, of, response)
        session.pool.style = "cursor" if body.paged_by_cursor else "offset"
        return body

    return Paginator(fetch, read, plans, max_items=max_items, prefetch=prefetch)


def _plan_from(
    start: Checkpoint,
    started: Callable[[T], datetime | None],
    page_size: int,
    overlap: int,
    walks: int,
) -> Plan[T]:
    bound = dict(start.filters)
    dates = DateRange(since=_moment(bound.pop("from", None)), until=_moment(bound.pop("to", None)))
    return Plan(
        of=start.of,
        filters=tuple(bound.items()),
        dates=dates,
        started=started,
        page_size=page_size,
        overlap=overlap,
        walks=walks,
        start=start,
    )


def _split(dates: DateRange, shards: int) -> list[DateRange]:
    """Return `shards` ranges that together are `dates` and share no moment: datetimes count microseconds."""
    if shards == 1:
        return [dates]
    if dates.since is None or dates.until is None:
        raise UsageError("shards need a range to be cut into: give since and until")
    step = (dates.until - dates.since) / shards
    cuts = [(dates.since + index * step).replace(microsecond=0) for index in range(1, shards)]
    if step < timedelta(seconds=1):
        raise UsageError(f"{shards} shards of this range would be shorter than a second; use fewer")
    return [
        DateRange(since=since, until=until)
        for since, until in zip(
            [dates.since, *cuts],
            [*(cut - timedelta(microseconds=1) for cut in cuts), dates.until],
            strict=True,
        )
    ]


def date_range(since: datetime | None, until: datetime | None) -> DateRange:
    """Return the range, both ends inclusive.

    Raises UsageError on a naive time, or when `since` is later than `until`.
    """
    check_time_range(since, until)
    return DateRange(since=since, until=until)


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.utcoffset() is None:
        raise UsageError(
            f"resume={{...}} holds a time that is none ({text[:40]!r}); pass what "
            "`Paginator.checkpoint` gave"
        )
    return moment
