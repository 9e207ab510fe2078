"""The paging state machine: which page to ask for next, what of it is new, and where we stand. No
I/O.

    START ---- first answer ----> OFFSET ---- empty page, or all of `total` ----> DONE
      |                             '-- a page that does not join on: ask elsewhere
      '------- next_cursor -------> CURSOR --- next_cursor is null ------------> DONE

The rules of CURSOR are in `_receive_cursor`; those of OFFSET, where the list shifts under us, in
`offsets.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Generic, Protocol, TypeVar

import msgspec
from msgspec.structs import replace

from .checkpoint import Checkpoint, Style
from .offsets import Drift as Drift
from .offsets import Offsets, circular
from .offsets import RecentIds as RecentIds
from .shapes import ListBody
from .wire import Query, query_of

_MOST_BARREN_PAGES: Final = 1_000
_LARGEST_PAGE: Final = 100
_LAST_SECOND: Final = datetime(9999, 12, 30, tzinfo=UTC)  # no zone's calendar ends before


class Row(Protocol):
    """What can be listed: anything with an id."""

    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=Row)


class DateRange(msgspec.Struct, frozen=True, kw_only=True):
    """From `since` to `until`, both inclusive, both aware; None = open."""

    since: datetime | None = None
    until: datetime | None = None

    def query(self, style: Style | None) -> Query:
        """Return `from`/`to` (seed 003), and `start_date`/`end_date` beside them for a server that pages by offset."""
        spelled = query_of(**{"from": self.since, "to": self.until})
        return (
            spelled + query_of(start_date=self.since, end_date=self.until)
            if style == "offset"
            else spelled
        )

    def asked(self) -> DateRange:
        """Return the range to ask for: up to a whole second, since a server may count in those; `holds` drops the rest."""
        if self.until is None or not self.until.microsecond or self.until > _LAST_SECOND:
            return self
        return replace(self, until=self.until.replace(microsecond=0) + timedelta(seconds=1))

    def holds(self, moment: datetime | None) -> bool:
        """Whether `moment` lies inside; a row without a time cannot be judged and counts as inside."""
        if moment is None:
            return True
        return (self.since is None or self.since <= moment) and (
            self.until is None or moment <= self.until
        )


_ALWAYS: Final = DateRange()


class Plan(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """What is listed: `of` (`calls`), under which `filters`, in pages of `page_size`, beginning at
    `start`.

    `started`: the time of a row, for the date range; `overlap`: rows by which each page of an offset list is asked early;
    `walks`: how many are on their way through parts of the list, this one included; `timeless`: the ids of the rows without
    a time that any of them has met, for a server may put those into every part.
    """

    of: str
    filters: Query = ()
    dates: DateRange = _ALWAYS
    started: Callable[[T], datetime | None] = lambda row: None
    page_size: int = 100
    overlap: int = 0
    walks: int = 1
    timeless: RecentIds | None = None
    start: Checkpoint
    style_hint: Style | None = None


class _PageInHand(msgspec.Struct, Generic[T], kw_only=True):
    """The rows that are still to be handed out, and their places; a checkpoint is made only when somebody asks."""

    before: Checkpoint
    here: Checkpoint
    behind: Checkpoint
    rows: Sequence[T] = ()
    places: Sequence[int] = ()
    in_doubt: int = 0
    taken: int = 0

    @property
    def checkpoint(self) -> Checkpoint:
        if self.taken == len(self.rows):
            return self.behind
        if self.taken == 0:
            return self.before
        place = self.places[self.taken - 1]
        return replace(
            self.here, at=place, last=self.rows[self.taken - 1].id, unsure=place < self.in_doubt
        )


class Paging(Generic[T]):
    """One walk through a list.

    Ask for `upcoming(1)[0]`, hand its answer to `receive`, `take` the rows.
    """

    def __init__(self, plan: Plan[T]) -> None:
        self.plan = plan
        self.drift = Drift(uncertain=int(plan.start.unsure))
        self.done = plan.start.done
        self._style: Style | None = plan.start.style
        self._dates_style: Style | None = plan.start.style or plan.style_hint
        self._page: _PageInHand[T] = _PageInHand(
            before=plan.start, here=plan.start, behind=plan.start
        )
        self._known = RecentIds(plan.walks)
        self._barren = 0
        self._cursor = plan.start.cursor
        self._cursors = {hash(self._cursor)}
        self._anchor = plan.start.last
        if self._anchor is not None:
            self._known.add({self._anchor})
        self._offsets = Offsets(
            plan.start,
            known=self._known,
            drift=self.drift,
            page_size=plan.page_size,
            overlap=plan.overlap,
        )

    @property
    def total(self) -> int | None:
        """How many rows the server says there are, where it does."""
        return self._offsets.total

    @property
    def page_length(self) -> int:
        """How many rows a page has: what was asked, or the server's own cap."""
        return self._offsets.page_length

    @property
    def checkpoint(self) -> Checkpoint:
        """The place exactly behind the last row taken."""
        return self._page.checkpoint

    @property
    def in_hand(self) -> int:
        """How many rows can be taken before another page is needed."""
        return len(self._page.rows) - self._page.taken

    def take(self) -> T | None:
        """Return the next row to hand out, or None when another page is needed first."""
        page = self._page
        if page.taken == len(page.rows):
            return None
        page.taken += 1
        return page.rows[page.taken - 1]

    def take_page(self, most: int | None) -> list[T]:
        """Return all rows in hand, or the first `most` of them."""
        page = self._page
        rows = list(page.rows[page.taken :][:most])
        page.taken += len(rows)
        return rows

    def upcoming(self, n: int) -> list[Query]:
        """Return the queries of the next `n` pages, if nothing surprising comes back; the first is certain."""
        if self.done:
            return []
        if self._style == "offset":
            return [
                self._query(limit=self.plan.page_size, offset=offset or None)
                for offset in self._offsets.upcoming(n)
            ]
        # After a resume, a smaller page than the first time might not reach the place of the
        # checkpoint.
        place = 0 if self._anchor is None else self.plan.start.at + 1
        limit = max(self.plan.page_size, min(place, _LARGEST_PAGE))
        return [self._query(limit=limit, cursor=self._cursor)]

    def _query(self, *, limit: int, offset: int | None = None, cursor: str | None = None) -> Query:
        page = query_of(limit=limit, cursor=cursor, offset=offset)
        if self.plan.dates == _ALWAYS:
            return self.plan.filters + page
        return self.plan.filters + self.plan.dates.asked().query(self._dates_style) + page

    def receive(self, body: ListBody[T]) -> bool:
        """Take in the answer to `upcoming(1)[0]`. Return False when a page must be asked for once
        more, or elsewhere.

        Raises PagingError when the server contradicts itself or goes in circles.
        """
        style: Style = "cursor" if body.paged_by_cursor else "offset"
        if self._style is not None and style != self._style:
            raise circular(
                self.plan.of, f"began with {self._style} paging and went on with {style} paging"
            )
        if style == "offset" and self._dates_style != style and self.plan.dates != _ALWAYS:
            # The other spelling of the dates: a server ignores the one that it does not know.
            self._dates_style = style
            return False
        received = self._receive_cursor(body) if style == "cursor" else self._receive_offset(body)
        self._style = self._dates_style = style
        return received

    def _receive_cursor(self, body: ListBody[T]) -> bool:
        opened_by, self._cursor = self._cursor, self._next_cursor(body)
        self._cursors.add(hash(self._cursor))
        self.done = self._cursor is None
        here = replace(self.plan.start, style="cursor", cursor=opened_by, at=0, last=None)
        behind = replace(here, cursor=self._cursor, done=self.done)
        self._hand_out(
            body.rows, [row.id for row in body.rows], self._before_anchor(body.rows), here, behind
        )
        return True

    def _before_anchor(self, rows: list[T]) -> int:
        """Return how many rows were handed out before the resume; none where the row of the checkpoint is gone."""
        anchor, self._anchor = self._anchor, None
        if anchor is None:
            return 0
        for place, row in enumerate(rows, 1):
            if row.id == anchor:
                return place
        self.drift.uncertain += self.plan.start.at
        return 0

    def _next_cursor(self, body: ListBody[T]) -> str | None:
        cursor = body.next_cursor
        if cursor is None:
            if body.has_more:
                raise circular(
                    self.plan.of,
                    "said has_more without a next_cursor, so that the rest cannot be had",
                )
            return None
        seen = hash(cursor) in self._cursors
        if body.has_more is False and (seen or not body.rows):
            return None
        if seen:
            raise circular(self.plan.of, f"gave the cursor {cursor[:40]!r} twice")
        return cursor

    def _receive_offset(self, body: ListBody[T]) -> bool:
        offsets, first = self._offsets, self._offsets.first
        ids = [row.id for row in body.rows]
        skipped = offsets.receive(body, ids)
        if skipped is None:
            return False
        self.done = offsets.done
        here = replace(self.plan.start, style="offset", total=offsets.total)
        last = ids[-1] if ids else self.checkpoint.last
        behind = replace(
            here,
            at=offsets.frontier,
            last=last,
            unsure=offsets.frontier < offsets.in_doubt,
            done=self.done,
        )
        self._hand_out(
            body.rows, ids, skipped, here, behind, first=first, in_doubt=offsets.in_doubt
        )
        return True

    def _hand_out(
        self,
        rows: list[T],
        ids: list[str],
        skipped: int,
        here: Checkpoint,
        behind: Checkpoint,
        *,
        first: int = 0,
        in_doubt: int = 0,
    ) -> None:
        """Put into hand what is new and inside the date range; `first` rows of the list lie in front of `rows`."""
        fresh, places = self._fresh(rows[skipped:], ids[skipped:], first + skipped)
        self.drift.repeated += len(rows) - skipped - len(fresh)
        inside = fresh
        if self.plan.dates != _ALWAYS:
            kept = [
                index
                for index, row in enumerate(fresh)
                if self.plan.dates.holds(self.plan.started(row))
            ]
            self.drift.outside += len(fresh) - len(kept)
            ours = [index for index in kept if self._first_met(fresh[index])]
            self.drift.repeated += len(kept) - len(ours)
            inside, places = [fresh[index] for index in ours], [places[index] for index in ours]
        if rows and not fresh and here.style == "offset":
            # Insertions pushed rows on: the row that the checkpoint stands behind is further than
            # where we are.
            behind = replace(self.checkpoint, style="offset", done=self.done)
        self._page = _PageInHand(
            before=self.checkpoint,
            here=here,
            behind=behind,
            rows=inside,
            places=places,
            in_doubt=in_doubt,
        )
        self._barren = 0 if fresh else self._barren + 1
        if self._barren >= _MOST_BARREN_PAGES and not self.done:
            raise circular(
                self.plan.of, f"gave {_MOST_BARREN_PAGES} pages in a row without a new row"
            )

    def _first_met(self, row: T) -> bool:
        """Whether no other walk through a part of the list has met this row, if it has no time that puts it into one part."""
        timeless = self.plan.timeless
        if timeless is None or self.plan.started(row) is not None:
            return True
        if row.id in timeless:
            return False
        timeless.add({row.id})
        return True

    def _fresh(self, rows: list[T], ids: list[str], first: int) -> tuple[list[T], Sequence[int]]:
        """Return the rows that are new, and the places behind them; remember their ids."""
        places = range(first + 1, first + len(rows) + 1)
        distinct = set(ids)
        if len(distinct) == len(ids) and self._known.isdisjoint(distinct):
            self._known.add(distinct)
            return rows, places
        fresh, places_of_fresh = [], []
        for row, row_id, place in zip(rows, ids, places, strict=True):
            if row_id not in self._known:
                self._known.add({row_id})
                fresh.append(row)
                places_of_fresh.append(place)
        return fresh, places_of_fresh
