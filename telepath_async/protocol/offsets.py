"""The offset style: which offset to ask for in a list that changes meanwhile. No I/O.

Everything rests on one fact: rows keep their order. So if a page holds a row that we know, nothing
before its end is missing, whatever was inserted or deleted.

1. Every page after the first is asked `overlap` rows early (1 by default) and must hold a row that
   we know. `total` cannot replace this: an insertion and a deletion together leave it as it was.
2. A page that holds none is asked for again 1 page earlier, then 2, 4, 8 … pages. After ten rewinds
   without a new row the walk goes on, and counts `uncertain`.
3. The next offset counts the rows received, since servers cap `limit`.
4. The end is a page shorter than those before it. `total` is a reason to go on, never to stop after
   a full page: one more request brings known rows alone. A total below what was received is
   ignored; rows that a server counts and does not serve are `uncertain`.
5. A resume looks for the row of its checkpoint: where it was, where a change of `total` has moved
   it, and two pages around. If it is gone, the walk starts over, and counts `uncertain`.
6. Unchecked: with `overlap=0`, and on pages of one row, which have no room for a known one.
"""

from __future__ import annotations

from typing import Any, Final

from .answers import ListBody
from .checkpoint import PagePosition
from .plan import Drift, Plan
from .recent_ids import RecentIds
from .repeats import Repeats
from .url import Query, query_of

_MAX_REWINDS: Final = 10
_PAGES_AROUND: Final = (0, 1, -1, 2, -2)


class OffsetPaging:
    """Ask `upcoming(1)[0]`, hand the answer to `receive`. `known`: the rows received."""

    style: Final = "offset"

    def __init__(self, plan: Plan[Any], drift: Drift, known: RecentIds) -> None:
        self.done, self.total = plan.start.done, plan.start.total
        self.repeats = Repeats(plan.of, plan.page_size)
        self._plan, self._drift, self._known = plan, drift, known
        self._searching = plan.start.last is not None  # for the row of the checkpoint
        self._next = plan.start.at  # rows before the next page, if the list stands still
        self._first = max(0, self._next - max(1, plan.overlap))  # the offset to ask for
        self._longest = 0  # page so far
        self._rewinds = 0  # since the last new row
        self._empty_at: int | None = None

    @property
    def step(self) -> int:
        """How many new rows a page brings while the list stands still."""
        return max(1, (self._longest or self._plan.page_size) - self._plan.overlap)

    @property
    def _overlap(self) -> int:
        return (self._longest or self._plan.page_size) - self.step

    def upcoming(self, n: int) -> list[Query]:
        """Return the queries of the next `n` pages, if the list stands still."""
        end = 0 if self._searching or self.total is None else self.total - self._overlap
        offsets = range(self._first, max(end, self._first + 1), self.step)[:n]
        return [query_of(limit=self.repeats.limit, offset=offset or None) for offset in offsets]

    def receive(self, body: ListBody[Any], ids: list[str], marks: list[str]) -> PagePosition | None:
        """Accept a page; None: it is not the one to go on with. `marks`: of rows without an id.

        Raises PagingError when the server ignores the offset; nothing has changed then.
        """
        first, served, asked = self._first, len(ids) + len(marks), self.repeats.limit
        reached = first + served
        ended = self.repeats.check(body, ids + marks, first)
        self._note_total(body.total, reached)
        if not self._joins(ids, marks) and self._rewind(served):
            return None
        anchor = self._plan.start.last
        skip = ids.index(anchor) + 1 if anchor is not None and anchor in ids else 0
        if self._overlap and not skip and self._known.isdisjoint(marks):
            self._drift.uncertain += self._known.forgotten(ids)
        missing = max(0, (self.total or 0) - reached)
        self.done = ended or self._is_end(body, reached, served, asked, missing)
        self._drift.uncertain += missing if self.done else 0
        inexact_before = first + self._known.reach_last(ids, joined=self._overlap > 0) + 1
        asked_twice = self._next - first
        self._accept(ids, reached, served)
        unsure = 0 < len(ids) < inexact_before - first
        page = {"style": self.style, "total": self.total}
        end = {"at": reached, "last": self._known.last, "unsure": unsure, "done": self.done}
        return PagePosition(self._plan.start, page, end, first, skip, asked_twice, inexact_before)

    def _note_total(self, total: int | None, reached: int) -> None:
        total = total if total is None or total >= reached else None  # else it counts other things
        if not self._plan.overlap and not self._searching:  # all that shows gaps then
            self._drift.uncertain += max(0, (self.total or 0) - (total or self.total or 0))
        self.total = total

    def _joins(self, ids: list[str], marks: list[str]) -> bool:
        if self._searching:
            return self._known.last in ids
        known = self._known
        if self._first == 0 or not (known.isdisjoint(ids) and known.isdisjoint(marks)):
            return True
        self._drift.uncertain += 0 if self._overlap else min(self._plan.overlap, len(ids))
        return self._overlap == 0

    def _rewind(self, served: int) -> bool:
        """Move back to where a page may hold a known row; False: that was tried often enough."""
        if self._searching:
            self._search(served)
        elif self._rewinds == _MAX_REWINDS or (not served and self._first == self._empty_at):
            self._drift.uncertain += 1
            return False
        else:
            self._empty_at = self._empty_at if served else self._first
            self._first = max(0, self._next - self._overlap - self.step * 2**self._rewinds)
        self._rewinds += 1
        self._drift.stepped_back += 1
        return True

    def _search(self, served: int) -> None:
        self._longest = max(self._longest, served)
        start, total = self._plan.start, self.total
        moved = 0 if total is None or start.total is None else total - start.total
        untried = _PAGES_AROUND[self._rewinds + (moved == 0) :]
        if untried:
            around = untried[0] * (self._longest or self._plan.page_size)
            self._first = max(0, start.at - max(1, self._plan.overlap) + moved + around)
        else:
            self._drift.uncertain += self._next
            self._first = self._next = 0
            self._known.begin_anew()
            self._searching = False

    def _is_end(
        self, body: ListBody[Any], reached: int, served: int, asked: int, missing: int
    ) -> bool:
        full = min(self._longest or body.limit or asked, asked)
        new = reached > self._next
        # The server may cap pages at fewer rows than we ask for.
        unclear = body.limit is None and (self._searching or (new and self.total is None))
        return not (served >= full or unclear or (new and missing))

    def _accept(self, ids: list[str], reached: int, served: int) -> None:
        self._longest = max(self._longest, served)
        if self._rewinds and any(row_id not in self._known for row_id in ids):
            self._rewinds, self._empty_at = 0, None
        self._searching = False
        self._next, self._first = reached, max(0, reached - self._overlap)
