"""How a list endpoint becomes a `Paginator`: its options checked at the call, its filters bound into the checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from ..errors import UsageError
from ..paginator import Paginator
from ..protocol.checkpoint import Checkpoint, read_checkpoint
from ..protocol.paging import DateRange, Plan, Row
from ..protocol.shapes import ListBody, read_list
from ..protocol.wire import Query, Request, Response
from ..session import Session

T = TypeVar("T", bound=Row)


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
    resume: str | None,
) -> Paginator[T]:
    """Return the paginator of `GET /{of}`. Raises UsageError on bad options, before anything is sent."""
    _whole("page_size", page_size, 1, 100)
    _whole("prefetch", prefetch, 0, 100)
    _whole("overlap", overlap, 0, page_size - 1)
    if max_items is not None:
        _whole("max_items", max_items, 0, None)
    given = dict(filters) | dict(dates.query(None))
    start = Checkpoint(of=of, filters=given) if resume is None else read_checkpoint(resume, of=of, filters=given)
    bound = dict(start.filters)
    dates = DateRange(since=_moment(bound.pop("from", None)), until=_moment(bound.pop("to", None)))

    def plan() -> Plan[T]:
        return Plan(
            of=of,
            filters=tuple(bound.items()),
            dates=dates,
            started=started,
            page_size=page_size,
            overlap=overlap,
            start=start,
            style_hint=session.pool.style,
        )

    async def fetch(query: Query) -> Response:
        return await session.send(Request(method="GET", path=f"/{of}", template=f"/{of}", query=query))

    def read(response: Response) -> ListBody[T]:
        body = read_list(model, of, response)
        session.pool.style = "cursor" if body.paged_by_cursor else "offset"
        return body

    return Paginator(fetch, read, plan, max_items=max_items, prefetch=prefetch)


def date_range(since: datetime | None, until: datetime | None) -> DateRange:
    """Return the range, both ends inclusive. Raises UsageError on a naive time, or when `since` is later than `until`."""
    for name, moment in (("since", since), ("until", until)):
        if moment is not None and (not isinstance(moment, datetime) or moment.utcoffset() is None):
            raise UsageError(f"{name} must be a datetime with a time zone, not {moment!r}; add tzinfo=datetime.UTC")
    if since is not None and until is not None and since > until:
        raise UsageError(f"since ({since}) is later than until ({until}); swap them")
    return DateRange(since=since, until=until)


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.utcoffset() is None:
        raise UsageError(f"resume={{...}} holds a time that is none ({text[:40]!r}); pass what `Paginator.checkpoint` gave")
    return moment


def _whole(name: str, value: object, least: int, most: int | None) -> None:
    good = isinstance(value, int) and not isinstance(value, bool)
    if not good or value < least or (most is not None and value > most):  # type: ignore[operator]
        upper = "" if most is None else f" to {most}"
        raise UsageError(f"{name} must be a whole number from {least}{upper}, not {value!r}")
