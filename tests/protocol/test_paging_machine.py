"""Test paging against a model server whose list changes between any two pages.

Nothing that lived through the walk is lost in silence.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Literal

import pytest
from attrs import frozen
from hypothesis import assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from telepath_async.errors import PagingError
from telepath_async.protocol.checkpoint import Checkpoint, read_checkpoint
from telepath_async.protocol.paging import Paging, Plan
from telepath_async.protocol.answers import ListBody

pytestmark = pytest.mark.long

_MOST_ROWS_AT_ONCE = 9


@frozen
class Item:
    id: str


class ModelServer:
    """Hold rows in the order of their keys, and serve pages by offset or after a key.

    A page has at most `cap` rows.
    """

    def __init__(self, style: str, *, cap: int, names: frozenset[str], rows: int) -> None:
        self.style = style
        self.cap = cap
        self.names = names
        self.keys = [Fraction(place) for place in range(rows)]
        self.answers: list[tuple[int, list[str]]] = []
        self.born = rows

    @property
    def ids(self) -> list[str]:
        return [str(key) for key in self.keys]

    def insert(self, place: int, count: int) -> None:
        """Insert rows at one index.

        It is 0 for a list that shows the newest first, the end for one that shows them last.
        """
        for _ in range(count):
            low = self.keys[place - 1] if place else Fraction(-self.born - 2)
            high = self.keys[place] if place < len(self.keys) else Fraction(self.born + 2)
            # No key comes twice, even where its neighbours are deleted and others take their place.
            self.born += 1
            self.keys.insert(place, low + (high - low) * Fraction(self.born, 2 * self.born + 1))

    def delete(self, place: int, count: int) -> set[str]:
        gone = {str(key) for key in self.keys[place : place + count]}
        del self.keys[place : place + count]
        return gone

    def answer(self, query: dict[str, str]) -> ListBody[Any]:
        limit = min(int(query["limit"]), self.cap)
        if self.style == "cursor":
            return self._behind(query.get("cursor"), limit)
        offset = int(query.get("offset", "0"))
        rows = [Item(row_id) for row_id in self.ids[offset : offset + limit]]
        self.answers.append((offset, [row.id for row in rows]))
        facts = {"total": len(self.keys), "limit": limit, "offset": offset}
        return ListBody(
            rows=rows, paged_by_cursor=False, **{name: facts[name] for name in self.names}
        )

    def _behind(self, cursor: str | None, limit: int) -> ListBody[Any]:
        keys = [key for key in self.keys if cursor is None or key > Fraction(cursor)]
        page, rest = keys[:limit], keys[limit:]
        return ListBody(
            rows=[Item(str(key)) for key in page],
            paged_by_cursor=True,
            next_cursor=str(page[-1]) if rest else None,
        )

    @property
    def stuttered(self) -> bool:
        """Tell whether insertions made three offsets in a row show the same page."""
        pages = [ids for _, ids in self.answers[-3:]]
        return len(pages) == 3 and pages[0] == pages[1] == pages[2]


class ChangingList(RuleBasedStateMachine):
    style: Literal["offset", "cursor"]

    @initialize(
        cap=st.integers(1, 6),
        page_size=st.integers(1, 8),
        overlap=st.integers(0, 3),
        names=st.frozensets(st.sampled_from(["total", "limit", "offset"])),
        rows=st.integers(0, 30),
    )
    def open(
        self, cap: int, page_size: int, overlap: int, names: frozenset[str], rows: int
    ) -> None:
        self.smallest_page = min(cap, page_size)
        self.server = ModelServer(self.style, cap=cap, names=names, rows=rows)
        self.plan: Plan[Item] = Plan(
            of="calls",
            page_size=page_size,
            overlap=min(overlap, page_size - 1),
            start=Checkpoint(of="calls", filters={}),
        )
        self.paging = Paging(self.plan)
        self.survivors = set(self.server.ids)
        self.taken: list[str] = []
        self.uncertain_before = 0
        self.changes = self.requests = self.resumes = 0
        self.rows_ever = rows
        self.kind = ""
        self.stuttered = False

    def may(self, kind: str) -> bool:
        """Tell whether this kind of change may come before the next page.

        Insertions and deletions that cancel out in `total` are invisible without `overlap`: only
        one kind comes between two pages.
        """
        return self.style == "cursor" or bool(self.plan.overlap) or self.kind in ("", kind)

    @rule(place=st.integers(0, 60), count=st.integers(1, _MOST_ROWS_AT_ONCE))
    @precondition(lambda self: self.may("insert"))
    def insert(self, place: int, count: int) -> None:
        self.server.insert(min(place, len(self.server.keys)), count)
        self.changed("insert", count)

    @rule(count=st.integers(1, _MOST_ROWS_AT_ONCE))
    @precondition(lambda self: self.may("insert"))
    def insert_in_front(self, count: int) -> None:
        self.insert(0, count)

    @rule(place=st.integers(0, 60), count=st.integers(1, _MOST_ROWS_AT_ONCE))
    @precondition(lambda self: self.may("delete"))
    def delete(self, place: int, count: int) -> None:
        gone = self.server.delete(min(place, len(self.server.keys)), count)
        self.survivors -= gone
        if gone:
            self.changed("delete", len(gone))

    @rule(count=st.integers(1, _MOST_ROWS_AT_ONCE))
    @precondition(lambda self: self.may("delete"))
    def delete_in_front(self, count: int) -> None:
        self.delete(0, count)

    def changed(self, kind: str, count: int) -> None:
        self.kind = kind
        self.changes += count
        self.rows_ever += count if kind == "insert" else 0

    @rule()
    def ask(self) -> None:
        self.take(self.paging.in_hand)
        if self.paging.done:
            return
        self.requests += 1
        query = dict(self.paging.upcoming(1)[0])
        try:
            self.paging.receive(self.server.answer(query))
        except PagingError:
            assert self.server.stuttered
            self.stuttered = True
            assume(False)
        self.stuttered |= self.server.stuttered
        self.kind = ""

    @rule(count=st.integers(1, 8))
    def take(self, count: int) -> None:
        for _ in range(count):
            row = self.paging.take()
            if row is None:
                return
            self.taken.append(row.id)

    @rule()
    def resume(self) -> None:
        start = read_checkpoint(self.paging.checkpoint.text(), of="calls", filters={})
        self.uncertain_before += self.paging.drift.uncertain
        self.paging = Paging(replace(self.plan, start=start))
        self.resumes += 1

    @rule(page_size=st.integers(1, 8))
    @precondition(lambda self: not self.plan.overlap)
    def resume_with_other_pages(self, page_size: int) -> None:
        self.plan = replace(self.plan, page_size=page_size)
        self.smallest_page = min(self.smallest_page, page_size)
        self.resume()

    @property
    def uncertain(self) -> int:
        return self.uncertain_before + self.paging.drift.uncertain

    @invariant()
    def nothing_comes_twice_in_silence(self) -> None:
        if hasattr(self, "taken") and not self.uncertain:
            assert len(self.taken) == len(set(self.taken))

    @invariant()
    def the_walk_ends(self) -> None:
        if hasattr(self, "taken"):
            assert self.requests <= 10 + 7 * (self.rows_ever + self.changes + 2) * (
                1 + self.resumes
            )

    def teardown(self) -> None:
        if not hasattr(self, "paging"):
            return
        while not self.paging.done:
            self.ask()
            self.the_walk_ends()
        self.take(self.paging.in_hand)
        self.nothing_comes_twice_in_silence()
        # On pages of one row without a total, an early end is not seen; what follows is flagged.
        blind = "total" not in self.server.names and self.smallest_page == 1
        if not self.uncertain and not self.stuttered and not blind:
            missing = self.survivors - set(self.taken)
            assert not missing, f"{missing} never came"
        if self.smallest_page > 1 and self.changes < self.smallest_page and not self.resumes:
            assert self.uncertain == 0, "so small a change can always be made good"
        if not self.changes and self.smallest_page > 1:
            assert self.uncertain == 0
            assert self.taken == self.server.ids


class OffsetList(ChangingList):
    style = "offset"


class CursorList(ChangingList):
    style = "cursor"


TestOffsetList = OffsetList.TestCase
TestOffsetList.settings = settings(max_examples=200, stateful_step_count=40)
TestCursorList = CursorList.TestCase
TestCursorList.settings = settings(max_examples=100, stateful_step_count=40)
