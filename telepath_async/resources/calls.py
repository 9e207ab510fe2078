"""Calls: their history, and one call in detail."""

from __future__ import annotations

from datetime import datetime

from ..models.calls import Call, CallDetails, CallDirection, CallStatus
from ..paginator import Paginator
from ..protocol.answers import read_object
from ..protocol.dates import date_range
from ..protocol.messages import Request
from ..protocol.url import filters_of, path_segment
from ..session import Session
from .listing import ListOptions, paginator


class Calls:
    """`telepath.calls`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def list(
        self,
        *,
        trunk_id: str | None = None,
        status: CallStatus | str | None = None,
        direction: CallDirection | str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        page_size: int = 100,
        max_items: int | None = None,
        prefetch: int = 0,
        overlap: int = 1,
        shards: int = 1,
        resume: str | None = None,
    ) -> Paginator[Call]:
        """List calls, in the server's order (which no page documents).

        `since`, `until`: aware datetimes, both inclusive; a call outside the range is dropped and
        counted in `Paginator.drift`. `page_size`: 1-100; `prefetch`: pages under way ahead of you;
        `overlap`: rows by which each later page of an offset list is asked early, so that what
        changes meanwhile loses no row (0: unchecked); `shards`: parts into which the range from
        `since` to `until` is cut, read at the same time, in no order; `resume`: a
        `Paginator.checkpoint`. Raises UsageError at once; what the request loop raises, and
        PagingError, while it is iterated. API reference: List Calls.
        """
        return paginator(
            self._session,
            Call,
            "calls",
            ListOptions(
                page_size=page_size,
                max_items=max_items,
                prefetch=prefetch,
                overlap=overlap,
                shards=shards,
                resume=resume,
            ),
            filters=filters_of(trunk_id=trunk_id, status=status, direction=direction),
            dates=date_range(since, until),
            started=lambda call: call.start_time,
        )

    async def get(self, call_id: str) -> CallDetails:
        """Return all that is known about one call. Raises NotFoundError.

        API reference: Get Call.
        """
        path = f"/calls/{path_segment('call_id', call_id)}"
        return read_object(
            CallDetails,
            await self._session.send(Request(method="GET", path=path, template="/calls/{id}")),
        )
