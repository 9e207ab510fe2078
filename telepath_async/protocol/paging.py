"""The paging state machine: which page to ask for next, what of it is new, and where we stand. No I/O.

    START ---- first answer ----> OFFSET ---- empty page, or all of `total` ----> DONE
      |                             '-- `total` fell: step back and ask again
      '------- next_cursor -------> CURSOR --- next_cursor is null ------------> DONE

Offset paging counts rows received, not rows asked for, because servers cap `limit`. Rows that are deleted in front of us
shift the rest towards us: `total` falls by k, so that we step back k rows, and drop what was handed out already. After a
fall we keep asking k rows early, so that steady deletions cost overlap and not a step back each time.
To change the rules, change `_receive_offset` and `_receive_cursor`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from typing import Final, Generic, Protocol, TypeVar

from attrs import define, evolve, frozen

from ..errors import PagingError
from .checkpoint import Checkpoint, Style
from .shapes import ListBody
from .wire import Query, query_of

_REMEMBERED_IDS: Final = 10_000
_MOST_STEPS_BACK: Final = 5
_MOST_BARREN_PAGES: Final = 1_000


class Row(Protocol):
    """What can be listed: anything with an id."""

    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=Row)


@frozen(kw_only=True)
class DateRange:
    """From `since` to `until`, both inclusive, both aware; None = open."""

    since: datetime | None = None
    until: datetime | None = None

    def query(self, style: Style | None) -> Query:
        """Return `from`/`to` (seed 003), and `start_date`/`end_date` beside them for a server that pages by offset."""
        spelled = query_of(**{"from": self.since, "to": self.until})
        return spelled + query_of(start_date=self.since, end_date=self.until) if style == "offset" else spelled

    def holds(self, moment: datetime | None) -> bool:
        """Whether `moment` lies inside; a row without a time cannot be judged and counts as inside."""
        if moment is None:
            return True
        return (self.since is None or self.since <= moment) and (self.until is None or moment <= self.until)


@define(kw_only=True)
class Drift:
    """What a walk met because the list changed under it, or the server ignored a filter.

    `repeated`: rows that came twice and were dropped; `stepped_back`: how often a gap was closed by asking again;
    `outside`: rows outside the date range, dropped; `uncertain`: rows that may have been missed or handed out twice, all
    the same: 0 means that every row that lived through the whole walk was handed out exactly once.
    """

    repeated: int = 0
    stepped_back: int = 0
    outside: int = 0
    uncertain: int = 0


@frozen(kw_only=True)
class Plan(Generic[T]):
    """What is listed: `of` (`calls`), under which `filters`, in pages of `page_size`, beginning at `start`.

    `started`: the time of a row, for the date range; `overlap`: rows by which each page of an offset list is asked early.
    """

    of: str
    filters: Query = ()
    dates: DateRange = DateRange()
    started: Callable[[T], datetime | None] = lambda row: None
    page_size: int = 100
    overlap: int = 0
    start: Checkpoint
    style_hint: Style | None = None


@define(kw_only=True)
class _PageInHand(Generic[T]):
    """The rows that are still to be handed out, each with its place; a checkpoint is made only when somebody asks."""

    before: Checkpoint
    here: Checkpoint
    behind: Checkpoint
    rows: list[tuple[T, int]]
    taken: int = 0

    def take(self) -> T | None:
        if self.taken == len(self.rows):
            return None
        self.taken += 1
        return self.rows[self.taken - 1][0]

    @property
    def checkpoint(self) -> Checkpoint:
        if self.taken == 0:
            return self.before
        if self.taken == len(self.rows):
            return self.behind
        row, place = self.rows[self.taken - 1]
        return evolve(self.here, at=place, last=row.id)


class Paging(Generic[T]):
    """One walk through a list. Ask for `upcoming(1)[0]`, hand its answer to `receive`, `take` the rows."""

    def __init__(self, plan: Plan[T]) -> None:
        self.plan = plan
        self.drift = Drift()
        self.done = plan.start.done
        self._style: Style | None = plan.start.style
        self._dates_style = plan.start.style or plan.style_hint
        self._page = _PageInHand[T](before=plan.start, here=plan.start, behind=plan.start, rows=[])
        self._known: OrderedDict[str, None] = OrderedDict()
        self._anchor = plan.start.last
        self._barren = 0
        self._frontier = plan.start.at if plan.start.style == "offset" else 0
        self._margin = max(plan.overlap, 1 if self._anchor else 0)
        self._steps_back = 0
        self._last_page: list[str] = []
        self._total = plan.start.total
        self._page_length = plan.page_size
        self._cursor = plan.start.cursor
        self._cursors: set[str] = set()

    @property
    def style(self) -> Style | None:
        """The server's paging style, once an answer has shown it."""
        return self._style

    @property
    def total(self) -> int | None:
        """How many rows the server says there are, where it does."""
        return self._total

    @property
    def page_length(self) -> int:
        """How many rows a full page has: what was asked, or the server's own cap."""
        return self._page_length

    @property
    def checkpoint(self) -> Checkpoint:
        """The place exactly behind the last row taken."""
        return self._page.checkpoint

    @property
    def in_hand(self) -> int:
        """How many rows can be taken before another page is needed."""
        return len(self._page.rows) - self._page.taken

    def upcoming(self, n: int) -> list[Query]:
        """Return the queries of the next `n` pages, if nothing surprising comes back; the first is certain."""
        if self.done:
            return []
        if self._style == "cursor":
            return [self._query(cursor=self._cursor)]
        if self._style is None:
            return [self._query()]
        first = self._offset()
        stride = max(1, self._page_length - self._margin)
        end = first + 1 if self._total is None else max(self._total, first + 1)
        return [self._query(offset=offset or None) for offset in range(first, end, stride)[:n]]

    def receive(self, body: ListBody[T]) -> bool:
        """Take in the answer to `upcoming(1)[0]`. Return False when the same place must be asked again.

        Raises PagingError when the server contradicts itself or goes in circles.
        """
        style: Style = "cursor" if body.paged_by_cursor else "offset"
        if self._style is not None and style != self._style:
            raise PagingError(self._complaint(f"began with {self._style} paging and went on with {style} paging"))
        if style == "offset" and self._dates_style != style and self.plan.dates != DateRange():
            # The other spelling of the dates: a server ignores the one that it does not know.
            self._dates_style = style
            return False
        self._style = self._dates_style = style
        return self._receive_cursor(body) if style == "cursor" else self._receive_offset(body)

    def take(self) -> T | None:
        """Return the next row to hand out, or None when another page is needed first."""
        return self._page.take()

    def _offset(self) -> int:
        """Return the offset to ask for: the frontier, less the rows by which pages overlap (never a whole page)."""
        return max(0, self._frontier - min(self._margin, self._page_length - 1))

    def _query(self, *, cursor: str | None = None, offset: int | None = None) -> Query:
        page = query_of(limit=self.plan.page_size, cursor=cursor, offset=offset)
        return self.plan.filters + self.plan.dates.query(self._dates_style) + page

    def _receive_cursor(self, body: ListBody[T]) -> bool:
        opened_by, self._cursor = self._cursor, self._next_cursor(body)
        rows = self._behind_anchor(body.rows)
        here = evolve(self.plan.start, style="cursor", cursor=opened_by, at=0, last=None)
        behind = evolve(here, cursor=self._cursor, done=self._cursor is None)
        skipped = len(body.rows) - len(rows)
        self._hand_out(rows, skipped, here, behind)
        self.done = self._cursor is None
        return True

    def _next_cursor(self, body: ListBody[T]) -> str | None:
        cursor = body.next_cursor
        if cursor is None:
            if body.has_more:
                raise PagingError(self._complaint("said has_more without a next_cursor, so that the rest cannot be had"))
            return None
        if cursor in self._cursors or cursor == self._cursor:
            if body.has_more is False:
                return None
            raise PagingError(self._complaint(f"gave the cursor {cursor[:40]!r} twice"))
        self._cursors.add(cursor)
        return cursor

    def _receive_offset(self, body: ListBody[T]) -> bool:
        first = self._offset()
        self._refuse_ignored_offset(body, first)
        change = body.total - self._total if body.total is not None and self._total is not None else 0
        self._total = body.total
        self._page_length = body.limit or self._page_length
        if self._gap_before(body.rows, first, change):
            return False
        rows = self._behind_anchor(body.rows)
        self._frontier = first + len(body.rows)
        self._steps_back = 0
        self.done = self._offset_end(body)
        self._last_page = [row.id for row in body.rows]
        here = evolve(self.plan.start, style="offset", total=self._total)
        skipped = self._frontier - len(rows)
        last = rows[-1].id if rows else self.checkpoint.last
        self._hand_out(rows, skipped, here, evolve(here, at=self._frontier, last=last, done=self.done))
        return True

    def _refuse_ignored_offset(self, body: ListBody[T], first: int) -> None:
        """Raise PagingError when the page is not the one that was asked for."""
        if body.offset is not None and body.offset != first:
            raise PagingError(self._complaint(f"was asked for offset {first} and answered with offset {body.offset}"))
        repeated = first > 0 and body.offset is None and body.rows and [row.id for row in body.rows] == self._last_page
        if repeated and (body.total is not None or len(body.rows) >= self.plan.page_size):
            raise PagingError(self._complaint(f"gave the same page twice, at offset {first} too: it ignores the offset"))

    def _gap_before(self, rows: list[T], first: int, change: int) -> bool:
        """Whether rows may be missing between those handed out and this page; if so, move back to where they are."""
        if self._anchor is not None:
            return self._anchor_missing(rows, first, change)
        fall = max(0, -change)
        self.drift.uncertain += max(0, min(abs(change), self._frontier) - _REMEMBERED_IDS)
        shifted = self._margin > 0 and bool(rows) and rows[0].id not in self._known
        if first == 0 or (fall <= self._margin and not shifted):
            return False
        if self._steps_back >= _MOST_STEPS_BACK:
            self.drift.uncertain += max(1, fall - self._margin)
            return False
        self._step_back(fall or self._page_length)
        self._margin = max(self.plan.overlap, min(fall, self._page_length // 2))
        return True

    def _anchor_missing(self, rows: list[T], first: int, change: int) -> bool:
        """After a resume: whether the last row handed out must be looked for elsewhere, because `total` has changed."""
        if any(row.id == self._anchor for row in rows):
            return False
        if first == self._frontier and not change:  # pages of one row: there is no room for the anchor in front
            self._anchor = None
            return False
        if change and not self._steps_back:
            self._step_back(-change)
            return True
        self.drift.uncertain += 1
        self._anchor = None
        return False

    def _step_back(self, rows: int) -> None:
        self._steps_back += 1
        self.drift.stepped_back += 1
        self._frontier = max(0, self._frontier - rows)

    def _offset_end(self, body: ListBody[T]) -> bool:
        if not body.rows:
            # A server that stops before its own total (a cap on the offset, say) has not given us everything.
            self.drift.uncertain += max(0, (body.total or 0) - self._frontier)
            return True
        if body.total is not None and body.total >= self._frontier:
            return body.total == self._frontier
        if body.limit is not None:
            return len(body.rows) < body.limit
        return [row.id for row in body.rows] == self._last_page  # the whole list came at once, and came again

    def _behind_anchor(self, rows: list[T]) -> list[T]:
        """Return the rows behind the one where the checkpoint stood; all of them when it is gone."""
        anchor, self._anchor = self._anchor, None
        if anchor is None:
            return rows
        for index, row in enumerate(rows):
            if row.id == anchor:
                self._remember(anchor)
                return rows[index + 1 :]
        self.drift.uncertain += self.plan.start.at
        return rows

    def _hand_out(self, rows: list[T], skipped: int, here: Checkpoint, behind: Checkpoint) -> None:
        """Put into hand what is new and inside the date range; `rows` begin `skipped` rows behind the place `here`."""
        fresh = [(row, place) for place, row in enumerate(rows, skipped + 1) if self._remember(row.id)]
        self.drift.repeated += len(rows) - len(fresh)
        inside = [(row, place) for row, place in fresh if self.plan.dates.holds(self.plan.started(row))]
        self.drift.outside += len(fresh) - len(inside)
        self._barren = 0 if fresh else self._barren + 1
        if self._barren > _MOST_BARREN_PAGES:
            raise PagingError(self._complaint(f"gave {_MOST_BARREN_PAGES} pages in a row without a new row"))
        before = self.checkpoint if inside else behind
        self._page = _PageInHand(before=before, here=here, behind=behind, rows=inside)

    def _remember(self, row_id: str) -> bool:
        """Return whether the id is new, and remember it; the oldest ids are forgotten, so that memory stays flat."""
        if row_id in self._known:
            return False
        self._known[row_id] = None
        if len(self._known) > _REMEMBERED_IDS:
            self._known.popitem(last=False)
        return True

    def _complaint(self, fact: str) -> str:
        return f"the server's list of {self.plan.of} {fact}; nothing more can be had safely: report it to the vendor"
