"""What `sync_calls` reports: at its end, and after each page."""

from __future__ import annotations

from datetime import datetime

from attrs import define, frozen

from telepath_async import Call, Page


@frozen(kw_only=True)
class SyncReport:
    """Count the calls `inserted`, `updated` and `unchanged`, in `pages` and `seconds`.

    `watermark`: the start time up to which the table is complete, or None. `uncertain`: calls that
    may have been missed, because the list changed too much; the watermark has stayed where it was
    then, and the next run goes back to it. `rejected`: calls without a usable id, which are left
    out; `odd`: calls with a value that is not of its field's type, and so in `extra`. The log names
    both.
    """

    inserted: int
    updated: int
    unchanged: int
    pages: int
    seconds: float
    watermark: datetime | None
    uncertain: int
    rejected: int = 0
    odd: int = 0


@frozen(kw_only=True)
class SyncProgress:
    """Report how far a sync has come: `rows` of the present walk, of its `total` (None: unknown).

    The rest is as in the report. A walk that was cut off goes on with the rows that it had; another
    one may follow, and counts from 0.
    """

    rows: int
    total: int | None
    pages: int
    seconds: float
    watermark: datetime | None


@frozen
class Changes:
    """What a page changed in the table, in rows."""

    inserted: int
    updated: int
    unchanged: int


@define
class Counts:
    """What a run has brought so far, under the names of the report."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    pages: int = 0
    rejected: int = 0
    odd: int = 0

    def add(self, changes: Changes) -> None:
        """Count what was written to the table."""
        self.inserted += changes.inserted
        self.updated += changes.updated
        self.unchanged += changes.unchanged

    def add_page(self, page: Page[Call], changes: Changes) -> None:
        """Count a page, and what it changed in the table."""
        self.add(changes)
        self.pages += 1
        self.rejected += len(page.rejected)
        self.odd += len({value.id for value in page.odd})
