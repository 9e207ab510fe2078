"""The rules of paging, one by one, over lists that a test changes between two requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from attrs import field, frozen, mutable
from msgspec.structs import replace

from telepath_async.errors import PagingError
from telepath_async.protocol import offsets as offsets_module
from telepath_async.protocol import paging as paging_module
from telepath_async.protocol.checkpoint import Checkpoint, read_checkpoint
from telepath_async.protocol.offsets import RecentIds
from telepath_async.protocol.paging import DateRange, Paging, Plan
from telepath_async.protocol.answers import ListBody

NOON = datetime(2024, 3, 10, 12, tzinfo=UTC)
Query = dict[str, str]


@frozen
class Item:
    id: str
    at: datetime | None = None


def items(*ids: object) -> list[Item]:
    return [Item(str(row_id)) for row_id in ids]


def plan(start: Checkpoint | None = None, **options: Any) -> Plan[Item]:
    return Plan(of="calls", start=start or Checkpoint(of="calls", filters={}), **options)


@mutable
class OffsetServer:
    """Pages of at most `cap` rows; says what `names` lists.

    `before`: what happens to the list before the nth request.
    """

    rows: list[str]
    cap: int = 100
    names: tuple[str, ...] = ("total", "limit", "offset")
    before: dict[int, Callable[[list[str]], object]] = field(factory=dict)
    facts: dict[str, Any] = field(factory=dict)
    queries: list[Query] = field(factory=list)

    def __call__(self, query: Query) -> ListBody[Item]:
        self.queries.append(query)
        self.before.get(len(self.queries), len)(self.rows)
        offset, limit = int(query.get("offset", "0")), min(int(query["limit"]), self.cap)
        facts = {"total": len(self.rows), "limit": limit, "offset": offset} | self.facts
        rows = items(*self.rows[offset : offset + limit])
        return ListBody(
            rows=rows, paged_by_cursor=False, **{name: facts[name] for name in self.names}
        )

    @property
    def offsets(self) -> list[int]:
        return [int(query.get("offset", "0")) for query in self.queries]


def numbered(count: int) -> list[str]:
    return [str(number) for number in range(count)]


def ask(paging: Paging[Item], server: Callable[[Query], ListBody[Item]]) -> bool:
    return paging.receive(server(dict(paging.upcoming(1)[0])))


def taken(paging: Paging[Item]) -> list[str]:
    return [row.id for row in iter(paging.take, None)]


def walk(
    paging: Paging[Item], server: Callable[[Query], ListBody[Item]], most: int = 500
) -> list[str]:
    ids: list[str] = []
    for _ in range(most):
        ids += taken(paging)
        if paging.done:
            return ids
        ask(paging, server)
    raise AssertionError(f"no end after {most} requests")


def drop(first: int, count: int) -> Callable[[list[str]], None]:
    def change(rows: list[str]) -> None:
        del rows[first : first + count]

    return change


def put(place: int, *ids: str) -> Callable[[list[str]], None]:
    def change(rows: list[str]) -> None:
        rows[place:place] = ids

    return change


def both(*changes: Callable[[list[str]], None]) -> Callable[[list[str]], None]:
    def change(rows: list[str]) -> None:
        for one in changes:
            one(rows)

    return change


# --- a list that stands still, by offset ---


def test_the_first_request_carries_the_limit_alone() -> None:
    assert Paging(plan(page_size=7)).upcoming(3) == [(("limit", "7"),)]


def test_filters_go_out_with_every_page() -> None:
    server = OffsetServer(numbered(4))
    walk(Paging(plan(page_size=2, filters=(("status", "failed"),))), server)
    assert [query["status"] for query in server.queries] == ["failed"] * 2


@pytest.mark.parametrize(
    ("rows", "cap", "names", "offsets"),
    [
        (0, 100, ("total", "limit", "offset"), [0]),
        (5, 100, ("total", "limit", "offset"), [0]),
        (10, 100, ("total", "limit", "offset"), [0]),
        (25, 100, ("total", "limit", "offset"), [0, 10, 20]),
        (25, 100, ("total",), [0, 10, 20]),
        (20, 4, ("total", "limit"), [0, 4, 8, 12, 16]),
        (25, 100, ("limit",), [0, 9, 18]),
        (10, 100, ("limit",), [0, 9]),
        (0, 100, (), [0]),
        (1, 100, (), [0, 1]),
        (5, 100, (), [0, 4]),
        (25, 100, (), [0, 9, 18, 24]),
        (20, 4, (), [0, 3, 6, 9, 12, 15, 18, 19]),
        (3, 1, ("total",), [0, 1, 2]),
    ],
)
def test_a_list_that_stands_still_comes_whole(
    rows: int, cap: int, names: tuple[str, ...], offsets: list[int]
) -> None:
    server = OffsetServer(numbered(rows), cap=cap, names=names)
    paging = Paging(plan(page_size=10))
    assert walk(paging, server) == numbered(rows)
    assert server.offsets == offsets
    assert paging.drift.uncertain == paging.drift.stepped_back == 0


def test_a_total_below_the_rows_received_counts_as_none() -> None:
    server = OffsetServer(numbered(25), facts={"total": 3})
    assert walk(Paging(plan(page_size=10)), server) == numbered(25)
    assert server.offsets == [0, 9, 18]


def test_a_total_that_only_the_first_page_names_costs_one_look_back() -> None:
    server = OffsetServer(numbered(25))

    def forget(rows: list[str]) -> None:
        server.names = ("limit",)

    server.before = {2: forget}
    paging = Paging(plan(page_size=10))
    assert walk(paging, server) == numbered(25)
    assert server.offsets == [0, 10, 9, 18]
    assert paging.drift.uncertain == 0


def test_pages_of_one_row_without_a_total_are_uncertain_since_nothing_can_be_compared() -> None:
    paging = Paging(plan(page_size=1))
    assert walk(paging, OffsetServer(numbered(3), names=())) == numbered(3)
    assert paging.drift.uncertain == 2


def test_the_next_pages_can_be_asked_for_at_once() -> None:
    paging = Paging(plan(page_size=10))
    ask(paging, OffsetServer(numbered(35)))
    assert [dict(query)["offset"] for query in paging.upcoming(2)] == ["10", "20"]
    assert [dict(query)["offset"] for query in paging.upcoming(9)] == ["10", "20", "30"]


def test_guesses_follow_the_cap_of_the_server_and_the_overlap() -> None:
    paging = Paging(plan(page_size=10, overlap=1))
    ask(paging, OffsetServer(numbered(16), cap=5))
    assert paging.page_length == 5
    assert [dict(query)["offset"] for query in paging.upcoming(9)] == ["4", "8", "12"]


def test_without_a_total_one_page_is_asked_ahead() -> None:
    paging = Paging(plan(page_size=10))
    ask(paging, OffsetServer(numbered(35), names=("limit",)))
    assert len(paging.upcoming(9)) == 1


def test_while_a_place_is_searched_for_one_page_is_asked_at_a_time() -> None:
    server = OffsetServer(numbered(100), before={2: drop(0, 3)})
    paging = Paging(plan(page_size=10))
    ask(paging, server)
    assert not ask(paging, server)
    assert len(paging.upcoming(9)) == 1
    assert len(resumed(paging).upcoming(9)) == 1


def test_nothing_is_upcoming_at_the_end() -> None:
    paging = Paging(plan())
    ask(paging, OffsetServer([]))
    assert paging.done
    assert paging.upcoming(3) == []
    assert paging.total == 0


# --- a list that changes, by offset ---


def test_a_fall_of_the_total_is_made_good_and_costs_overlap_afterwards() -> None:
    server = OffsetServer(numbered(60), before={2: drop(0, 3)})
    paging = Paging(plan(page_size=20))
    assert walk(paging, server) == numbered(60)
    assert server.offsets == [0, 20, 13, 29, 45]
    assert paging.drift.stepped_back == 1
    assert paging.drift.repeated == 4 + 4 + 4
    assert paging.drift.uncertain == 0


def test_growth_in_front_repeats_rows_which_are_dropped() -> None:
    server = OffsetServer(numbered(30), before={2: put(0, "new 1", "new 2")})
    paging = Paging(plan(page_size=10))
    assert walk(paging, server) == numbered(30)
    assert server.offsets == [0, 10, 19, 28]
    assert paging.drift.stepped_back == paging.drift.uncertain == 0


def test_growth_behind_is_read_on() -> None:
    server = OffsetServer(numbered(15), before={2: put(15, "15", "16")})
    paging = Paging(plan(page_size=10))
    assert walk(paging, server) == numbered(17)
    assert paging.drift.repeated == paging.drift.uncertain == 0


def test_a_purge_behind_us_is_found_to_be_behind_us_with_one_more_request() -> None:
    server = OffsetServer(numbered(3000), before={3: drop(1000, 2000)})
    paging = Paging(plan(page_size=100))
    assert walk(paging, server) == numbered(1000)
    assert server.offsets[:4] == [0, 100, 200, 100]
    assert paging.drift.uncertain == 0


def test_a_purge_of_all_that_was_handed_out_begins_at_the_front() -> None:
    server = OffsetServer(numbered(300), before={number: drop(0, 100) for number in (2, 4)})
    paging = Paging(plan(page_size=100))
    assert walk(paging, server) == numbered(300)
    assert paging.drift.uncertain == 0


@pytest.mark.parametrize("deleted", [1, 7, 25, 40])
def test_steady_deletions_neither_stop_the_walk_nor_lose_a_row(deleted: int) -> None:
    server = OffsetServer(numbered(2000))

    def shrink(rows: list[str]) -> None:
        del rows[:deleted]

    server.before = dict.fromkeys(range(2, 1000), shrink)
    paging = Paging(plan(page_size=100))
    ids = walk(paging, server)
    assert ids == sorted(set(ids), key=int)
    assert set(server.rows) <= set(ids)
    assert paging.drift.uncertain == 0
    assert len(server.queries) <= 3 * 2000 / 100


def test_the_overlap_that_deletions_ask_for_stays_below_a_quarter_page() -> None:
    server = OffsetServer(numbered(300), before={2: drop(0, 90)})
    paging = Paging(plan(page_size=100))
    assert walk(paging, server) == numbered(300)
    assert server.offsets == [0, 100, 0, 75, 150]


def test_an_insertion_and_a_deletion_that_cancel_out_are_found_with_an_overlap() -> None:
    swap = both(drop(0, 2), put(25, "new 1", "new 2"))
    paging = Paging(plan(page_size=10, overlap=1))
    assert set(numbered(30)) <= set(walk(paging, OffsetServer(numbered(30), before={2: swap})))
    assert paging.drift.stepped_back == 1
    assert paging.drift.uncertain == 0


def test_a_step_back_that_ends_where_we_stand_is_not_the_end() -> None:
    server = OffsetServer(numbered(30), names=(), before={3: drop(18, 1)})
    paging = Paging(plan(page_size=10))
    assert walk(paging, server) == numbered(30)
    assert server.offsets == [0, 9, 18, 9, 18, 27, 28]
    assert paging.drift.uncertain == 0


def test_an_overlap_larger_than_the_pages_of_the_server_still_moves_on() -> None:
    server = OffsetServer(numbered(9), cap=3)
    assert walk(Paging(plan(page_size=10, overlap=9)), server) == numbered(9)
    assert server.offsets == [0, 1, 2, 3, 4, 5, 6]


def test_an_overlap_finds_no_room_on_pages_of_one_row_and_says_so() -> None:
    paging = Paging(plan(page_size=10, overlap=1))
    assert walk(paging, OffsetServer(numbered(3), cap=1)) == numbered(3)
    assert paging.drift.uncertain == 2


def test_after_five_steps_back_without_a_row_that_we_know_the_walk_goes_on_and_says_so() -> None:
    server = OffsetServer(numbered(1000))
    paging = Paging(plan(page_size=10, overlap=1))
    for _ in range(60):
        ask(paging, server)
    server.rows[:] = [f"other {number}" for number in range(1000)]
    asked = len(server.queries)
    while not ask(paging, server):
        pass
    assert server.offsets[asked:] == [540, 531, 521, 501, 461, 381]
    assert paging.drift.uncertain >= 1
    assert "other 999" in walk(paging, server)


def test_rows_that_may_come_again_because_their_ids_are_forgotten_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(offsets_module, "_REMEMBERED_IDS", 10)
    server = OffsetServer(
        numbered(100), before={6: put(0, *(f"new {number}" for number in range(45)))}
    )
    paging = Paging(plan(page_size=10))
    ids = walk(paging, server)
    assert len(set(ids)) < len(ids)
    assert paging.drift.uncertain >= 25


def test_ids_are_remembered_in_a_bounded_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offsets_module, "_REMEMBERED_IDS", 20)
    paging = Paging(plan(page_size=10))
    walk(paging, OffsetServer(numbered(500)))
    assert 20 <= len(paging._known) <= 40


# --- a server that does not do what it says, by offset ---


@pytest.mark.parametrize(
    "names", [("total", "limit"), ("total",), ("limit",), ("total", "limit", "offset"), ()]
)
def test_a_server_that_ignores_the_offset_is_an_error(names: tuple[str, ...]) -> None:
    answer = OffsetServer(numbered(100), names=names)

    def ignoring(query: Query) -> ListBody[Item]:
        return replace(answer(query), rows=items(*numbered(10)))

    with pytest.raises(PagingError, match="the same page at three offsets"):
        walk(Paging(plan(page_size=10)), ignoring)


def test_a_server_that_ignores_the_offset_is_no_success_where_its_total_would_be_reached() -> None:
    def ignoring(query: Query) -> ListBody[Item]:
        return ListBody(rows=items(*numbered(3)), paged_by_cursor=False, total=6)

    with pytest.raises(PagingError, match="the same page"):
        walk(Paging(plan(page_size=3)), ignoring)


def test_a_server_that_sends_the_whole_list_whatever_is_asked_is_at_its_end() -> None:
    def whole(query: Query) -> ListBody[Item]:
        return ListBody(rows=items("a", "b", "c"), paged_by_cursor=False)

    paging = Paging(plan(page_size=10))
    assert walk(paging, whole) == ["a", "b", "c"]
    assert paging.drift.uncertain == 0


def test_a_page_that_comes_twice_by_chance_is_no_error() -> None:
    server = OffsetServer(numbered(9), before={2: put(0, "new 1", "new 2", "new 3")})
    assert set(walk(Paging(plan(page_size=3)), server)) >= set(numbered(9))


def test_a_server_that_echoes_another_offset_is_an_error() -> None:
    server = OffsetServer(numbered(30))
    paging = Paging(plan(page_size=10))
    ask(paging, server)
    server.facts = {"offset": 0}
    with pytest.raises(PagingError, match="asked for offset 10 and answered with offset 0"):
        ask(paging, server)


def test_after_an_error_the_same_page_is_asked_for_again() -> None:
    server = OffsetServer(numbered(30))
    paging = Paging(plan(page_size=10))
    ask(paging, server)
    server.facts = {"offset": 0}
    with pytest.raises(PagingError):
        ask(paging, server)
    server.facts = {}
    assert walk(paging, server) == numbered(30)
    assert server.offsets == [0, 10, 10, 20]


@pytest.mark.parametrize("overlap", [0, 1, 4])
def test_a_server_that_stops_before_its_own_total_is_uncertain(overlap: int) -> None:
    server = OffsetServer(numbered(20), facts={"total": 35})
    paging = Paging(plan(page_size=10, overlap=overlap))
    assert walk(paging, server) == numbered(20)
    assert paging.drift.uncertain >= 15


def test_a_server_that_shows_nothing_from_some_offset_on_does_not_keep_us_for_ever() -> None:
    answer = OffsetServer(numbered(100))

    def capped(query: Query) -> ListBody[Item]:
        body = answer(query)
        return replace(body, rows=[]) if int(query.get("offset", "0")) > 35 else body

    paging = Paging(plan(page_size=10, overlap=2))
    assert walk(paging, capped, most=40) == numbered(42)
    assert paging.drift.uncertain >= 1


def test_a_list_without_end_and_without_news_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging_module, "_MOST_BARREN_PAGES", 50)
    ring = numbered(7) * 1000

    def turning(query: Query) -> ListBody[Item]:
        offset = int(query.get("offset", "0"))
        return ListBody(rows=items(*ring[offset : offset + 3]), paged_by_cursor=False, limit=3)

    with pytest.raises(PagingError, match="50 pages in a row without a new row"):
        walk(Paging(plan(page_size=3)), turning)


def test_a_style_that_changes_in_the_middle_is_an_error() -> None:
    paging = Paging(plan(page_size=2))
    ask(paging, OffsetServer(numbered(4)))
    with pytest.raises(
        PagingError, match="began with offset paging and went on with cursor paging"
    ):
        paging.receive(ListBody(rows=items("x"), paged_by_cursor=True))


# --- cursors ---


def page(ids: str, cursor: str | None = None, has_more: bool | None = None) -> ListBody[Item]:
    return ListBody(rows=items(*ids), paged_by_cursor=True, next_cursor=cursor, has_more=has_more)


class CursorScript:
    def __init__(self, *pages: ListBody[Item]) -> None:
        self._pages: Iterator[ListBody[Item]] = iter(pages)
        self.queries: list[Query] = []

    def __call__(self, query: Query) -> ListBody[Item]:
        self.queries.append(query)
        return next(self._pages)


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
    with pytest.raises(PagingError, match="has_more without a next_cursor"):
        ask(paging, script)
    assert walk(paging, script) == ["a", "b", "c"]
    assert [query.get("cursor") for query in script.queries] == [None, "A", "A", "B"]


def test_a_later_page_without_any_paging_is_an_error_and_not_the_end() -> None:
    paging = Paging(plan())
    ask(paging, CursorScript(page("a", "A")))
    with pytest.raises(PagingError, match="began with cursor paging"):
        paging.receive(ListBody(rows=items("b"), paged_by_cursor=False))
    assert not paging.done


def test_one_cursor_page_is_upcoming_at_a_time() -> None:
    paging = Paging(plan())
    ask(paging, CursorScript(page("a", "A")))
    assert paging.upcoming(8) == [(("limit", "100"), ("cursor", "A"))]


def test_rows_that_a_cursor_repeats_are_dropped() -> None:
    paging = Paging(plan())
    assert walk(paging, CursorScript(page("abb", "A"), page("bc"))) == ["a", "b", "c"]
    assert paging.drift.repeated == 2


def test_new_cursors_without_end_and_without_rows_are_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(paging_module, "_MOST_BARREN_PAGES", 50)
    with pytest.raises(PagingError, match="without a new row"):
        walk(Paging(plan()), CursorScript(*(page("", str(number)) for number in range(100))))


def test_as_many_empty_pages_are_no_error_where_the_list_ends_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(paging_module, "_MOST_BARREN_PAGES", 2)
    assert walk(Paging(plan()), CursorScript(page("", "A"), page(""))) == []


# --- dates ---


def dated(**options: Any) -> Plan[Item]:
    return plan(
        dates=DateRange(since=NOON, until=NOON + timedelta(hours=1)),
        started=lambda row: row.at,
        **options,
    )


def test_the_first_request_spells_the_dates_as_the_seed_does() -> None:
    query = dict(Paging(dated()).upcoming(1)[0])
    assert query == {"from": "2024-03-10T12:00:00Z", "to": "2024-03-10T13:00:00Z", "limit": "100"}


def test_an_offset_server_is_asked_for_the_same_page_again_with_both_spellings() -> None:
    server = OffsetServer(["a"])
    paging = Paging(dated())
    assert not ask(paging, server)
    assert walk(paging, server) == ["a"]
    assert [set(query) for query in server.queries] == [
        {"from", "to", "limit"},
        {"from", "to", "start_date", "end_date", "limit"},
    ]


@pytest.mark.parametrize(
    "known",
    [
        {"style_hint": "offset"},
        {"start": Checkpoint(of="calls", filters={}, style="offset", at=1, last="a")},
    ],
)
def test_a_server_that_is_known_to_page_by_offset_is_asked_with_both_spellings_at_once(
    known: Any,
) -> None:
    assert {"from", "start_date"} <= set(dict(Paging(dated(**known)).upcoming(1)[0]))


def test_a_cursor_server_hears_one_spelling() -> None:
    script = CursorScript(page("a", "A"), page("b"))
    walk(Paging(dated()), script)
    assert all("start_date" not in query for query in script.queries)


def test_rows_outside_the_dates_are_dropped_and_counted() -> None:
    hours = [None, *(NOON + timedelta(minutes=minutes) for minutes in (-1, 0, 60, 61))]
    rows = [Item(str(number), moment) for number, moment in enumerate(hours)]
    paging = Paging(dated())
    paging.receive(ListBody(rows=rows, paged_by_cursor=True))
    assert taken(paging) == ["0", "2", "3"]
    assert paging.drift.outside == 2


@pytest.mark.parametrize(
    ("dates", "inside"), [(DateRange(since=NOON), False), (DateRange(until=NOON), True)]
)
def test_an_open_range_holds_one_side(dates: DateRange, inside: bool) -> None:
    assert dates.holds(NOON - timedelta(seconds=1)) is inside


# --- checkpoints ---


def resumed(paging: Paging[Item], **options: Any) -> Paging[Item]:
    start = read_checkpoint(paging.checkpoint.text(), of="calls", filters={})
    return Paging(replace(paging.plan, start=start, **options))


def cursor_server(ids: str, cap: int = 100) -> Callable[[Query], ListBody[Item]]:
    def answer(query: Query) -> ListBody[Item]:
        first, size = int(query.get("cursor", "0")), min(int(query["limit"]), cap)
        rest = first + size < len(ids)
        return page(ids[first : first + size], str(first + size) if rest else None)

    return answer


ALPHABET = "abcdefghijklmnopqrstuvwxyz"


@pytest.mark.parametrize("names", [("total", "limit", "offset"), ("limit",), (), None])
@pytest.mark.parametrize("page_size", [1, 2, 5, 26, 100])
def test_a_resume_after_any_row_goes_on_exactly_there(
    names: tuple[str, ...] | None, page_size: int
) -> None:
    for count in range(len(ALPHABET) + 1):
        server = (
            cursor_server(ALPHABET) if names is None else OffsetServer(list(ALPHABET), names=names)
        )
        paging = Paging(plan(page_size=page_size))
        ids: list[str] = []
        while len(ids) < count:
            row = paging.take()
            ids += [row.id] if row else []
            row or ask(paging, server)
        paging = resumed(paging)
        assert ids + walk(paging, server) == list(ALPHABET)
        assert paging.drift.uncertain == 0 or (
            page_size == 1 and names != ("total", "limit", "offset")
        )


@pytest.mark.parametrize("names", [("total",), None])
@pytest.mark.parametrize("page_size", [1, 3, 20, 100])
def test_a_resume_with_other_pages_is_exact_too(
    names: tuple[str, ...] | None, page_size: int
) -> None:
    server = cursor_server(ALPHABET) if names is None else OffsetServer(list(ALPHABET), names=names)
    paging = Paging(plan(page_size=10))
    ask(paging, server)
    ids = [row.id for _ in range(7) if (row := paging.take())]
    paging = resumed(paging, page_size=page_size)
    assert ids + walk(paging, server) == list(ALPHABET)
    assert paging.drift.uncertain == 0


def test_a_checkpoint_of_a_walk_that_is_over_has_nothing_more() -> None:
    for server in (cursor_server("abc"), OffsetServer(list("abc")), OffsetServer([])):
        paging = Paging(plan())
        walk(paging, server)
        assert resumed(paging).done


def test_a_checkpoint_in_front_of_the_first_row_is_the_start() -> None:
    paging = Paging(plan())
    assert paging.checkpoint == paging.plan.start
    ask(paging, OffsetServer(["a"]))
    assert paging.checkpoint == paging.plan.start


def test_a_checkpoint_behind_dropped_rows_does_not_ask_for_them_again() -> None:
    script = CursorScript(
        ListBody(rows=[Item("a", NOON - timedelta(days=1))], paged_by_cursor=True, next_cursor="A")
    )
    paging = Paging(dated())
    ask(paging, script)
    assert paging.checkpoint.cursor == "A"


def half_read(server: OffsetServer, **options: Any) -> Paging[Item]:
    """Take 50 of the rows in pages of 10."""
    paging = Paging(plan(page_size=10, **options))
    while (row := paging.take()) is None or row.id != "49":
        row or ask(paging, server)
    return paging


@pytest.mark.parametrize(
    ("change", "most_requests"),
    [
        (put(0, *(f"new {number}" for number in range(500))), 2),
        (put(100, "new"), 1),
        (drop(0, 30), 2),
        (drop(80, 10), 1),
        (both(put(0, "new 1", "new 2"), drop(80, 2)), 2),
        (both(drop(0, 12), put(70, *(f"new {number}" for number in range(12)))), 5),
    ],
    ids=[
        "grown in front",
        "grown behind",
        "fallen in front",
        "fallen behind",
        "cancelled out ahead",
        "cancelled out behind",
    ],
)
def test_a_resume_finds_its_row_where_a_change_has_moved_it(
    change: Callable[[list[str]], None], most_requests: int
) -> None:
    server = OffsetServer(numbered(100))
    paging = half_read(server)
    change(server.rows)
    paging = resumed(paging)
    asked = len(server.queries)
    while not ask(paging, server):
        pass
    assert len(server.queries) - asked <= most_requests
    ids = taken(paging) + walk(paging, server)
    assert [row_id for row_id in ids if not row_id.startswith("new")] == [
        row_id for row_id in numbered(100)[50:] if row_id in server.rows
    ]
    assert paging.drift.uncertain == 0


def test_a_resume_looks_around_in_pages_of_the_size_that_the_server_gives() -> None:
    server = OffsetServer(numbered(100), cap=5, names=("limit",))
    paging = half_read(server)
    put(0, *(f"new {number}" for number in range(6)))(server.rows)
    paging = resumed(paging)
    assert walk(paging, server) == numbered(100)[50:]
    assert paging.drift.uncertain == 0


def test_a_resume_whose_row_is_gone_begins_anew_and_says_so() -> None:
    server = OffsetServer(numbered(100))
    paging = half_read(server)
    drop(49, 1)(server.rows)
    paging = resumed(paging)
    asked = len(server.queries)
    assert walk(paging, server) == server.rows
    assert paging.drift.uncertain == 50
    assert len(server.queries) - asked <= 6 + 12


def test_a_resume_of_an_emptied_list_ends() -> None:
    server = OffsetServer(numbered(100))
    paging = half_read(server)
    server.rows.clear()
    paging = resumed(paging)
    assert walk(paging, server) == []
    assert paging.drift.uncertain == 50


def test_a_resume_drops_what_insertions_push_behind_its_row() -> None:
    server = OffsetServer(numbered(100), names=("limit",))
    paging = resumed(half_read(server))
    ask(paging, server)
    ids = taken(paging)
    put(0, *(f"new {number}" for number in range(10)))(server.rows)
    assert ids + walk(paging, server) == numbered(100)[50:]
    assert paging.drift.uncertain == 0


def test_a_checkpoint_among_rows_that_come_again_stays_behind_the_furthest() -> None:
    server = OffsetServer(numbered(100))
    paging = half_read(server)
    put(0, *(f"new {number}" for number in range(25)))(server.rows)
    ask(paging, server)
    assert taken(paging) == []
    assert paging.checkpoint.last == "49"
    assert walk(resumed(paging), server) == numbered(100)[50:]


def test_a_checkpoint_in_front_of_rows_that_were_handed_out_says_that_it_is_unsure() -> None:
    server = OffsetServer(numbered(100))
    paging = half_read(server)
    put(49, "new 1", "new 2", "new 3")(server.rows)
    ask(paging, server)
    unsure = {}
    while (row := paging.take()) is not None:
        unsure[row.id] = paging.checkpoint.unsure
    assert unsure == {"new 2": True, "new 3": True} | dict.fromkeys(numbered(57)[50:], False)


def test_a_checkpoint_among_insertions_is_unsure_though_deletions_keep_the_total() -> None:
    server = OffsetServer(numbered(100))
    paging = half_read(server, overlap=1)
    taken(paging)
    both(put(47, *(f"new {number}" for number in range(20))), drop(90, 20))(server.rows)
    while not ask(paging, server):
        pass
    assert paging.take() == Item("new 0")
    assert paging.checkpoint.unsure


def test_a_cursor_resume_asks_for_no_more_rows_than_the_api_allows() -> None:
    start = Checkpoint(of="calls", filters={}, style="cursor", at=150, last="x")
    assert dict(Paging(plan(start, page_size=20)).upcoming(1)[0])["limit"] == "100"


def test_a_resume_from_an_unsure_place_is_uncertain() -> None:
    server = OffsetServer(numbered(100))
    paging = half_read(server)
    put(20, *(f"new {number}" for number in range(200)))(server.rows)
    ask(paging, server)
    while not taken(paging):
        ask(paging, server)
    assert paging.checkpoint.unsure
    assert resumed(paging).drift.uncertain == 1


def test_a_row_from_before_the_resume_that_an_insertion_brings_again_is_uncertain() -> None:
    # Between requests: the row of the checkpoint is deleted, so that we step back, and a
    # row is inserted before it.
    server = OffsetServer(list("abcdef"), before={2: drop(2, 1), 3: put(0, "new")})
    paging = Paging(
        plan(
            Checkpoint(of="calls", filters={}, style="offset", at=3, last="c", total=6), page_size=2
        )
    )
    assert walk(paging, server) == ["d", "b", "e", "f"]
    assert server.offsets == [2, 4, 2, 3, 4]
    assert paging.drift.uncertain == 1


def test_a_row_from_before_the_resume_that_comes_in_place_of_deleted_ones_is_uncertain() -> None:
    server = OffsetServer(
        list("abcdefgh"), before={2: drop(2, 2), 4: put(0, "new 1", "new 2", "new 3")}
    )
    paging = Paging(
        plan(
            Checkpoint(of="calls", filters={}, style="offset", at=3, last="c", total=8), page_size=3
        )
    )
    assert walk(paging, server) == ["d", "e", "f", "g", "b", "h"]
    assert server.offsets == [2, 5, 2, 4, 6]
    assert paging.drift.uncertain == 1


def test_a_cursor_resume_whose_row_is_gone_hands_the_page_out_again_and_says_so() -> None:
    paging = Paging(plan(page_size=5))
    ask(paging, cursor_server("abcdef"))
    assert [row.id for _ in range(3) if (row := paging.take())] == ["a", "b", "c"]
    paging = resumed(paging)
    assert walk(paging, cursor_server("abdef")) == ["a", "b", "d", "e", "f"]
    assert paging.drift.uncertain == 3


# --- parts of a date range ---


@pytest.mark.parametrize(
    ("until", "asked"),
    [
        (None, None),
        (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)),
        (datetime(2026, 1, 1, 23, 59, 59, 999_999, UTC), datetime(2026, 1, 2, tzinfo=UTC)),
        (datetime.max.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)),
    ],
)
def test_a_range_is_asked_for_up_to_a_whole_second(
    until: datetime | None, asked: datetime | None
) -> None:
    assert DateRange(until=until).asked().until == asked


def test_a_row_without_a_time_that_stands_in_every_part_is_handed_out_once() -> None:
    timeless, noon = RecentIds(), datetime(2026, 1, 1, 12, tzinfo=UTC)
    rows = [Item("a", noon), Item("b"), Item("c", noon + timedelta(hours=3))]
    handed_out, repeated = [], 0
    for since in (noon - timedelta(hours=1), noon + timedelta(hours=2)):
        dates = DateRange(since=since, until=since + timedelta(hours=2))
        walking = Paging(
            plan(dates=dates, started=lambda row: row.at, timeless=timeless, style_hint="cursor")
        )
        walking.receive(ListBody(rows=rows, paged_by_cursor=True))
        handed_out += taken(walking)
        repeated += walking.drift.repeated
    assert (handed_out, repeated) == (["a", "b", "c"], 1)
