"""Any history of pages, stored twice, is the same table; and the counts are exact."""

from __future__ import annotations

import asyncio
import tempfile
from datetime import UTC, datetime, timedelta

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from telepath_async import Call
from telepath_async.coverage import Coverage, RangeWalk
from telepath_async.sync.database import make_engine
from telepath_async.sync.report import Changes
from telepath_async.sync.store import open_store
from tests.support.cancelling import cancel
from tests.sync.tables import whole_rows

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
NO_WALK = RangeWalk(since=None, until=None)

times = st.none() | st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
figures = (
    st.none() | st.integers(-(10**15), 10**15) | st.floats(allow_nan=False, allow_infinity=False)
)
words = st.none() | st.text(st.characters(codec="utf-8"), max_size=5)
json = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**18), 10**18) | words,
    lambda inner: st.lists(inner, max_size=3),
)
extras = st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), json, max_size=3)
some_calls = st.builds(
    Call,
    id=st.sampled_from([f"call_{n}" for n in range(6)]),
    trunk_id=words,
    from_number=words,
    start_time=times,
    duration_seconds=figures,
    ai_latency_ms=figures,
    extra=extras,
)
histories = st.lists(st.lists(some_calls, max_size=6, unique_by=lambda call: call.id), max_size=5)


async def store_twice(database_url: str, history: list[list[Call]]) -> None:
    """Store the pages, and then the table's own content again; hold the counts against a dict."""
    table: dict[str, Call] = {}
    async with open_store(make_engine(database_url), "account", None) as store:
        for page in history:
            new = sum(call.id not in table for call in page)
            same = sum(table.get(call.id) == call for call in page)
            changes = await store.save_page(page, None, NO_WALK)
            assert changes == Changes(new, len(page) - new - same, same)
            table |= {call.id: call for call in page}
        before = await whole_rows(database_url)
        again = await store.save_page(list(table.values()), None, NO_WALK)
        assert again == Changes(0, 0, len(table))
        assert await whole_rows(database_url) == before
        assert set(before) == set(table)
        assert {row["start_time"] for row in before.values()} == {
            call.start_time for call in table.values()
        }


@settings(max_examples=25)
@given(histories)
async def test_storing_again_what_is_stored_changes_nothing_in_sqlite(
    history: list[list[Call]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        await store_twice(f"sqlite:///{folder}/calls.db", history)


async def test_storing_again_what_is_stored_changes_nothing_in_postgresql(
    postgres_url: str,
) -> None:
    first = Call(
        id="call_1", start_time=NOON, ai_latency_ms=1, extra={"a": [1, {"b": None}], "é": "x\0y"}
    )
    await store_twice(
        postgres_url, [[first], [evolve(first, ai_latency_ms=1.5), Call(id="call_2")], [], [first]]
    )


async def test_a_state_is_read_as_it_was_written(database_url: str) -> None:
    coverage = Coverage(NOON - timedelta(days=1), NOON)
    walk = RangeWalk(
        since=NOON, until=None, started=NOON, newest=NOON, rows=7, uncertain=1, checkpoint="here"
    )
    async with open_store(make_engine(database_url), "account", "trunk_1") as store:
        assert await store.load() == (None, None)
        await store.save_page([], coverage, walk)
        assert await store.load() == (coverage, walk)
        await store.save_state(coverage)
        assert await store.load() == (coverage, None)
    async with open_store(make_engine(database_url), "account", None) as other:
        assert await other.load() == (None, None)


async def test_a_page_under_way_is_committed_whole_before_a_cancellation_goes_on(
    sqlite_url: str,
) -> None:
    walk = RangeWalk(since=None, until=None, rows=1, checkpoint="behind call_1")
    async with open_store(make_engine(sqlite_url), "account", None) as store:
        saving = asyncio.create_task(store.save_page([Call(id="call_1")], None, walk))
        await asyncio.sleep(0)
        await cancel(saving)
        assert set(await whole_rows(sqlite_url)) == {"call_1"}
        assert await store.load() == (None, walk)
