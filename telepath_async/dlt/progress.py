"""How far the calls of an account are loaded, as dlt's state keeps it from run to run."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from attrs import define, evolve

from telepath_async import Call, Page
from telepath_async.columns import to_utc
from telepath_async.coverage import (
    UNFINISHED_FOR,
    Coverage,
    RangeWalk,
    has_ended,
    latest,
    merge,
    server_time,
    start_of,
)

_log: Final = logging.getLogger("telepath_async.dlt")


@define
class Progress:
    """What is loaded (`coverage`), and what the walk under way has given so far.

    `unfinished`: when the earliest call of the walk began that may still change.
    """

    coverage: Coverage | None
    walk: RangeWalk
    unfinished: datetime | None = None

    @classmethod
    def of(
        cls,
        saved: Mapping[str, Any],
        since: datetime | None,
        until: datetime | None,
        lookback: timedelta,
    ) -> Progress:
        """Return where the walk begins and ends, from what an earlier run has saved."""
        coverage = None
        if saved:
            begin = saved["complete_since"]
            coverage = Coverage(
                begin and datetime.fromisoformat(begin), datetime.fromisoformat(saved["watermark"])
            )
        start = start_of(coverage, since, until, lookback)
        return cls(coverage, RangeWalk(since=start, until=until))

    def note(self, page: Page[Call]) -> None:
        """Take in a page that has been handed on."""
        started = self.walk.started or server_time(page.raw.headers.get("Date"), datetime.now(UTC))
        self.walk = evolve(
            self.walk,
            started=started,
            newest=latest(self.walk.newest, *(call.start_time for call in page.items)),
            uncertain=page.drift.uncertain,
        )
        starts = (
            to_utc(call.start_time)
            for call in page.items
            if not has_ended(call.status, call.end_time)
        )
        changing = [s for s in (*starts, self.unfinished) if s and started - s <= UNFINISHED_FOR]
        self.unfinished = min(changing, default=None)

    def at_the_end(self) -> dict[str, Any]:
        """Return what to save once the walk has ended; nothing where it proves nothing."""
        if self.walk.uncertain:
            _log.warning(
                "%d calls may be missing, because the list changed while it was read; the next run "
                "reads the same range again",
                self.walk.uncertain,
            )
        final = evolve(self.walk, until=self.unfinished) if self.unfinished else self.walk
        coverage = merge(self.coverage, final)
        if coverage is None:
            return {}
        return {
            "complete_since": coverage.since and coverage.since.isoformat(),
            "watermark": coverage.watermark.isoformat(),
        }
