"""Test a time range that is read in shards.

Every call comes once, checkpoints are exact, and nothing is lost when a shard fails.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from telepath_async import Call, Paginator, RetryPolicy, ServerError, TelepathClient, UsageError
from telepath_async.sandbox import Sandbox

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SINCE, UNTIL = NOW - timedelta(days=20), NOW - timedelta(days=2)


@pytest.fixture(params=["offset", "cursor"])
async def sandbox(request: pytest.FixtureRequest) -> AsyncIterator[Sandbox]:
    async with Sandbox(
        style=request.param, calls=1_500, rate_limit=1_000_000, now=int(NOW.timestamp())
    ) as sandbox:
        yield sandbox


@pytest.fixture
async def telepath(sandbox: Sandbox) -> AsyncIterator[TelepathClient]:
    async with TelepathClient(
        sandbox.api_key, base_url=sandbox.base_url, retry=RetryPolicy(max_attempts=1)
    ) as client:
        yield client


def shards(telepath: TelepathClient, count: int = 8, **options: Any) -> Paginator[Call]:
    return telepath.calls.list(since=SINCE, until=UNTIL, shards=count, page_size=20, **options)


async def in_range(telepath: TelepathClient) -> set[str]:
    return {call.id async for call in telepath.calls.list(since=SINCE, until=UNTIL)}


@pytest.mark.parametrize(("count", "prefetch"), [(2, 0), (8, 0), (8, 3)])
async def test_every_call_of_the_range_comes_once(
    telepath: TelepathClient, count: int, prefetch: int
) -> None:
    calls = shards(telepath, count, prefetch=prefetch)
    got = [call.id async for call in calls]
    assert len(got) == len(set(got))
    assert set(got) == await in_range(telepath)
    assert set(got) == {call.id for call in await calls.collect()}
    assert set(got) == {call.id async for page in calls.pages() for call in page.items}
    assert calls.drift.uncertain == calls.drift.outside == 0


async def test_a_call_at_the_moment_of_a_cut_belongs_to_one_shard(
    sandbox: Sandbox, telepath: TelepathClient
) -> None:
    cut = SINCE + (UNTIL - SINCE) / 2
    added = sandbox.add_call(start_time=f"{cut:%Y-%m-%dT%H:%M:%SZ}")["id"]
    got = [call.id async for call in shards(telepath, 2)]
    assert got.count(added) == 1


async def test_one_page_of_each_shard_is_under_way_at_once(
    sandbox: Sandbox, telepath: TelepathClient
) -> None:
    await anext(aiter(shards(telepath)))
    assert len(sandbox.requests) >= 8


async def test_a_page_says_the_total_of_all_shards_where_the_server_does(
    sandbox: Sandbox, telepath: TelepathClient
) -> None:
    pages = [page async for page in shards(telepath).pages()]
    assert [page.number for page in pages] == list(range(1, len(pages) + 1))
    expected = len(await in_range(telepath)) if "total" in str(pages[0].raw.json()) else None
    assert pages[-1].total == expected


async def test_max_items_counts_over_all_shards(telepath: TelepathClient) -> None:
    assert len(await shards(telepath, max_items=33).collect()) == 33
    assert len([call async for call in shards(telepath, max_items=33)]) == 33
    assert [call async for call in shards(telepath, max_items=0)] == []


@pytest.mark.parametrize("taken", [0, 1, 20, 97, 400])
async def test_a_checkpoint_goes_on_with_exactly_the_rest(
    telepath: TelepathClient, taken: int
) -> None:
    calls, before = shards(telepath), []
    async for call in calls:
        before.append(call.id)
        if len(before) == taken:
            break
    rest = (
        [call.id async for call in telepath.calls.list(resume=calls.checkpoint, page_size=20)]
        if taken
        else []
    )
    got = before + rest
    assert len(got) == len(set(got))
    assert set(got) == await in_range(telepath)


async def test_the_error_of_a_shard_is_raised_and_the_iterator_goes_on(
    sandbox: Sandbox, telepath: TelepathClient
) -> None:
    iterator, got = aiter(shards(telepath)), []
    sandbox.fail_next(status=503)
    failures = 0
    while len(got) < 5_000:
        try:
            got.append((await anext(iterator)).id)
        except ServerError:
            failures += 1
        except StopAsyncIteration:
            break
    assert failures == 1
    assert len(got) == len(set(got))
    assert set(got) == await in_range(telepath)


async def test_leaving_the_loop_leaves_nothing_running(telepath: TelepathClient) -> None:
    async for _ in shards(telepath, prefetch=2):
        break
    gc.collect()
    await assert_nothing_runs()


async def test_an_iterator_at_max_items_leaves_nothing_running(
    sandbox: Sandbox, telepath: TelepathClient
) -> None:
    sandbox.fail_next(delay=30, times=7)
    kept = aiter(shards(telepath, max_items=3))
    assert len([call async for call in kept]) == 3
    await assert_nothing_runs()
    assert await anext(kept, None) is None


async def test_a_cancelled_consumer_leaves_nothing_running(
    sandbox: Sandbox, telepath: TelepathClient
) -> None:
    sandbox.fail_next(delay=30, times=8)
    consumer = asyncio.create_task(shards(telepath).collect())
    while len(sandbox.requests) < 8:
        await asyncio.sleep(0.01)
    consumer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consumer
    await assert_nothing_runs()


async def assert_nothing_runs() -> None:
    await asyncio.sleep(0.05)
    others = asyncio.all_tasks() - {asyncio.current_task()}
    assert not [task for task in others if "RequestHandler" not in repr(task.get_coro())]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"shards": 0}, "from 1 to 100"),
        ({"shards": 101}, "from 1 to 100"),
        ({"shards": 2}, "give since and until"),
        ({"shards": 2, "since": SINCE}, "give since and until"),
        (
            {"shards": 50, "since": SINCE, "until": SINCE + timedelta(seconds=49)},
            "shorter than a second",
        ),
        ({"shards": 2, "resume": '{"v":1,"of":"calls"}'}, "beside resume"),
        ({"resume": "[]"}, "resume cannot be used"),
        ({"resume": '[{"v":1,"of":"calls"},5]'}, "resume cannot be used"),
        ({"resume": "[{]"}, "resume cannot be used"),
    ],
)
async def test_what_cannot_be_cut_is_refused_at_the_call(
    telepath: TelepathClient, options: dict[str, Any], why: str
) -> None:
    with pytest.raises(UsageError, match=why):
        telepath.calls.list(**options)
