"""Test a cursor list that is read from several positions at once.

Each part ends where the next one began, or reads to the end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from attrs import field, frozen, mutable
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from telepath_async.protocol.checkpoint import Checkpoint, Place, in_parts, read_checkpoint
from telepath_async.protocol.offsets import RecentIds
from telepath_async.protocol.paging import Paging, Plan
from telepath_async.protocol.answers import ListBody

Query = dict[str, str]
LETTERS = "abcdefghijklmnopqrstuvwxyz"
HERE = Checkpoint(of="calls", filters={}, style="cursor")


@frozen
class Item:
    id: str


@mutable
class Server:
    """A list in the order of its ids.

    A cursor is the id of the row before it, or (`counting`) how many rows lie before it.
    """

    rows: list[str]
    counting: bool = False
    deaf: bool = False
    queries: list[Query] = field(factory=list)

    def __call__(self, query: Query) -> ListBody[Item]:
        self.queries.append(query)
        limit = 4 if self.deaf else int(query["limit"])
        first = self._first(query.get("cursor"))
        rows = self.rows[first : first + limit]
        more = first + limit < len(self.rows)
        return ListBody(
            rows=[Item(row) for row in rows],
            paged_by_cursor=True,
            next_cursor=self.behind(rows[-1]) if more else None,
        )

    def behind(self, row: str) -> str:
        return str(self.rows.index(row) + 1) if self.counting else row

    def place(self, row: str) -> Place:
        return row, self.behind(row)

    def _first(self, cursor: str | None) -> int:
        if cursor is None:
            return 0
        return int(cursor) if self.counting else sum(row <= cursor for row in self.rows)


def parts_of(places: list[Place], **options: Any) -> list[Paging[Item]]:
    return [
        Paging(Plan(of="calls", start=start, page_size=4, **options))
        for start in in_parts(HERE, places)
    ]


def step(part: Paging[Item], server: Callable[[Query], ListBody[Item]]) -> list[str]:
    """Ask once; return the rows that came."""
    (query,) = part.upcoming(1)
    part.receive(server(dict(query)))
    return [row.id for row in part.take_page(None)]


def read(part: Paging[Item], server: Server) -> str:
    rows: list[str] = []
    while not part.done:
        rows += step(part, server)
        assert len(server.queries) < 500
    return "".join(rows)


def test_each_part_ends_where_the_next_one_began() -> None:
    server = Server(list(LETTERS))
    parts = parts_of([server.place("h"), server.place("t")])
    assert [read(part, server) for part in parts] == ["abcdefgh", "ijklmnopqrst", "uvwxyz"]
    assert len(server.queries) == 2 + 3 + 2


def test_a_page_that_reaches_over_the_place_is_asked_for_once_more_and_ends_there() -> None:
    server = Server(list(LETTERS))
    assert read(parts_of([server.place("f")])[0], server) == "abcdef"
    assert [(query.get("cursor"), query["limit"]) for query in server.queries] == [
        (None, "4"),
        ("d", "4"),
        ("d", "2"),
    ]


@pytest.mark.parametrize("place", [("f", "another"), ("another", "f"), ("d", "another"), ("", "")])
def test_a_place_that_is_not_the_same_in_row_and_cursor_is_no_end(place: Place) -> None:
    server = Server(list(LETTERS))
    assert read(parts_of([place])[0], server) == LETTERS


def test_a_server_that_ignores_the_limit_is_asked_for_the_same_page_at_most_twice() -> None:
    server = Server(list(LETTERS), deaf=True)
    assert read(parts_of([server.place("f")])[0], server) == LETTERS
    assert len(server.queries) == 7 + 1


def test_rows_that_come_in_front_of_a_place_that_counts_rows_keep_it_from_being_an_end() -> None:
    server = Server(list(LETTERS), counting=True)
    parts = parts_of([server.place("l")])
    step(parts[0], server)
    server.rows.insert(0, "A")
    assert set(read(parts[1], server) + read(parts[0], server)) >= set(LETTERS[4:])


def test_two_parts_never_end_at_each_other() -> None:
    server = Server(list(LETTERS))
    first, second, third = parts_of([server.place("t"), server.place("h")])
    assert read(first, server) == "abcdefgh"
    assert read(third, server) == LETTERS[8:]
    assert read(second, server) == "uvwxyz"


def test_a_part_that_was_cut_off_still_knows_where_to_end() -> None:
    server = Server(list(LETTERS))
    part = parts_of([server.place("k")])[0]
    before = step(part, server)
    resumed = Paging(
        replace(part.plan, start=read_checkpoint(part.checkpoint.text(), of="calls", filters={}))
    )
    assert "".join(before) + read(resumed, server) == "abcdefghijk"
    again = Paging(
        replace(part.plan, start=read_checkpoint(resumed.checkpoint.text(), of="calls", filters={}))
    )
    assert again.upcoming(1) == []


@given(st.data())
def test_whatever_the_places_are_and_whatever_is_deleted_no_row_that_stays_is_missed(
    data: st.DataObject,
) -> None:
    server = Server(list(LETTERS), counting=False)
    right = st.sampled_from(LETTERS[:-1]).map(server.place)
    wrong = st.tuples(st.sampled_from(LETTERS), st.sampled_from(LETTERS))
    parts = parts_of(data.draw(st.lists(right | wrong, max_size=4)))
    got: list[str] = []
    deletions = data.draw(st.lists(st.sampled_from(LETTERS), max_size=5))
    while waiting := [part for part in parts if not part.done]:
        got += step(data.draw(st.sampled_from(waiting)), server)
        if deletions and data.draw(st.booleans()):
            server.rows = [row for row in server.rows if row != deletions[0]]
            del deletions[0]
    assert set(got) >= set(server.rows)


@given(st.lists(st.sampled_from(LETTERS[:-1]), max_size=5, unique=True).map(sorted))
def test_places_in_the_order_of_the_list_bring_every_row_once(rows: list[str]) -> None:
    server = Server(list(LETTERS))
    assert (
        "".join(read(part, server) for part in parts_of([server.place(row) for row in rows]))
        == LETTERS
    )


def test_a_place_is_the_end_of_a_page_that_another_one_follows() -> None:
    server = Server(list(LETTERS[:6]))
    paging = Paging(Plan(of="calls", start=HERE, page_size=4))
    assert paging.place is None
    paging.receive(server(dict(paging.upcoming(1)[0])))
    paging.take()
    assert paging.place is None
    paging.take_page(None)
    assert paging.place == ("d", "d")
    step(paging, server)
    assert paging.place is None


@pytest.mark.parametrize("walks", [1, 4])
def test_walks_side_by_side_share_the_memory_for_ids(walks: int) -> None:
    ids = RecentIds(walks)
    for number in range(50_000):
        ids.add({str(number)})
    assert 10_000 // walks <= len(ids) <= 20_000 // walks
