"""The caller's own cancellation is never lost, not even in the tick in which an attempt's time is
over.

On real sockets and in made-up time, in which two timers of one moment fire in one turn of the loop.
"""

from __future__ import annotations

import asyncio
import gc
import json
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from telepath_async import LocalLimiter, RetryPolicy, TelepathClient
from telepath_async.deadlines import Deadlines
from telepath_async.errors import RequestTimeout, TelepathError
from telepath_async.events import Event, RequestStarted
from tests.support.hostile import HANG, Hostile, Step, cut, deaf, drip, reply
from tests.support.jumping import jumping, now
from tests.support.keys import KEY

BOUND = 10.0
"""Seconds: of an attempt, and after which the caller cancels."""

Call = Callable[[], Coroutine[Any, Any, object]]


class NeverFound(aiohttp.abc.AbstractResolver):
    async def resolve(self, *_: Any, **__: Any) -> Any:
        await asyncio.Event().wait()

    async def close(self) -> None:
        pass


@asynccontextmanager
async def client_at(url: str, **options: Any) -> AsyncIterator[TelepathClient]:
    chosen = {
        "attempt_timeout": BOUND,
        "timeout": None,
        "retry": RetryPolicy(max_attempts=1),
        "limiter": LocalLimiter(),
    }
    async with TelepathClient(KEY, base_url=url, **(chosen | options)) as client:
        yield client


@asynccontextmanager
async def hung_by(*script: Step, large: bool = False, tls: bool = False) -> AsyncIterator[Call]:
    """A call that hangs because of what the server does."""
    body = {"x": "x" * 20_000_000} if large else None
    async with Hostile(script) as server:
        url = server.url.replace("http:", "https:") if tls else server.url
        async with client_at(url) as client:
            yield lambda: client.request("PUT", "/x", json=body)


@asynccontextmanager
async def in_the_look_up() -> AsyncIterator[Call]:
    connector = aiohttp.TCPConnector(resolver=NeverFound())
    async with (
        aiohttp.ClientSession(connector=connector) as own,
        client_at("https://telepath.invalid", session=own) as client,
    ):
        yield lambda: client.request("GET", "/x")


@asynccontextmanager
async def in_the_connect() -> AsyncIterator[Call]:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        with socket.create_connection(full.getsockname()):  # takes the one place in the backlog
            async with client_at(url) as client:
                yield lambda: client.request("GET", "/x")


@asynccontextmanager
async def in_aiohttps_own_queue() -> AsyncIterator[Call]:
    connector = aiohttp.TCPConnector(limit=1)
    async with (
        Hostile([HANG]) as server,
        aiohttp.ClientSession(connector=connector) as own,
        client_at(server.url, session=own) as client,
    ):
        theirs = asyncio.ensure_future(own.get(server.url))
        await server.until(lambda it: len(it.requests) == 1)
        yield lambda: client.request("GET", "/x")
        theirs.cancel()
        await asyncio.wait([theirs])


@asynccontextmanager
async def in_the_slots(*, of_another: bool = False) -> AsyncIterator[Call]:
    connector = aiohttp.TCPConnector(limit=1)
    async with (
        Hostile([HANG]) as server,
        aiohttp.ClientSession(connector=connector) as own,
        client_at(server.url, session=own) as client,
        client_at(server.url, session=own) as another,
    ):
        other = (another if of_another else client).with_options(attempt_timeout=None)
        first = asyncio.ensure_future(other.request("GET", "/x"))
        await server.until(lambda it: len(it.requests) == 1)
        yield lambda: client.with_options(timeout=BOUND).request("GET", "/x")
        first.cancel()
        await asyncio.wait([first])


@asynccontextmanager
async def in_the_limiter() -> AsyncIterator[Call]:
    loop = asyncio.get_running_loop()
    limiter = LocalLimiter(limit=1, period=BOUND / 1.001, clock=loop.time)
    async with Hostile([reply()]) as server, client_at(server.url, limiter=limiter) as client:
        await client.request("GET", "/x")
        yield lambda: client.request("GET", "/x")


@asynccontextmanager
async def in_the_backoff() -> AsyncIterator[Call]:
    retry = RetryPolicy()
    async with (
        Hostile([reply(503, headers={"Retry-After": "10"})]) as server,
        client_at(server.url, retry=retry) as client,
    ):
        yield lambda: client.request("GET", "/x")


ANSWER = reply(200, b'{"id": "x"}')
PHASES: dict[str, Callable[[], Any]] = {
    "look-up": in_the_look_up,
    "connect": in_the_connect,
    "TLS": lambda: hung_by(Step(then="hang", read=1), tls=True),
    "aiohttp's queue": in_aiohttps_own_queue,
    "request body": lambda: hung_by(deaf(), large=True),
    "head": lambda: hung_by(HANG),
    "part of the head": lambda: hung_by(cut(ANSWER, 20, "hang")),
    "body": lambda: hung_by(cut(ANSWER, -1, "hang")),
    "drip": lambda: hung_by(drip(reply(200, b"x" * 1000), 0.1)),
    "slots": in_the_slots,
    "shared slots": lambda: in_the_slots(of_another=True),
    "limiter": in_the_limiter,
    "backoff": in_the_backoff,
}


async def by_timeout(call: Call, after: float) -> bool:
    try:
        async with asyncio.timeout(after) as scope:
            await call()
    except TimeoutError as error:
        return scope.expired() and not isinstance(error, TelepathError)
    return False


async def by_wait_for(call: Call, after: float) -> bool:
    try:
        await asyncio.wait_for(call(), after)
    except TimeoutError:
        return True  # 3.11 cancels a turn later, when the call may have ended by itself
    return False


async def by_cancel(call: Call, after: float) -> bool:
    task = asyncio.ensure_future(call())
    asyncio.get_running_loop().call_later(after, task.cancel)
    await asyncio.wait([task])
    return task.cancelled()


async def by_task_group(call: Call, after: float) -> bool:
    class Stopped(Exception):
        pass

    async def stop() -> None:
        await asyncio.sleep(after)
        raise Stopped

    kinds = set()
    try:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(call())
            group.create_task(stop())
    except* (Stopped, RequestTimeout) as caught:
        kinds = {type(error) for error in caught.exceptions}
    # The group hears of its other task a turn later, when the call may have ended by itself.
    return (kinds == {Stopped} and task.cancelled()) or RequestTimeout in kinds


WAYS = {
    "timeout": by_timeout,
    "wait_for": by_wait_for,
    "cancel": by_cancel,
    "TaskGroup": by_task_group,
}


@pytest.mark.parametrize("first", ["caller", "attempt"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("phase", PHASES)
@jumping
async def test_a_caller_who_cancels_in_the_tick_of_the_attempts_bound_sees_the_cancellation(
    phase: str, way: str, first: str
) -> None:
    async with PHASES[phase]() as call:
        began = now()
        # Both are due in one turn of the loop, whose clock stands; the earlier one fires first.
        caller = WAYS[way](call, BOUND + (1e-10 if first == "attempt" else -1e-10))
        assert await asyncio.create_task(caller)
        assert now() - began < BOUND + 0.01


@pytest.mark.parametrize("turns", range(-4, 5))
@pytest.mark.parametrize(
    "phase",
    [name for name in PHASES if name not in ("slots", "shared slots", "limiter", "backoff")],
)
@jumping
async def test_a_cancellation_some_turns_before_or_after_the_bound_is_seen_by_whoever_it_reaches(
    phase: str, turns: int
) -> None:
    """A task that has not ended when it is cancelled ends cancelled."""
    accepted: list[bool] = []
    loop = asyncio.get_running_loop()

    async with PHASES[phase]() as call:
        task = asyncio.ensure_future(call())

        def cancel(left: int) -> None:
            if left:
                loop.call_soon(cancel, left - 1)
            else:
                accepted.append(task.cancel())

        def fire(left: int) -> None:
            if left:
                loop.call_soon(fire, left - 1)
            else:
                deadline.fire()

        await asyncio.sleep(1)
        (deadline,) = _running_deadlines(task)
        loop.call_soon(cancel, max(turns, 0))
        loop.call_soon(fire, max(-turns, 0))
        await asyncio.wait([task])
        if task.cancelled():
            assert accepted == [True]
        else:
            assert isinstance(task.exception(), RequestTimeout)
            assert True not in accepted


def _running_deadlines(task: asyncio.Task[object]) -> list[Any]:
    """The deadline that the call of this task has begun, out of the frame that waits for it."""
    frames = []
    awaited: Any = task.get_coro()
    while awaited is not None and hasattr(awaited, "cr_frame"):
        frames.append(awaited.cr_frame)
        awaited = awaited.cr_await
    return [frame.f_locals["deadline"] for frame in frames if frame.f_code.co_name == "send"]


@jumping
async def test_a_caller_who_is_being_cancelled_already_still_gets_the_timeout_of_an_attempt() -> (
    None
):
    """A call in a `finally` of a cancelled task: our bound must not pass for the cancellation."""
    async with Hostile([HANG]) as server, client_at(server.url) as client:

        async def clean_up() -> str:
            try:
                await asyncio.Event().wait()
            finally:
                with pytest.raises(RequestTimeout, match="no complete answer within 10 s"):
                    await client.request("GET", "/x")
            return "unreached"

        task = asyncio.ensure_future(clean_up())
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert now() == pytest.approx(11)


@pytest.mark.parametrize("phase", [name for name in PHASES if "slots" not in name])
@jumping
async def test_a_cancellation_that_is_pending_when_a_call_begins_is_seen(
    phase: str,
) -> None:
    """Ctrl-C while code runs that awaits nothing: the task hears of it at its next await."""
    async with PHASES[phase]() as call:

        async def cancelled_before() -> None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await call()

        began = now()
        task = asyncio.ensure_future(cancelled_before())
        await asyncio.wait([task])
        assert task.cancelled()
        assert now() == began


@jumping
async def test_a_listener_that_cancels_its_task_ends_the_call() -> None:
    def stop(event: Event) -> None:
        if isinstance(event, RequestStarted):
            task = asyncio.current_task()
            assert task is not None
            task.cancel()

    async with Hostile([reply()]) as server, client_at(server.url, on_event=stop) as client:
        task = asyncio.ensure_future(client.request("GET", "/x"))
        await asyncio.wait([task])
        assert task.cancelled()


@jumping
async def test_attempts_of_one_bound_share_one_timer_and_each_ends_at_its_own_time() -> None:
    loop: Any = asyncio.get_running_loop()
    async with Hostile([HANG]) as server, client_at(server.url) as client:

        async def one(after: float) -> float:
            await asyncio.sleep(after)
            with pytest.raises(RequestTimeout):
                await client.request("GET", "/x")
            return now() - after

        calls = [asyncio.ensure_future(one(0.5 * n)) for n in range(30)]
        await asyncio.sleep(BOUND - 0.25)
        assert loop.timers() == 10 + 1  # of those that sleep, and of the 20 that are under way
        assert await asyncio.gather(*calls) == pytest.approx([BOUND] * 30)


@jumping
async def test_an_attempt_that_the_call_has_less_time_for_ends_with_the_call() -> None:
    async with Hostile([HANG]) as server, client_at(server.url, timeout=4.0) as client:
        with pytest.raises(RequestTimeout, match="no complete answer within 4 s"):
            await client.request("GET", "/x")
        assert now() == pytest.approx(4)


@jumping
async def test_many_different_bounds_leave_no_timer_behind() -> None:
    loop: Any = asyncio.get_running_loop()
    async with Hostile([reply()]) as server, client_at(server.url) as client:
        for number in range(200):
            await client.with_options(attempt_timeout=100.0 + number).request("GET", "/x")
        assert loop.timers() <= 64 + 1  # and one of aiohttp's


@pytest.mark.parametrize("offset", [-1e-10, 1e-10])
@pytest.mark.parametrize("shards", [1, 3])
@jumping
async def test_pages_asked_for_ahead_leave_no_exception_that_nobody_retrieves(
    shards: int, offset: float
) -> None:
    unretrieved: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: unretrieved.append(told))
    since = datetime(2026, 1, 1, tzinfo=UTC)
    page = {"calls": [{"id": f"c{n}"} for n in range(10)], "total": 1000, "offset": 0, "limit": 10}
    body = json.dumps(page).encode()
    async with Hostile([reply(200, body), HANG]) as server, client_at(server.url) as client:
        calls = client.calls.list(
            page_size=10, prefetch=5, shards=shards, since=since, until=since + timedelta(days=9)
        )

        async def read(calls: Any) -> None:
            async for _ in calls:
                pass

        reading = asyncio.ensure_future(read(calls))
        asyncio.get_running_loop().call_later(BOUND + offset, reading.cancel)
        await asyncio.wait([reading])
        assert reading.cancelled()
        del reading, calls
        gc.collect()
        await asyncio.sleep(60)
        gc.collect()
    assert unretrieved == []


async def test_an_attempt_that_ends_in_the_turn_after_its_bound_is_not_cancelled() -> None:
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    deadline = Deadlines(loop).begin(60.0, loop.time())
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # its timer was due in the turn before, and let this one pass
    deadline.end()
    await asyncio.sleep(0)
    assert not deadline.fired
    assert task.cancelling() == 0
