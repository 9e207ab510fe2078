"""Test what a walk asks for, when, and what is still in flight afterwards."""

from __future__ import annotations

import asyncio
import gc
import json
import random
import threading
from collections.abc import AsyncIterable, AsyncIterator
from functools import partial
from typing import Any

import pytest
from attrs import field, frozen, mutable
from hypothesis import given
from hypothesis import strategies as st

from telepath_async import (
    APIError,
    Drift,
    Page,
    Paginator,
    ServerError,
    TelepathClient,
    UsageError,
)
from telepath_async.errors import ConnectionFailed, PagingError
from telepath_async.protocol.answers import ListBody
from telepath_async.protocol.checkpoint import Checkpoint, read_checkpoints
from telepath_async.protocol.messages import Response
from telepath_async.protocol.paging import Plan
from telepath_async.protocol.url import Query
from telepath_async.sandbox import Sandbox
from telepath_async.walk import Source
from tests.support.threads import hush
from tests.support.turns import settle


@frozen
class Item:
    id: str


def pages_of(rows: int, style: str) -> int:
    """Return how many pages of 10 a list has; by offset, each later one brings 9 new rows."""
    return max(1, -(-rows // (9 if style == "offset" else 10)))


@mutable
class Api:
    """The rows from `first` to `rows`, in pages of 10; an answer comes when `open` is set.

    `changes`: `first` and `rows` from the nth request on; `failing`: errors of the nth, from 1.
    """

    rows: int
    style: str = "offset"
    total: int | None = None
    first: int = 0
    changes: dict[int, tuple[int, int]] = field(factory=dict)
    failing: dict[int, BaseException] = field(factory=dict)
    open: asyncio.Event = field(factory=asyncio.Event)
    asked: list[str] = field(factory=list)
    under_way: int = 0
    most_under_way: int = 0
    cancelled: int = 0

    def __attrs_post_init__(self) -> None:
        self.open.set()

    async def fetch(self, query: Query) -> Response:
        place = dict(query).get("offset") or dict(query).get("cursor") or "0"
        self.asked.append(place)
        number = len(self.asked)
        self.first, self.rows = self.changes.get(number, (self.first, self.rows))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(0)
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.under_way -= 1
        if number in self.failing:
            raise self.failing[number]
        limit = int(dict(query)["limit"])
        body = json.dumps(
            {
                "first": int(place),
                "ids": [str(i) for i in range(self.first, self.rows)][
                    int(place) : int(place) + limit
                ],
            }
        )
        return Response(status=200, headers={}, body=body.encode(), endpoint="GET /calls")

    def read(self, response: Response) -> ListBody[Item]:
        page = json.loads(response.body)
        rows = [Item(row_id) for row_id in page["ids"]]
        reached = page["first"] + len(rows)
        if self.style == "offset":
            return ListBody(
                rows=rows, paged_by_cursor=False, total=self.total or self.rows - self.first
            )
        return ListBody(
            rows=rows,
            paged_by_cursor=True,
            next_cursor=str(reached) if reached < self.rows else None,
        )

    def list(
        self, *, resume: str | None = None, prefetch: int = 0, max_items: int | None = None
    ) -> Paginator[Item]:
        start = (
            Checkpoint(of="calls", filters={})
            if resume is None
            else read_checkpoints(resume, of="calls", filters={})[0]
        )
        plan: Plan[Item] = Plan(of="calls", page_size=10, start=start)
        return paginator([Source(plan, self.ask)], max_items=max_items, prefetch=prefetch)

    async def ask(self, query: Query) -> tuple[Response, ListBody[Item]]:
        response = await self.fetch(query)
        return response, self.read(response)


def paginator(sources: list[Source[Item]], **options: Any) -> Paginator[Item]:
    given = {"path": "/calls", "filters": {}, "max_items": None, "prefetch": 0} | options
    return Paginator(lambda: sources, **given)


@frozen
class Shards:
    """One list in several parts.

    With a `chance`, answers come late, in any order, and one in ten is an error.
    """

    apis: list[Api]
    chance: random.Random | None = None

    async def ask(self, shard: str, query: Query) -> tuple[Response, ListBody[Item]]:
        if self.chance is not None:
            for _ in range(self.chance.randrange(5)):
                await asyncio.sleep(0)
            if self.chance.random() < 0.1:
                raise ConnectionFailed("made up")
        api = self.apis[int(shard)]
        answer = await api.fetch(query)
        body = api.read(answer)
        body.rows[:] = [Item(f"{shard}-{row.id}") for row in body.rows]
        response = Response(status=200, headers={}, body=answer.body, endpoint=shard)
        return response, body

    def list(self, *, resume: str | None = None, prefetch: int = 0) -> Paginator[Item]:
        starts = [
            Checkpoint(of="calls", filters={"shard": str(shard)}) for shard in range(len(self.apis))
        ]
        starts = starts if resume is None else read_checkpoints(resume, of="calls", filters={})
        sources = [
            Source(
                Plan[Item](of="calls", page_size=10, start=start, shards=len(starts)),
                partial(self.ask, start.filters["shard"]),
            )
            for start in starts
        ]
        return paginator(sources, prefetch=prefetch)


@pytest.fixture(params=["offset", "cursor"])
def style(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def ids(items: list[Item]) -> list[int]:
    return [int(item.id) for item in items]


async def take(iterator: AsyncIterator[Item], count: int) -> list[int]:
    return [int((await anext(iterator)).id) for _ in range(count)]


async def take_all(items: AsyncIterable[Any], into: list[Any]) -> None:
    """Like list(), but what came before an error is there."""
    async for item in items:
        into.append(item)  # noqa: PERF401


# --- walking ---


@pytest.mark.parametrize("prefetch", [0, 1, 3, 20])
@pytest.mark.parametrize("rows", [0, 1, 10, 55])
async def test_all_rows_come_in_order(style: str, rows: int, prefetch: int) -> None:
    api = Api(rows, style)
    calls = api.list(prefetch=prefetch)
    assert [int(item.id) async for item in calls] == list(range(rows))
    assert calls.drift == Drift()
    assert len(api.asked) == pages_of(rows, style)
    assert api.under_way == 0


async def test_plain_iteration_asks_for_a_page_when_it_is_needed(style: str) -> None:
    api = Api(30, style)
    iterator = aiter(api.list())
    assert api.asked == []
    await take(iterator, 10)
    await settle()
    assert len(api.asked) == 1
    await take(iterator, 1)
    assert len(api.asked) == 2


async def test_every_loop_begins_anew(style: str) -> None:
    api = Api(15, style)
    calls = api.list()
    for _ in range(2):
        assert [int(item.id) async for item in calls] == list(range(15))
    assert len(api.asked) == 4


async def test_two_walks_at_the_same_time_do_not_disturb_each_other(style: str) -> None:
    calls = Api(30, style).list(prefetch=2)
    one, two = aiter(calls), aiter(calls)
    got_one, got_two = await take(one, 13), await take(two, 5)
    assert json.loads(calls.checkpoint)["last"] == "4", "the checkpoint speaks of the latest walk"
    got_two += await take(two, 25)
    got_one += await take(one, 17)
    assert got_one == got_two == list(range(30))


async def test_tasks_may_share_one_iterator(style: str) -> None:
    api = Api(95, style)
    iterator = aiter(api.list())
    got: list[int] = []

    async def work() -> None:
        async for item in iterator:
            got.append(int(item.id))
            await asyncio.sleep(0)

    await asyncio.gather(*(work() for _ in range(4)))
    assert sorted(got) == list(range(95))
    assert len(api.asked) == pages_of(95, style)


async def test_tasks_may_share_one_iterator_over_pages(style: str) -> None:
    pages = Api(35, style).list().pages()
    numbers = [page.number for page in await asyncio.gather(*(anext(pages) for _ in range(4)))]
    assert numbers == [1, 2, 3, 4]


async def test_pages_hold_items_total_number_and_the_answer() -> None:
    pages = [page async for page in Api(25).list().pages()]
    assert [(ids(page.items), page.total, page.number) for page in pages] == [
        (list(range(10)), 25, 1),
        (list(range(10, 19)), 25, 2),
        (list(range(19, 25)), 25, 3),
    ]
    assert pages[1].raw.json()["first"] == 9


async def test_a_page_carries_the_checkpoint_after_it_and_the_drift_so_far(style: str) -> None:
    api = Api(45, style)
    calls = api.list()
    async for page in calls.pages():
        assert page.checkpoint == calls.checkpoint
        assert page.drift == calls.drift == Drift()
        assert page.rejected == ()
        rest = await api.list(resume=page.checkpoint).collect()
        assert ids(rest) == list(range(ids(page.items)[-1] + 1, 45))


async def test_the_drift_of_a_page_stays_as_it_was() -> None:
    api = Api(45)
    pages = api.list().pages()
    first = await anext(pages)
    api.first = 5
    async for page in pages:
        assert page.drift.stepped_back == 1
    assert first.drift == Drift()


async def test_a_page_that_only_proves_the_end_is_not_handed_out() -> None:
    api = Api(10)
    assert [len(page.items) async for page in api.list().pages()] == [10]
    assert len(api.asked) == 2


async def test_nor_is_it_after_a_drift() -> None:
    api = Api(34, changes={2: (-3, 34)})
    pages = [page async for page in api.list().pages()]
    assert [len(page.items) for page in pages] == [10, 6, 9, 9]
    assert pages[-1].drift.repeated == 3
    assert len(api.asked) == 5


async def test_a_page_that_shows_that_rows_are_missing_is_handed_out() -> None:
    api = Api(10, total=12)
    pages = [(len(page.items), page.drift.uncertain) async for page in api.list().pages()]
    assert pages == [(10, 0), (0, 2)]


# --- a paginator itself ---


async def test_awaiting_a_list_gives_its_first_page(style: str) -> None:
    api = Api(25, style)
    calls = api.list(prefetch=3)
    page = await calls
    assert ids(page.items) == list(range(10))
    assert len(api.asked) == 1
    assert ids(await api.list(resume=calls.checkpoint).collect()) == list(range(10, 25))
    assert ids((await api.list(max_items=3)).items) == [0, 1, 2]


async def test_awaiting_a_list_of_which_no_page_is_wanted_is_refused() -> None:
    with pytest.raises(UsageError, match="there is no page"):
        await Api(25).list(max_items=0)


def test_a_plain_for_says_how_to_iterate() -> None:
    with pytest.raises(TypeError, match="async for"):
        list(Api(5).list())  # type: ignore[call-overload]


def test_a_paginator_shows_its_path_and_its_filters() -> None:
    calls = paginator([], path="/calls", filters={"status": "failed"})
    assert repr(calls) == "<Paginator GET /calls status='failed'>"
    assert repr(Api(5).list()) == "<Paginator GET /calls>"


@pytest.mark.parametrize("status", [400, 416, 422])
@pytest.mark.parametrize("prefetch", [0, 3])
async def test_an_offset_that_the_server_refuses_says_how_to_narrow_the_list(
    status: int, prefetch: int
) -> None:
    refusal = APIError("offset must be below 20", status=status)
    api = Api(50, failing={3: refusal})
    calls, got = api.list(prefetch=prefetch), []
    with pytest.raises(PagingError, match=r"offset 18 .*below 20.*by since and until") as raised:
        await take_all(calls, got)
    assert raised.value.__cause__ is refusal
    assert ids(got) == list(range(19))


async def test_a_first_page_that_the_server_refuses_is_its_own_error(style: str) -> None:
    with pytest.raises(APIError, match="no such status"):
        await Api(5, style, failing={1: APIError("no such status", status=400)}).list().collect()


async def test_an_empty_list_has_one_empty_page(style: str) -> None:
    pages = [page async for page in Api(0, style).list().pages()]
    assert [(page.items, page.number) for page in pages] == [([], 1)]


async def test_first_asks_for_one_row(style: str) -> None:
    api = Api(30, style)
    item = await api.list().first()
    assert item is not None
    assert item.id == "0"
    assert len(api.asked) == 1
    assert await Api(0, style).list().first() is None
    assert await Api(25, style).list(max_items=0).first() is None


@pytest.mark.parametrize("prefetch", [0, 8])
@pytest.mark.parametrize(("most", "pages"), [(0, 0), (1, 1), (10, 1), (11, 2), (25, 3), (99, 4)])
async def test_max_items_bounds_the_rows_and_the_requests(
    style: str, most: int, pages: int, prefetch: int
) -> None:
    api = Api(35, style)
    calls = api.list(max_items=most, prefetch=prefetch)
    assert [int(item.id) async for item in calls] == list(range(min(most, 35)))
    assert ids(await calls.collect()) == list(range(min(most, 35)))
    assert sum([len(page.items) async for page in calls.pages()]) == min(most, 35)
    await settle()
    assert len(api.asked) == 3 * pages


async def test_a_walk_that_is_over_stays_over(style: str) -> None:
    api = Api(3, style)
    iterator = aiter(api.list())
    await take(iterator, 3)
    for _ in range(2):
        with pytest.raises(StopAsyncIteration):
            await anext(iterator)
    assert len(api.asked) == 1


# --- asking ahead ---


async def test_n_pages_are_under_way_at_once_and_never_more() -> None:
    api = Api(100)
    iterator = aiter(api.list(prefetch=3))
    await take(iterator, 1)
    await settle()
    assert api.asked == ["0", "9", "18", "27"]
    await take(iterator, 99)
    assert api.most_under_way <= 3
    assert api.asked == [str(offset) for offset in range(0, 99, 9)]


async def test_pages_that_arrive_out_of_order_are_handed_out_in_order() -> None:
    api = Api(40)
    gates = [asyncio.Event() for _ in range(5)]

    async def ask(query: Query) -> tuple[Response, ListBody[Item]]:
        await gates[int(dict(query).get("offset", "0")) // 9].wait()
        return await api.ask(query)

    plan: Plan[Item] = Plan(of="calls", page_size=10, start=Checkpoint(of="calls", filters={}))
    walking = asyncio.create_task(paginator([Source(plan, ask)], prefetch=4).collect())
    for number in (0, 4, 3, 2, 1):
        await settle()
        gates[number].set()
    assert ids(await walking) == list(range(40))
    assert api.asked == ["0", "36", "27", "18", "9"]


async def test_shards_whose_pages_are_there_take_turns() -> None:
    turns: list[str] = []
    async for page in Shards([Api(50, "cursor") for _ in range(8)]).list().pages():
        turns.append(page.raw.endpoint)
        await settle()
    assert turns == [*"01234567"] * 5


@given(
    style=st.sampled_from(["offset", "cursor"]),
    sizes=st.lists(st.integers(1, 45), min_size=2, max_size=5),
    prefetch=st.integers(0, 3),
    seed=st.integers(0, 2**32),
)
def test_shards_hand_every_row_out_once_whatever_is_late_or_fails_or_is_resumed(
    style: str, sizes: list[int], prefetch: int, seed: int
) -> None:
    chance = random.Random(seed)
    shards = Shards([Api(size, style) for size in sizes], chance)

    async def walked() -> list[str]:
        got: list[str] = []
        calls = shards.list(prefetch=prefetch)
        walk: AsyncIterator[Page[Item]] | AsyncIterator[Item] = calls.pages()
        while True:
            try:
                page = await anext(walk)
            except ConnectionFailed:
                continue
            except StopAsyncIteration:
                return got
            items = page.items if isinstance(page, Page) else [page]
            assert items or page.number == 1  # after a resume, the first may bring nothing new
            got += [item.id for item in items]
            if chance.random() < 0.1:
                calls = shards.list(resume=calls.checkpoint, prefetch=prefetch)
                walk = calls.pages() if chance.random() < 0.5 else aiter(calls)

    assert sorted(asyncio.run(walked())) == sorted(
        f"{shard}-{row}" for shard, size in enumerate(sizes) for row in range(size)
    )


def test_a_sharded_walk_goes_on_in_another_loop() -> None:
    iterator = aiter(Shards([Api(30), Api(30), Api(30)]).list())
    got: list[str] = []

    async def take_seven() -> bool:
        async for item in iterator:
            got.append(item.id)
            if len(got) % 7 == 0:
                return True
        return False

    while asyncio.run(take_seven()):
        pass
    assert sorted(got) == sorted(f"{shard}-{row}" for shard in range(3) for row in range(30))


async def test_a_shard_may_find_that_its_only_page_was_its_last() -> None:
    async def ask(query: Query) -> tuple[Response, ListBody[Item]]:
        response = Response(status=200, headers={}, body=b"", endpoint="GET /calls")
        limit = int(dict(query)["limit"])
        # A cursor server that leaves the key out on the last page, and ignores the offset.
        rows = [Item(str(number)) for number in range(limit)]
        cursor = None if limit == 10 else "next"
        body = ListBody(rows=rows, paged_by_cursor=limit < 10, next_cursor=cursor)
        return response, body

    plan: Plan[Item] = Plan(of="calls", page_size=10, start=Checkpoint(of="calls"), shards=2)
    calls = paginator([Source(plan, ask), Source(plan, Api(25, "cursor").ask)])
    got = ids(await calls.collect())
    assert sorted(got) == sorted([*range(10), *range(25)])
    assert calls.drift.uncertain == 0


async def test_a_cursor_is_asked_one_ahead() -> None:
    api = Api(50, "cursor")
    iterator = aiter(api.list(prefetch=5))
    await take(iterator, 1)
    await settle()
    assert api.asked == ["0", "10"]
    await take(iterator, 9)
    await settle()
    assert api.asked == ["0", "10"]
    await take(iterator, 1)
    await settle()
    assert api.asked == ["0", "10", "20"]


@pytest.mark.parametrize(("prefetch", "most"), [(0, 8), (2, 2)])
async def test_collect_asks_eight_ahead_or_as_many_as_was_given(prefetch: int, most: int) -> None:
    api = Api(200)
    await api.list(prefetch=prefetch).collect()
    assert api.most_under_way == most


@pytest.mark.parametrize("prefetch", [0, 2, 4])
async def test_pages_asked_too_early_are_kept_until_they_join(prefetch: int) -> None:
    api = Api(60)
    calls = api.list(prefetch=prefetch)
    iterator = aiter(calls)
    got = await take(iterator, 10)
    api.first = 5  # the first five rows are deleted
    got += await take(iterator, 50)
    assert got == list(range(60))
    assert calls.drift.stepped_back == 1
    assert sorted(api.asked, key=int) == ["0", "0", *map(str, range(9, 54, 9))]
    await settle()
    assert api.under_way == 0


async def test_a_page_that_does_not_join_when_the_one_before_it_has_come_is_asked_for_again() -> (
    None
):
    # Rows are deleted before the second request, and are there again at the third.
    api = Api(60, changes={2: (5, 60), 3: (0, 60)})
    assert ids(await api.list(prefetch=1).collect()) == list(range(60))
    assert api.asked[:5] == ["0", "9", "0", "0", "9"]


async def test_a_list_that_shrinks_cancels_what_was_asked_beyond_its_end() -> None:
    api = Api(60)
    iterator = aiter(api.list(prefetch=4))
    await take(iterator, 1)
    api.rows = 15
    assert await take(iterator, 14) == list(range(1, 15))
    with pytest.raises(StopAsyncIteration):
        await anext(iterator)
    await settle()
    assert api.under_way == 0


# --- leaving ---


async def test_break_leaves_nothing_running(style: str) -> None:
    api = Api(100, style)
    async for item in api.list(prefetch=4):
        if item.id == "15":
            break
    asked = len(api.asked)
    await settle()
    assert api.under_way == 0
    assert len(api.asked) == asked, "what had not begun never begins"


async def test_break_cancels_what_is_under_way() -> None:
    api = Api(100)
    iterator = aiter(api.list(prefetch=3))
    await take(iterator, 1)
    api.open.clear()
    await settle()
    assert api.under_way == 3
    del iterator
    await settle()
    assert (api.under_way, api.cancelled) == (0, 3)


async def test_an_iterator_dropped_in_another_thread_cancels_in_its_own_loop() -> None:
    api = Api(100)
    held = [aiter(api.list(prefetch=3))]
    await take(held[0], 1)
    api.open.clear()
    await settle()
    thread = threading.Thread(target=held.clear)
    thread.start()
    thread.join()
    await settle()
    assert (api.under_way, api.cancelled) == (0, 3)


def test_an_iterator_dropped_after_its_loop_is_closed_is_silent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    held = []

    async def begin(api: Api) -> None:
        held.append(aiter(api.list(prefetch=3)))
        await take(held[-1], 1)
        await settle()

    asyncio.run(
        begin(Api(100, failing={number: ServerError("down", status=500) for number in (2, 3, 4)}))
    )
    held.clear()
    gc.collect()
    assert caplog.records == []


def test_an_iterator_dropped_after_its_loop_was_closed_in_the_middle_is_silent() -> None:
    loop = asyncio.new_event_loop()
    hush(loop)
    api = Api(100)
    held = [aiter(api.list(prefetch=3))]
    loop.run_until_complete(take(held[0], 1))
    api.open.clear()
    loop.run_until_complete(settle())
    tasks = asyncio.all_tasks(loop)
    loop.close()
    assert len(tasks) == 3
    held.clear()
    gc.collect()


async def test_a_cancelled_consumer_cancels_what_is_under_way_at_once_and_loses_no_row(
    style: str,
) -> None:
    api = Api(100, style)
    iterator = aiter(api.list(prefetch=3))
    got = await take(iterator, 10)
    api.open.clear()
    consumer = asyncio.ensure_future(anext(iterator))
    await settle()
    consumer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consumer
    await settle()
    assert api.under_way == 0
    api.open.set()
    assert got + await take(iterator, 90) == list(range(100)), "the iterator itself goes on"


# --- errors ---


@pytest.mark.parametrize("prefetch", [0, 3])
async def test_after_an_error_the_same_iterator_asks_for_the_same_page_again(
    style: str, prefetch: int
) -> None:
    api = Api(50, style, failing={3: ServerError("down", status=500)})
    iterator = aiter(api.list(prefetch=prefetch))
    got = await take(iterator, 19 if style == "offset" else 20)
    with pytest.raises(ServerError):
        await anext(iterator)
    failed = api.asked[2]
    got += await take(iterator, 50 - len(got))
    assert got == list(range(50))
    assert api.asked.count(failed) == 2


async def test_rows_before_a_failed_page_come_first_and_what_runs_ahead_is_cancelled() -> None:
    api = Api(100, failing={4: ServerError("down", status=500)})
    iterator = aiter(api.list(prefetch=4))
    assert await take(iterator, 28) == list(range(28))
    with pytest.raises(ServerError):
        await anext(iterator)
    await settle()
    assert api.under_way == 0


async def test_an_error_of_a_page_that_nobody_waits_for_is_not_reported_to_asyncio() -> None:
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda loop, context: complaints.append(context)
    )
    api = Api(100, failing={number: ServerError("down", status=500) for number in (2, 3, 4)})
    iterator = aiter(api.list(prefetch=3))
    await take(iterator, 1)
    await settle()
    del iterator
    gc.collect()
    await settle()
    assert complaints == []


@pytest.mark.parametrize("prefetch", [0, 3])
async def test_the_checkpoint_after_an_error_says_where_to_go_on(style: str, prefetch: int) -> None:
    api = Api(50, style, failing={4: ServerError("down", status=500)})
    calls = api.list(prefetch=prefetch)
    got: list[Item] = []
    with pytest.raises(ServerError):
        await take_all(calls, got)
    resumed = api.list(resume=calls.checkpoint)
    assert ids(got + await resumed.collect()) == list(range(50))
    assert resumed.drift.uncertain == 0


async def test_a_collect_that_fails_has_handed_nothing_out() -> None:
    api = Api(50, failing={4: ServerError("down", status=500)})
    calls = api.list()
    with pytest.raises(ServerError):
        await calls.collect()
    assert ids(await api.list(resume=calls.checkpoint).collect()) == list(range(50))


async def test_an_answer_that_makes_no_sense_is_asked_for_again() -> None:
    api = Api(30)
    calls = api.list()
    iterator = aiter(calls)
    await take(iterator, 10)
    api.style = "cursor"
    with pytest.raises(PagingError):
        await anext(iterator)
    api.style = "offset"
    assert await take(iterator, 20) == list(range(10, 30))


@pytest.mark.parametrize("stop", [0, 1, 7, 10, 25, 30])
async def test_a_checkpoint_stands_exactly_behind_the_last_item(style: str, stop: int) -> None:
    api = Api(30, style)
    calls = api.list(prefetch=2)
    got = await take(aiter(calls), stop)
    assert got + ids(await api.list(resume=calls.checkpoint).collect()) == list(range(30))


async def test_a_finished_checkpoint_asks_for_nothing(style: str) -> None:
    api = Api(5, style)
    calls = api.list()
    await calls.collect()
    asked = len(api.asked)
    assert [page async for page in api.list(resume=calls.checkpoint).pages()] == []
    assert len(api.asked) == asked


async def test_the_same_program_lists_5000_calls_of_either_style(style: Any) -> None:
    async with (
        Sandbox(style=style, calls=5000, rate_limit=1_000_000) as sandbox,
        TelepathClient(sandbox.api_key, base_url=sandbox.base_url) as telepath,
    ):
        calls = telepath.calls.list()
        assert [call.id async for call in calls] == list(sandbox.calls)
        assert len(sandbox.requests) in (50, 51)
        assert calls.drift == Drift()
