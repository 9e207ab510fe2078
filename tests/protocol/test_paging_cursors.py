"""The rules of the cursor style, one by one, and which page shows which style."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from telepath_async.errors import PagingError
from telepath_async.protocol import paging as paging_module
from telepath_async.protocol.answers import ListBody, RejectedRow
from telepath_async.protocol.checkpoint import Checkpoint
from telepath_async.protocol.paging import Paging

from .lists import Item, OffsetServer, ask, items, numbered, plan, resumed, taken, walk

Query = dict[str, str]
ALPHABET = "abcdefghijklmnopqrstuvwxyz"


def page(ids: str, cursor: str | None = None, has_more: bool | None = None) -> ListBody[Item]:
    return ListBody(rows=items(*ids), paged_by_cursor=True, next_cursor=cursor, has_more=has_more)


def bare(ids: str, **facts: int) -> ListBody[Item]:
    return ListBody(rows=items(*ids), paged_by_cursor=False, **facts)


class CursorScript:
    def __init__(self, *pages: ListBody[Item]) -> None:
        self._pages: Iterator[ListBody[Item]] = iter(pages)
        self.queries: list[Query] = []

    def __call__(self, query: Query) -> ListBody[Item]:
        self.queries.append(query)
        return next(self._pages)


def cursor_server(ids: str, cap: int = 100) -> Callable[[Query], ListBody[Item]]:
    def answer(query: Query) -> ListBody[Item]:
        first, size = int(query.get("cursor", "0")), min(int(query["limit"]), cap)
        rest = first + size < len(ids)
        return page(ids[first : first + size], str(first + size) if rest else None)

    return answer


def test_a_cursor_goes_back_byte_for_byte() -> None:
    odd = "a+b/c==%2B é\u2028 \\"
    script = CursorScript(page("ab", odd), page("c"))
    assert walk(Paging(plan(page_size=2)), script) == ["a", "b", "c"]
    assert script.queries == [{"limit": "2"}, {"limit": "2", "cursor": odd}]


def test_an_empty_page_with_a_cursor_is_not_the_end() -> None:
    script = CursorScript(
        page("", "1"), page("", "2", has_more=True), page("a", "3"), page("", None, has_more=False)
    )
    assert walk(Paging(plan()), script) == ["a"]


@pytest.mark.parametrize(("cursors", "pages"), [("AA", 2), ("ABAB", 3), ("ABCBCB", 4)])
def test_a_cursor_that_comes_again_is_an_error(cursors: str, pages: int) -> None:
    script = CursorScript(
        *(page(str(number), cursor, has_more=True) for number, cursor in enumerate(cursors))
    )
    with pytest.raises(PagingError, match=f"gave the cursor '{cursors[pages - 1]}' twice"):
        walk(Paging(plan()), script)
    assert len(script.queries) == pages


def test_a_cursor_that_comes_again_is_the_end_where_has_more_is_false() -> None:
    assert walk(
        Paging(plan()), CursorScript(page("a", "A", has_more=True), page("b", "A", has_more=False))
    ) == ["a", "b"]


def test_a_new_cursor_is_followed_though_has_more_is_false_until_nothing_comes() -> None:
    script = CursorScript(
        page("a", "A", has_more=False),
        page("b", "B", has_more=False),
        page("", "C", has_more=False),
    )
    assert walk(Paging(plan()), script) == ["a", "b"]


def test_has_more_without_a_cursor_is_an_error_and_the_same_page_is_asked_for_again() -> None:
    script = CursorScript(page("a", "A"), page("b", has_more=True), page("b", "B"), page("c"))
    paging = Paging(plan())
    ask(paging, script)
    with pytest.raises(PagingError, match="answered has_more without a next_cursor"):
        ask(paging, script)
    assert walk(paging, script) == ["a", "b", "c"]
    assert [query.get("cursor") for query in script.queries] == [None, "A", "A", "B"]


@pytest.mark.parametrize(
    ("options", "pages", "got"),
    [
        ({}, [page("a", "A"), bare("b")], "ab"),
        ({"start": Checkpoint(of="calls", style="cursor", cursor="A")}, [bare("b")], "b"),
        ({"page_size": 3, "style_hint": "cursor"}, [bare("abc")], "abc"),
    ],
    ids=["after cursors", "after a resume", "where another list has shown cursors"],
)
def test_a_page_without_any_paging_is_the_last(
    options: dict[str, Any], pages: list[ListBody[Item]], got: str
) -> None:
    paging = Paging(plan(**options))
    assert walk(paging, CursorScript(*pages)) == list(got)
    assert paging.drift.uncertain == 0


def test_a_server_known_to_page_by_cursor_may_page_this_list_by_offset() -> None:
    server = OffsetServer(list(ALPHABET))
    assert walk(Paging(plan(page_size=10, style_hint="cursor")), server) == list(ALPHABET)


def test_after_cursors_a_page_that_names_an_offset_is_an_error_and_not_the_end() -> None:
    paging = Paging(plan())
    ask(paging, CursorScript(page("a", "A")))
    with pytest.raises(PagingError, match="began with cursor paging"):
        paging.receive(bare("b", total=2, limit=1, offset=1))
    assert not paging.done


def test_one_cursor_page_is_upcoming_at_a_time() -> None:
    paging = Paging(plan())
    ask(paging, CursorScript(page("a", "A")))
    assert paging.upcoming(8) == [(("limit", "100"), ("cursor", "A"))]
    assert paging.step == 100


def test_rows_that_a_cursor_repeats_are_dropped() -> None:
    paging = Paging(plan())
    assert walk(paging, CursorScript(page("abb", "A"), page("bc"))) == ["a", "b", "c"]
    assert paging.drift.repeated == 2


def test_new_cursors_without_end_and_without_rows_are_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(paging_module, "_MAX_EMPTY_PAGES", 50)
    with pytest.raises(PagingError, match="without a new row"):
        walk(Paging(plan()), CursorScript(*(page("", str(number)) for number in range(100))))


def test_as_many_empty_pages_are_no_error_where_the_list_ends_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(paging_module, "_MAX_EMPTY_PAGES", 2)
    assert walk(Paging(plan()), CursorScript(page("", "A"), page(""))) == []


# --- what the machine does for both styles ---


def test_rows_that_are_not_wanted_are_dropped_and_counted() -> None:
    paging = Paging(plan(keeps=lambda row: row.id in "ace"))
    assert walk(paging, cursor_server("abcde", cap=2)) == ["a", "c", "e"]
    assert paging.drift.outside == 2


def test_rows_without_a_usable_id_are_counted_and_take_a_place_in_the_list() -> None:
    paging: Paging[Any] = Paging(plan(page_size=3))
    rejected = RejectedRow(path="$.calls[2]", reason="expected str, got int", row={"id": 7})
    paging.receive(
        ListBody(
            rows=items("a", "b"), paged_by_cursor=False, rejected=(rejected,), total=4, limit=3
        )
    )
    assert paging.rejected == (rejected,)
    assert paging.drift.rejected == 1
    assert dict(paging.upcoming(1)[0])["offset"] == "2"


def server_with_broken_rows(
    broken: tuple[int, ...], **facts: int
) -> Callable[[Query], ListBody[Item]]:
    def answer(query: Query) -> ListBody[Item]:
        first = int(query.get("offset", "0"))
        numbers = range(30)[first : first + int(query["limit"])]
        rejected = tuple(
            RejectedRow(path="$.calls", reason="no id", row={"id": None, "call": number})
            for number in numbers
            if number in broken
        )
        return ListBody(
            rows=items(*(number for number in numbers if number not in broken)),
            paged_by_cursor=False,
            rejected=rejected,
            **facts,
        )

    return answer


@pytest.mark.parametrize("broken", [(4,), (9,), (9, 10), (8, 9, 10, 11), tuple(range(7, 25))])
def test_rows_without_a_usable_id_cost_no_other_row(broken: tuple[int, ...]) -> None:
    server = server_with_broken_rows(broken, total=30, limit=10)
    good = [str(number) for number in range(30) if number not in broken]
    paging = Paging(plan(page_size=10))
    assert walk(paging, server) == good
    assert paging.drift.rejected == len(broken)
    assert paging.drift.uncertain == paging.drift.stepped_back == 0
    half = Paging(plan(page_size=10))
    ask(half, server)
    assert taken(half) + walk(rest := resumed(half), server) == good
    assert rest.drift.uncertain == 0


def test_long_rows_without_a_usable_id_are_not_kept() -> None:
    def answer(query: Query) -> ListBody[Item]:
        first = int(query.get("offset", "0"))
        rejected = tuple(
            RejectedRow(path="$.calls", reason="no id", row={"call": number, "note": "x" * 50_000})
            for number in range(first, min(first + 10, 200))
        )
        return ListBody(rows=[], paged_by_cursor=False, rejected=rejected, total=200, limit=10)

    paging = Paging(plan(page_size=10))
    tracemalloc.start()
    try:
        assert walk(paging, answer) == []
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert paging.drift.rejected == 200
    assert kept < 5_000_000, "a page or two, not all of them"


def test_pages_that_differ_in_rows_without_a_usable_id_alone_are_not_the_same() -> None:
    broken = (1, 2, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14)
    paging = Paging(plan(page_size=6, overlap=5))
    assert walk(paging, server_with_broken_rows(broken)) == [
        str(number) for number in range(30) if number not in broken
    ]


def test_a_resume_after_a_page_that_began_with_a_row_without_an_id_repeats_none_unsaid() -> None:
    server = server_with_broken_rows((9, 12, 13, 14), total=30)
    paging = Paging(plan(page_size=10))
    ask(paging, server)
    first = taken(paging)
    ask(paging, server)
    first += taken(paging)
    rest = walk(again := resumed(paging), server)
    assert set(first) | set(rest) == {str(n) for n in range(30)} - {"9", "12", "13", "14"}
    assert again.drift.uncertain or not set(first) & set(rest)


# --- checkpoints ---


@pytest.mark.parametrize("facts", [("total", "limit", "offset"), ("limit",), (), None])
@pytest.mark.parametrize("page_size", [1, 2, 5, 26, 100])
def test_a_resume_after_any_row_goes_on_exactly_there(
    facts: tuple[str, ...] | None, page_size: int
) -> None:
    for count in range(len(ALPHABET) + 1):
        server: Any = (
            cursor_server(ALPHABET) if facts is None else OffsetServer(list(ALPHABET), facts=facts)
        )
        paging = Paging(plan(page_size=page_size))
        ids: list[str] = []
        while len(ids) < count:
            row = paging.take()
            ids += [row.id] if row else []
            row or ask(paging, server)
        paging = resumed(paging)
        assert ids + walk(paging, server) == list(ALPHABET)
        assert paging.drift.uncertain == 0 or (page_size == 1 and facts is not None)


@pytest.mark.parametrize("facts", [("total",), None])
@pytest.mark.parametrize("page_size", [1, 3, 20, 100])
def test_a_resume_with_other_pages_is_exact_too(
    facts: tuple[str, ...] | None, page_size: int
) -> None:
    server: Any = (
        cursor_server(ALPHABET) if facts is None else OffsetServer(list(ALPHABET), facts=facts)
    )
    paging = Paging(plan(page_size=10))
    ask(paging, server)
    ids = [row.id for _ in range(7) if (row := paging.take())]
    paging = resumed(paging, page_size=page_size)
    assert ids + walk(paging, server) == list(ALPHABET)
    assert paging.drift.uncertain == 0 or (page_size == 1 and facts is not None)


def test_a_checkpoint_of_a_walk_that_is_over_has_nothing_more() -> None:
    for server in (cursor_server("abc"), OffsetServer(list("abc")), OffsetServer([])):
        paging = Paging(plan())
        walk(paging, server)
        assert resumed(paging).done


def test_a_checkpoint_before_the_first_row_is_the_start() -> None:
    paging = Paging(plan())
    assert paging.checkpoint == paging.plan.start
    ask(paging, OffsetServer(["a"]))
    assert paging.checkpoint == paging.plan.start


def test_a_checkpoint_after_dropped_rows_does_not_ask_for_them_again() -> None:
    paging = Paging(plan(keeps=lambda row: False))
    ask(paging, CursorScript(page("a", "A")))
    assert paging.checkpoint.cursor == "A"


@pytest.mark.parametrize("page_size", [2, 10])
def test_a_resume_in_a_single_page_without_the_key_goes_on_where_the_server_shows_cursors(
    page_size: int,
) -> None:
    paging = Paging(plan(page_size=10))
    paging.receive(bare("abcd"))
    before = [paging.take() for _ in "abc"]
    later = resumed(paging, page_size=page_size)
    assert len(before) == 3
    assert walk(later, cursor_server("abcdefghijklmno")) == [*"defghijklmno"]
    assert later.drift.uncertain == 0


def test_a_resume_in_a_list_that_was_seen_to_be_paged_by_offset_goes_on_by_nothing_else() -> None:
    paging = Paging(plan(page_size=2))
    ask(paging, OffsetServer(numbered(4)))
    paging.take()
    with pytest.raises(PagingError, match="began with offset paging"):
        ask(resumed(paging), cursor_server("abcd"))


def test_a_cursor_resume_asks_for_no_more_rows_than_the_api_allows() -> None:
    start = Checkpoint(of="calls", style="cursor", at=150, last="x")
    assert dict(Paging(plan(start, page_size=20)).upcoming(1)[0])["limit"] == "100"


def test_a_cursor_resume_whose_row_is_gone_hands_the_page_out_again_and_says_so() -> None:
    paging = Paging(plan(page_size=5))
    ask(paging, cursor_server("abcdef"))
    assert [row.id for _ in range(3) if (row := paging.take())] == ["a", "b", "c"]
    paging = resumed(paging)
    assert walk(paging, cursor_server("abdef")) == ["a", "b", "d", "e", "f"]
    assert paging.drift.uncertain == 3


def test_the_rows_of_a_page_can_be_taken_at_once() -> None:
    paging = Paging(plan())
    ask(paging, cursor_server("abcde"))
    assert paging.take_page(2) == items("a", "b")
    assert paging.in_hand == 3
    assert taken(paging) == ["c", "d", "e"]
