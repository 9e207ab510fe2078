"""Analytics: figures over all calls."""

from __future__ import annotations

from datetime import datetime

from ..models.analytics import AnalyticsOverview
from ..protocol.answers import read_object
from ..protocol.dates import date_range
from ..protocol.messages import Request
from ..protocol.url import filters_of
from ..session import Session


class Analytics:
    """`telepath.analytics`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def overview(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        trunk_id: str | None = None,
    ) -> AnalyticsOverview:
        """Return the aggregated figures. `since`, `until`: aware datetimes.

        The dates go out in both spellings, because the answer does not show which of them the
        server has read. API reference: Analytics Overview.
        """
        query = date_range(since, until).query("offset") + filters_of(trunk_id=trunk_id)
        request = Request(
            method="GET", path="/analytics/overview", template="/analytics/overview", query=query
        )
        return read_object(AnalyticsOverview, await self._session.send(request))
