"""A list that changes between any two requests: what lived through the walk is never lost unsaid.

Insertions and deletions come at every step, alone and together, in lists of every order.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Literal

import pytest
from attrs import evolve
from hypothesis import assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from telepath_async.errors import PagingError
from telepath_async.protocol.checkpoint import read_checkpoints
from telepath_async.protocol.paging import Paging

from .lists import FACTS, ORDERS, ChangingList, ListServer, Order, Walk, plan, taken

pytestmark = pytest.mark.long

_MOST_ROWS_AT_ONCE = 9


class WalkThroughAChangingList(RuleBasedStateMachine):
    style: Literal["offset", "cursor"]

    @initialize(
        cap=st.integers(1, 6),
        page_size=st.integers(1, 8),
        overlap=st.integers(1, 3),
        facts=st.frozensets(st.sampled_from(sorted(FACTS))),
        order=st.sampled_from(ORDERS),
        rows=st.integers(0, 30),
    )
    def open(
        self, cap: int, page_size: int, overlap: int, facts: frozenset[str], order: Order, rows: int
    ) -> None:
        self.smallest_page = min(cap, page_size)
        self.rows = ChangingList(order, rows)
        self.server = ListServer(self.rows, self.style, cap, facts)
        self.plan = plan(page_size=page_size, overlap=overlap)
        self.walk = Walk(Paging(self.plan), self.server)
        self.survivors = set(self.rows.ids)
        self.taken: list[str] = []
        self.uncertain_before = 0
        self.changes = self.requests = self.resumes = 0
        self.stuttered = False

    @property
    def paging(self) -> Paging[object]:
        return self.walk.paging

    @rule(place=st.integers(0, 60), count=st.integers(1, _MOST_ROWS_AT_ONCE))
    def insert(self, place: int, count: int) -> None:
        self.rows.insert(place, count)
        self.changes += count

    @rule(place=st.integers(0, 60), count=st.integers(1, _MOST_ROWS_AT_ONCE))
    def delete(self, place: int, count: int) -> None:
        gone = self.rows.delete(min(place, len(self.rows.keys)), count)
        self.survivors -= gone
        self.changes += len(gone)

    @rule(count=st.integers(1, _MOST_ROWS_AT_ONCE))
    def delete_first(self, count: int) -> None:
        self.delete(0, count)

    @rule(place=st.integers(0, 60), count=st.integers(1, _MOST_ROWS_AT_ONCE))
    def swap(self, place: int, count: int) -> None:
        before = len(self.rows.keys)
        self.delete_first(count)
        self.insert(place, before - len(self.rows.keys) or 1)

    @rule()
    def ask(self) -> None:
        self.take(self.paging.in_hand)
        if self.paging.done:
            return
        self.requests += 1
        try:
            self.walk.step()
        except PagingError:
            assert self.server.stuttered
            self.stuttered = True
            assume(False)
        self.stuttered |= self.server.stuttered

    @rule(count=st.integers(1, 8))
    def take(self, count: int) -> None:
        self.taken += [row.id for _ in range(count) if (row := self.paging.take())]

    @rule()
    def resume(self) -> None:
        (start,) = read_checkpoints(self.paging.checkpoint.text(), of="calls", filters={})
        self.uncertain_before += self.paging.drift.uncertain
        self.walk = Walk(Paging(evolve(self.plan, start=start)), self.server)
        self.resumes += 1

    @rule(page_size=st.integers(1, 8))
    def resume_with_other_pages(self, page_size: int) -> None:
        self.plan = evolve(self.plan, page_size=page_size)
        self.smallest_page = min(self.smallest_page, page_size)
        self.resume()

    @property
    def uncertain(self) -> int:
        return self.uncertain_before + self.paging.drift.uncertain

    @invariant()
    def nothing_comes_twice_unsaid(self) -> None:
        if hasattr(self, "taken") and not self.uncertain:
            assert len(self.taken) == len(set(self.taken))

    @invariant()
    def the_walk_ends(self) -> None:
        if hasattr(self, "taken"):
            rows_ever = self.rows.born + self.changes + 2
            assert self.requests <= 10 + 7 * rows_ever * (1 + self.resumes)

    def teardown(self) -> None:
        if not hasattr(self, "walk"):
            return
        while not self.paging.done:
            self.ask()
            self.the_walk_ends()
        self.take(self.paging.in_hand)
        self.nothing_comes_twice_unsaid()
        if not self.uncertain and not self.stuttered:
            missing = self.survivors - set(self.taken)
            assert not missing, f"{missing} never came"
        if not self.changes and self.smallest_page > 1:
            assert self.uncertain == 0
            assert self.taken == self.rows.ids


class OffsetList(WalkThroughAChangingList):
    style = "offset"


class CursorList(WalkThroughAChangingList):
    style = "cursor"


TestOffsetList = OffsetList.TestCase
TestOffsetList.settings = settings(max_examples=300, stateful_step_count=40)
TestCursorList = CursorList.TestCase
TestCursorList.settings = settings(max_examples=100, stateful_step_count=40)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("balanced", [True, False])
def test_500_walks_of_a_changing_list_lose_no_row_unsaid(order: Order, *, balanced: bool) -> None:
    """Over all orders and kinds of change, these are 3,000 walks."""
    uncertain = changes = 0
    for seed in range(500):
        chance = random.Random(f"{order} {balanced} {seed}")
        rows = ChangingList(order, 120)
        walk = Walk(Paging(plan(page_size=10)), ListServer(rows))
        survivors, taken = set(rows.ids), []
        every, most = chance.choice((1, 2, 4)), chance.choice((1, 3, 12))
        while not walk.paging.done:
            # A list that grows as fast as it is read has no end.
            if walk.requests and walk.requests % every == 0 and walk.requests < 60:
                if balanced or chance.random() < 0.3:
                    survivors -= rows.swap(chance, most)
                elif chance.random() < 0.5:
                    rows.insert(chance.randint(0, len(rows.keys)), chance.randint(1, most))
                else:
                    survivors -= rows.delete(chance.randint(0, len(rows.keys)), most)
                changes += 1
            try:
                walk.step()
            except PagingError:
                assert walk.server.stuttered
                break
            taken += [row.id for row in walk.paging.take_page(None)]
        if walk.paging.done and not walk.paging.drift.uncertain:
            assert survivors <= set(taken)
            assert len(taken) == len(set(taken))
        uncertain += bool(walk.paging.drift.uncertain)
    assert changes > 2_000
    assert uncertain < 10, "almost every change can be made good"


@pytest.mark.parametrize("order", ORDERS)
def test_a_change_at_every_fourth_request_costs_at_most_twice_the_requests(order: Order) -> None:
    still = Walk(Paging(plan(page_size=20)), ListServer(ChangingList(order, 1_000)))
    while not still.paging.done:
        still.step()
    for seed in range(100):
        chance = random.Random(seed)
        rows = ChangingList(order, 1_000)
        walk = Walk(Paging(plan(page_size=20)), ListServer(rows))
        while not walk.paging.done:
            if walk.requests % 4 == 3:
                kind = chance.randrange(3)
                if kind == 0:
                    rows.swap(chance, 1)
                elif kind == 1:
                    rows.delete(0)
                else:
                    rows.insert(chance.randint(0, len(rows.keys)))
            walk.step()
        assert walk.paging.drift.uncertain == 0
        assert walk.requests <= 2 * still.requests


def churn(
    rows: ChangingList, kind: Literal["balanced", "insertions", "deletions", "both"], seed: int
) -> Callable[[], set[str]]:
    """Return what changes a list, up to five rows at a time, and returns the ids that it deletes.

    Four times in five, and 200 times at most: a list that grows as fast as it is read has no end.
    """
    chance, left = random.Random(seed), [200]

    def change() -> set[str]:
        left[0] -= 1
        if left[0] < 0 or chance.random() < 0.2:
            return set()
        if kind == "balanced":
            return rows.swap(chance, 3)
        if kind != "deletions":
            rows.insert(chance.randint(0, len(rows.keys)), chance.randint(0, 5))
        if kind == "insertions" or not rows.keys:
            return set()
        return rows.delete(chance.randrange(len(rows.keys)), chance.randint(0, 5))

    return change


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kind", ["balanced", "insertions", "deletions", "both"])
def test_250_walks_through_lists_that_change_at_every_step_lose_no_row_unsaid(
    kind: Any, order: Order
) -> None:
    certain = 0
    for seed in range(250):
        rows = ChangingList(order, 30 + seed // 2)
        change, survivors = churn(rows, kind, seed), set(rows.ids)
        walk = Walk(Paging(plan(page_size=10)), ListServer(rows))
        got: list[str] = []
        while not walk.paging.done:
            walk.step()
            got += taken(walk.paging)
            survivors -= change()
        if not walk.paging.drift.uncertain:
            assert survivors <= set(got)
            assert len(got) == len(set(got))
        certain += not walk.paging.drift.uncertain
    assert certain >= 245
