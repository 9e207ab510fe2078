"""The rules of the offset style, one by one, over lists that a test changes between requests."""

from __future__ import annotations

from typing import Any

import pytest

from telepath_async.errors import PagingError
from telepath_async.protocol import paging as paging_module
from telepath_async.protocol import recent_ids
from telepath_async.protocol.answers import ListBody
from telepath_async.protocol.checkpoint import Checkpoint
from telepath_async.protocol.paging import Paging

from .lists import (
    FACTS,
    Change,
    Item,
    OffsetServer,
    ask,
    both,
    drop,
    items,
    numbered,
    plan,
    put,
    resumed,
    taken,
    walk,
)

# --- a list that stands still ---


def test_the_first_request_carries_the_limit_alone() -> None:
    assert Paging(plan(page_size=7)).upcoming(3) == [(("limit", "7"),)]


@pytest.mark.parametrize(
    ("rows", "cap", "facts", "offsets"),
    [
        (0, 100, FACTS, [0]),
        (5, 100, FACTS, [0]),
        (10, 100, FACTS, [0, 9]),
        (25, 100, FACTS, [0, 9, 18]),
        (28, 100, FACTS, [0, 9, 18, 27]),
        (25, 100, ("total",), [0, 9, 18]),
        (20, 4, ("total", "limit"), [0, 3, 6, 9, 12, 15, 18]),
        (20, 4, ("total",), [0, 3, 6, 9, 12, 15, 18]),
        (25, 100, ("limit",), [0, 9, 18]),
        (10, 100, ("limit",), [0, 9]),
        (0, 100, (), [0]),
        (1, 100, (), [0, 1]),
        (5, 100, (), [0, 4]),
        (25, 100, (), [0, 9, 18, 24]),
        (20, 4, (), [0, 3, 6, 9, 12, 15, 18, 19]),
    ],
)
def test_a_list_that_stands_still_comes_whole(
    rows: int, cap: int, facts: Any, offsets: list[int]
) -> None:
    server = OffsetServer(numbered(rows), cap=cap, facts=facts)
    paging = Paging(plan(page_size=10))
    assert walk(paging, server) == numbered(rows)
    assert server.offsets == offsets
    assert paging.drift == type(paging.drift)()


@pytest.mark.parametrize("overlap", [0, 1, 3, 9, 50])
def test_a_larger_overlap_asks_earlier(overlap: int) -> None:
    server = OffsetServer(numbered(30))
    paging = Paging(plan(page_size=10, overlap=overlap))
    assert walk(paging, server) == numbered(30)
    assert server.offsets[1] == 10 - min(overlap, 9)
    assert paging.drift.uncertain == paging.drift.repeated == 0


def test_pages_of_one_row_are_uncertain_since_nothing_can_be_compared() -> None:
    for options in ({"page_size": 1}, {"page_size": 10}):
        paging = Paging(plan(**options))
        assert walk(paging, OffsetServer(numbered(3), cap=1)) == numbered(3)
        assert paging.drift.uncertain == 2


@pytest.mark.parametrize(
    ("rows", "server", "wanted", "offsets"),
    [
        (35, {}, 2, ["9", "18"]),
        (35, {}, 9, ["9", "18", "27"]),
        (16, {"cap": 5}, 9, ["4", "8", "12"]),
        (35, {"facts": ("limit",)}, 9, ["9"]),
    ],
    ids=["two", "all", "the server's cap", "no total"],
)
def test_the_next_pages_can_be_asked_for_at_once(
    rows: int, server: dict[str, Any], wanted: int, offsets: list[str]
) -> None:
    paging = Paging(plan(page_size=10))
    ask(paging, OffsetServer(numbered(rows), **server))
    assert [dict(query)["offset"] for query in paging.upcoming(wanted)] == offsets


def test_while_a_resume_looks_for_its_row_one_page_is_asked_at_a_time() -> None:
    server = OffsetServer(numbered(100))
    paging = Paging(plan(page_size=10))
    ask(paging, server)
    taken(paging)
    assert len(paging.upcoming(9)) == 9
    assert len(resumed(paging).upcoming(9)) == 1


def test_nothing_is_upcoming_at_the_end() -> None:
    paging = Paging(plan())
    ask(paging, OffsetServer([]))
    assert paging.done
    assert paging.upcoming(3) == []
    assert paging.total == 0


# --- the end ---


@pytest.mark.parametrize("facts", [FACTS, ("total",)])
@pytest.mark.parametrize(
    ("rows", "total"), [(1300, 1000), (250, 0), (250, 3), (250, 100), (250, 200)]
)
def test_a_total_that_is_capped_or_counts_something_else_ends_nothing(
    rows: int, total: int, facts: Any
) -> None:
    server = OffsetServer(numbered(rows), facts=facts, lies={"total": total})
    paging = Paging(plan())
    assert walk(paging, server) == numbered(rows)
    assert paging.drift.uncertain == 0


@pytest.mark.parametrize("rows", [0, 5, 20])
@pytest.mark.parametrize("overlap", [0, 1, 4])
def test_rows_that_are_counted_and_not_served_are_uncertain(rows: int, overlap: int) -> None:
    server = OffsetServer(numbered(rows), lies={"total": 35})
    paging = Paging(plan(page_size=10, overlap=overlap))
    assert walk(paging, server) == numbered(rows)
    assert paging.drift.uncertain == 35 - rows


def test_a_short_page_is_not_the_end_where_the_total_says_that_there_is_more() -> None:
    hidden = {"3", "4", "12"}
    server = OffsetServer(numbered(30))

    def filtering(query: dict[str, str]) -> ListBody[Item]:
        body = server(query)
        return evolve_body(body, rows=[row for row in body.rows if row.id not in hidden])

    ids = walk(Paging(plan(page_size=10, overlap=3)), filtering)
    assert set(ids) == set(numbered(30)) - hidden


def test_a_server_that_shows_nothing_from_some_offset_on_does_not_keep_us_forever() -> None:
    server = OffsetServer(numbered(100))

    def capped(query: dict[str, str]) -> ListBody[Item]:
        body = server(query)
        return evolve_body(body, rows=[]) if int(query.get("offset", "0")) > 35 else body

    paging = Paging(plan(page_size=10, overlap=2))
    assert walk(paging, capped, most=10) == numbered(42)
    assert paging.drift.uncertain >= 58


# --- a list that changes ---

SWAP = both(drop(0, 2), put(25, "new 1", "new 2"))


@pytest.mark.parametrize("deleted", [1, 7, 19])
def test_a_page_that_holds_no_known_row_is_asked_for_one_page_earlier(deleted: int) -> None:
    server = OffsetServer(numbered(60), before={2: drop(0, deleted)})
    paging = Paging(plan(page_size=20))
    assert walk(paging, server) == numbered(60)
    assert server.offsets[:3] == [0, 19, 0]
    assert len(server.offsets) <= 5, "the page that came too early is not asked for again"
    assert paging.drift.stepped_back == 1
    assert paging.drift.uncertain == 0


@pytest.mark.parametrize(
    ("rows", "change", "got", "repeated", "stepped_back"),
    [
        (30, put(0, "new 1", "new 2"), numbered(30), 2, 0),
        (15, put(15, "15", "16"), numbered(17), 0, 0),
        (30, SWAP, [*numbered(27), "new 1", "new 2", "27", "28", "29"], 0, 1),
    ],
    ids=["inserted before", "inserted after", "cancelled out"],
)
def test_a_change_between_two_pages_loses_no_row(
    rows: int, change: Change, got: list[str], repeated: int, stepped_back: int
) -> None:
    paging = Paging(plan(page_size=10))
    assert walk(paging, OffsetServer(numbered(rows), before={2: change})) == got
    drift = paging.drift
    assert (drift.repeated, drift.stepped_back, drift.uncertain) == (repeated, stepped_back, 0)


def test_without_an_overlap_a_fall_of_the_total_is_all_that_is_seen() -> None:
    server = OffsetServer(numbered(30), before={2: drop(0, 2)})
    paging = Paging(plan(page_size=10, overlap=0))
    assert walk(paging, server) == [*numbered(10), *numbered(30)[12:]]
    assert paging.drift.uncertain == 2


@pytest.mark.parametrize(
    ("rows", "before", "kept", "most_steps_back"),
    [
        (3000, {3: drop(1000, 2000)}, 1000, 0),
        (300, {2: drop(0, 100), 4: drop(0, 100)}, 300, 3),
        (5000, {41: drop(0, 3500)}, 5000, 7),
    ],
    ids=["after us", "all that was handed out", "most of what lies before us"],
)
def test_a_purge_costs_no_row_and_few_steps_back(
    rows: int, before: dict[int, Change], kept: int, most_steps_back: int
) -> None:
    server = OffsetServer(numbered(rows), before=before)
    paging = Paging(plan(page_size=100))
    assert walk(paging, server) == numbered(kept)
    assert len(server.queries) <= kept / 99 + 2 + 2 * most_steps_back
    assert paging.drift.stepped_back <= most_steps_back
    assert paging.drift.uncertain == 0


@pytest.mark.parametrize("deleted", [1, 7, 25, 40])
def test_steady_deletions_neither_stop_the_walk_nor_lose_a_row(deleted: int) -> None:
    server = OffsetServer(numbered(2000))
    server.before = dict.fromkeys(range(2, 1000), drop(0, deleted))
    paging = Paging(plan(page_size=100))
    ids = walk(paging, server)
    assert ids == sorted(set(ids), key=int)
    assert set(server.rows) <= set(ids)
    assert paging.drift.uncertain == 0
    assert len(server.queries) <= 3 * 2000 / 100


def test_after_ten_rewinds_without_a_known_row_the_walk_goes_on_and_says_so() -> None:
    server = OffsetServer(numbered(12_000))
    paging = Paging(plan(page_size=10))
    for _ in range(1_200):
        ask(paging, server)
    taken(paging)
    server.rows[:] = [f"other {number}" for number in range(12_000)]
    asked = len(server.queries)
    while not ask(paging, server):
        pass
    first, *rewinds = server.offsets[asked:]
    assert [first - offset for offset in rewinds] == [9 * 2**power for power in range(10)]
    assert paging.drift.uncertain >= 1
    assert "other 11999" in walk(paging, server, most=2_000)


def test_rows_that_may_come_again_because_their_ids_are_forgotten_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recent_ids, "_REMEMBERED_IDS", 10)
    server = OffsetServer(
        numbered(100), before={6: put(0, *(f"new {number}" for number in range(45)))}
    )
    paging = Paging(plan(page_size=10))
    ids = walk(paging, server)
    assert len(set(ids)) < len(ids)
    assert paging.drift.uncertain >= 1


def test_ids_are_remembered_in_a_bounded_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent_ids, "_REMEMBERED_IDS", 20)
    known = recent_ids.RecentIds()
    for first in range(0, 500, 10):
        known.add({str(first + number) for number in range(10)})
        assert all(str(first + number) in known for number in range(10))
        assert len(known) <= 40
    assert known.forgot
    assert "0" not in known


def test_a_resume_long_after_the_last_row_of_a_page_was_deleted_begins_where_it_stood() -> None:
    server = OffsetServer(numbered(100), before={4: drop(27, 1)})
    paging = Paging(plan(page_size=10))
    first: list[str] = []
    while len(first) < 60:
        ask(paging, server)
        first += taken(paging)
    rest = walk(again := resumed(paging), server)
    assert first + rest == numbered(100)
    assert again.drift.uncertain == 1, "rows may have been inserted before that row, not deleted"


# --- a server that does not do what it says ---


def evolve_body(body: ListBody[Item], **changes: Any) -> ListBody[Item]:
    names = ("rows", "paged_by_cursor", "total", "limit", "offset", "next_cursor", "has_more")
    return ListBody(**{name: getattr(body, name) for name in names} | changes)


@pytest.mark.parametrize(
    ("facts", "rows"),
    [*((facts, 100) for facts in (("total", "limit"), ("limit",), FACTS, ())), (("total",), 20)],
)
def test_a_server_that_ignores_the_offset_is_an_error(facts: Any, rows: int) -> None:
    answer = OffsetServer(numbered(rows), facts=facts)

    def ignoring(query: dict[str, str]) -> ListBody[Item]:
        return evolve_body(answer(query), rows=items(*numbered(int(query["limit"]))))

    with pytest.raises(PagingError, match="the same page at three offsets"):
        walk(Paging(plan(page_size=10)), ignoring)


@pytest.mark.parametrize("names_total", [False, True])
@pytest.mark.parametrize("count", [1, 3, 10, 12])
def test_a_server_that_sends_the_whole_list_whatever_is_asked_is_at_its_end(
    count: int, names_total: bool
) -> None:
    def whole(query: dict[str, str]) -> ListBody[Item]:
        rows = items(*numbered(count))
        return ListBody(rows=rows, paged_by_cursor=False, total=count if names_total else None)

    paging = Paging(plan(page_size=10))
    assert walk(paging, whole, most=5) == numbered(count)
    assert paging.drift.uncertain == 0


@pytest.mark.parametrize(
    ("cap", "page_size", "overlap", "inserted"), [(5, 20, 1, 4), (100, 10, 9, 1), (8, 10, 3, 5)]
)
def test_a_page_that_insertions_bring_three_times_is_not_taken_for_the_whole_list(
    cap: int, page_size: int, overlap: int, inserted: int
) -> None:
    before = {n: put(0, *(f"{n}.{index}" for index in range(inserted))) for n in (2, 3)}
    server = OffsetServer(numbered(60), cap=cap, facts=("offset",), before=before)
    paging = Paging(plan(page_size=page_size, overlap=overlap))
    assert walk(paging, server) == numbered(60)
    assert paging.drift.uncertain == 0


@pytest.mark.parametrize("count", [5, 25, 30])
@pytest.mark.parametrize("facts", [(), ("total",), FACTS])
def test_a_list_that_grows_at_every_request_has_an_end(count: int, facts: Any) -> None:
    before = {n: put(0, f"new {n}") for n in range(2, 100)}
    server = OffsetServer(numbered(count), facts=facts, before=before, lies={"total": 1_000})
    paging = Paging(plan(page_size=10))
    assert walk(paging, server) == numbered(count)
    assert bool(paging.drift.uncertain) == bool(facts), "rows that are counted and not served"


def test_a_single_full_page_of_a_cursor_server_that_leaves_the_key_out_is_the_list() -> None:
    def cursor_server(query: dict[str, str]) -> ListBody[Item]:
        if int(query["limit"]) >= 10:
            return ListBody(rows=items(*numbered(10)), paged_by_cursor=False)
        rows = items(*numbered(int(query["limit"])))
        return ListBody(rows=rows, paged_by_cursor=True, next_cursor="A")

    paging = Paging(plan(page_size=10))
    assert walk(paging, cursor_server, most=5) == numbered(10)
    assert paging.drift.uncertain == 0


def test_insertions_that_bring_the_same_page_again_are_read_through() -> None:
    rows = put(0, *(f"new {number}" for number in range(9)))
    again = put(0, *(f"newer {number}" for number in range(9)))
    server = OffsetServer(numbered(40), facts=(), before={2: rows, 3: again})
    paging = Paging(plan(page_size=10))
    assert set(walk(paging, server)) >= set(numbered(40))
    assert paging.drift.uncertain == 0


def test_after_a_page_from_another_offset_which_is_an_error_the_same_page_is_asked_again() -> None:
    server = OffsetServer(numbered(30))
    paging = Paging(plan(page_size=10))
    ask(paging, server)
    server.lies = {"offset": 0}
    with pytest.raises(PagingError, match=r"at offset 9 and came from offset 0.*overlap=0"):
        ask(paging, server)
    server.lies = {}
    assert walk(paging, server) == numbered(30)
    assert server.offsets == [0, 9, 9, 18, 27]


def test_a_list_without_end_and_without_news_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging_module, "_MAX_EMPTY_PAGES", 50)
    ring = numbered(7) * 1000

    def turning(query: dict[str, str]) -> ListBody[Item]:
        offset = int(query.get("offset", "0"))
        return ListBody(rows=items(*ring[offset : offset + 3]), paged_by_cursor=False, limit=3)

    with pytest.raises(PagingError, match="50 pages without a new row"):
        walk(Paging(plan(page_size=3)), turning)


def test_a_style_that_changes_in_the_middle_is_an_error() -> None:
    paging = Paging(plan(page_size=2))
    ask(paging, OffsetServer(numbered(4)))
    with pytest.raises(
        PagingError, match="began with offset paging and went on with cursor paging"
    ):
        paging.receive(ListBody(rows=items("x"), paged_by_cursor=True))


# --- resumes ---


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
        "inserted before", "inserted after", "deleted before", "deleted after",
        "cancelled out ahead", "cancelled out behind",
    ],
)  # fmt: skip
@pytest.mark.parametrize("overlap", [0, 1, 4])
def test_a_resume_finds_its_row_where_a_change_has_moved_it(
    change: Change, most_requests: int, overlap: int
) -> None:
    server = OffsetServer(numbered(100))
    paging = half_read(server, overlap=overlap)
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
    server = OffsetServer(numbered(100), cap=5, facts=("limit",))
    paging = half_read(server)
    put(0, *(f"new {number}" for number in range(6)))(server.rows)
    paging = resumed(paging)
    assert walk(paging, server) == numbered(100)[50:]
    assert paging.drift.uncertain == 0


@pytest.mark.parametrize("change", [drop(49, 1), drop(0, 100)], ids=["that row", "all rows"])
def test_a_resume_whose_row_is_gone_begins_anew_and_says_so(change: Change) -> None:
    server = OffsetServer(numbered(100))
    paging = half_read(server)
    change(server.rows)
    paging = resumed(paging)
    asked = len(server.queries)
    assert walk(paging, server) == server.rows
    assert paging.drift.uncertain == 50
    assert len(server.queries) - asked <= 6 + 12


def test_a_resume_drops_what_insertions_push_after_its_row() -> None:
    server = OffsetServer(numbered(100), facts=("limit",))
    paging = resumed(half_read(server))
    ask(paging, server)
    ids = taken(paging)
    put(0, *(f"new {number}" for number in range(8)))(server.rows)
    assert ids + walk(paging, server) == numbered(100)[50:]
    assert paging.drift.uncertain == 0


def test_a_resume_at_a_row_that_the_page_does_not_reach_beyond_is_not_the_end() -> None:
    start = Checkpoint(of="calls", style="offset", at=2, last="1")
    server = OffsetServer(numbered(3), cap=2, facts=())
    assert walk(Paging(plan(start, page_size=3, overlap=2)), server) == ["2"]


def test_a_checkpoint_among_rows_that_come_again_stays_after_the_last() -> None:
    server = OffsetServer(numbered(100))
    paging = half_read(server)
    taken(paging)
    put(0, *(f"new {number}" for number in range(25)))(server.rows)
    ask(paging, server)
    assert taken(paging) == []
    last = paging.checkpoint.last
    assert last is not None
    assert walk(resumed(paging), server) == numbered(100)[int(last) + 1 :]


def test_a_checkpoint_before_rows_that_were_handed_out_says_that_it_is_unsure() -> None:
    server = OffsetServer(numbered(100))
    paging = half_read(server)
    taken(paging)
    put(54, "new 1", "new 2", "new 3")(server.rows)
    ask(paging, server)
    unsure = {}
    while (row := paging.take()) is not None:
        unsure[row.id] = paging.checkpoint.unsure
    new = dict.fromkeys(("new 1", "new 2", "new 3"), True)
    assert unsure == new | dict.fromkeys(numbered(61)[55:], False)


def test_a_checkpoint_before_a_row_that_insertions_pushed_off_the_page_is_unsure() -> None:
    server = OffsetServer(numbered(100))
    paging = half_read(server, overlap=4)
    taken(paging)
    both(put(50, *(f"new {number}" for number in range(20))), drop(95, 20))(server.rows)
    ask(paging, server)
    assert paging.take() == Item("new 0")
    assert paging.checkpoint.unsure
    assert resumed(paging).drift.uncertain == 1


def test_a_row_from_before_the_resume_that_a_rewind_and_an_insertion_bring_again_is_uncertain() -> (
    None
):
    # The row of the checkpoint is deleted, so that we step back; then a row comes in front.
    server = OffsetServer(list("abcdef"), before={2: drop(2, 2), 3: put(0, "new")})
    start = Checkpoint(of="calls", style="offset", at=3, last="c", total=6)
    paging = Paging(plan(start, page_size=2))
    ids = walk(paging, server)
    assert set("ef") <= set(ids)
    assert paging.drift.uncertain >= len(set("ab") & set(ids))
