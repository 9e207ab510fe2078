"""No second queue behind the limiter: a connection comes first, then the token, then the clock of
the attempt. On real sockets, in made-up time."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

import aiohttp
import pytest

from telepath_async import LocalLimiter, RetryPolicy, TelepathClient
from telepath_async.errors import RequestTimeout, ThrottledError
from telepath_async.sandbox import Sandbox
from telepath_async.slots import MAX_CONNECTIONS, RESERVE, Slots, slots_of
from tests.support.jumping import jumping, now
from tests.support.keys import KEY
from tests.support.turns import settle


class Slow:
    """Answers each request when `latency` seconds have passed; knows when each came."""

    def __init__(self, latency: Callable[[], float]) -> None:
        self.latency = latency
        self.arrivals: list[float] = []
        self.at_once = self.most_at_once = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=4096)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with (
            contextlib.closing(writer),
            contextlib.suppress(asyncio.IncompleteReadError, ConnectionError),
        ):
            while await reader.readuntil(b"\r\n\r\n"):
                self.arrivals.append(now())
                self.at_once += 1
                self.most_at_once = max(self.most_at_once, self.at_once)
                await asyncio.sleep(self.latency())
                self.at_once -= 1
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    def most_within(self, seconds: float) -> int:
        """Return the largest number of arrivals in any such window."""
        times = sorted(self.arrivals)
        return max(sum(t <= at < t + seconds for at in times[n:]) for n, t in enumerate(times))


def client_at(url: str, limit: int = 6000, **options: Any) -> TelepathClient:
    limiter = LocalLimiter(limit, clock=asyncio.get_running_loop().time)
    return TelepathClient(KEY, base_url=url, **({"limiter": limiter} | options))


async def get(client: TelepathClient) -> float:
    """Make a call, and return the seconds that it took."""
    began = now()
    await client.request("GET", "/x")
    return now() - began


@jumping
async def test_calls_that_queue_do_not_time_out_their_attempt() -> None:
    async with Slow(lambda: 2.0) as server, client_at(server.url, timeout=120.0) as client:
        await asyncio.gather(*(get(client) for _ in range(2500)))
    assert len(server.arrivals) == 2500
    assert server.most_at_once == MAX_CONNECTIONS
    assert now() < 50


@jumping
async def test_an_interactive_call_does_not_wait_behind_bulk_ones() -> None:
    async with Slow(lambda: 2.0) as server, client_at(server.url, timeout=None) as client:
        bulk = client.with_options(priority="bulk")
        working = [asyncio.ensure_future(get(bulk)) for _ in range(800)]
        for _ in range(20):
            await asyncio.sleep(0.7)
            assert await get(client) < 2.1
        await asyncio.gather(*working)
    assert server.most_at_once <= MAX_CONNECTIONS


@jumping
async def test_an_interactive_call_is_not_kept_by_bulk_ones_that_wait_for_a_token() -> None:
    """The next token is its own, though more bulk calls wait than there are connections."""
    async with (
        Slow(lambda: 0.01) as server,
        client_at(server.url, limit=60, timeout=None) as client,
    ):
        bulk = client.with_options(priority="bulk")
        working = [asyncio.ensure_future(get(bulk)) for _ in range(300)]
        await asyncio.sleep(10.5)
        assert await get(client) < 1.1
        for task in working:
            task.cancel()
        await asyncio.wait(working)


@jumping
async def test_many_shards_that_ask_ahead_end_well_on_a_slow_server() -> None:
    since = datetime(2024, 1, 1, tzinfo=UTC)
    async with (
        Sandbox(latency=2.5, calls=2000, rate_limit=1_000_000) as sandbox,
        client_at(sandbox.base_url, limit=1_000_000) as client,
    ):
        client = TelepathClient(
            sandbox.api_key, base_url=sandbox.base_url, limiter=LocalLimiter(1_000_000)
        )
        until = datetime.now(UTC) + timedelta(days=1)
        async with client:
            calls = client.calls.list(shards=100, prefetch=8, page_size=2, since=since, until=until)
            assert len({call.id async for call in calls}) == 2000


@jumping
async def test_a_stall_of_the_server_is_not_followed_by_a_burst() -> None:
    def latency() -> float:
        return max(0.05, 10.0 - now()) if now() > 5.0 else 0.05

    async with Slow(latency) as server, client_at(server.url, timeout=None) as client:
        await asyncio.gather(*(get(client) for _ in range(1500)))
    assert server.most_within(1.0) <= 60 + 100 + 1
    assert server.most_within(0.1) <= 60 + 10 + 1


@jumping
async def test_a_call_that_finds_no_connection_in_its_time_names_the_remedy() -> None:
    async with Slow(lambda: 100.0) as server, client_at(server.url, attempt_timeout=None) as client:
        hung = [asyncio.ensure_future(get(client)) for _ in range(MAX_CONNECTIONS)]
        await asyncio.sleep(5)
        with pytest.raises(
            RequestTimeout,
            match=r"none of 110 connections was free within 5 s, nothing was sent; calls under",
        ) as caught:
            await client.with_options(timeout=5.0).request("GET", "/x")
        assert not caught.value.sent
        assert now() == pytest.approx(10)
        with pytest.raises(ThrottledError, match="none of 110 connections was free within 2 s"):
            await client.with_options(max_wait=2.0).request("GET", "/x")
        assert now() == pytest.approx(12)
        for task in hung:
            task.cancel()
        await asyncio.wait(hung)
        assert await get(client.with_options(attempt_timeout=None, timeout=None)) == 100


@jumping
async def test_a_call_that_finds_no_permit_in_its_time_names_the_remedy() -> None:
    remedy = "send fewer requests at a time, or raise max_wait or timeout"
    async with Slow(lambda: 0.0) as server, client_at(server.url, limit=60) as client:
        await get(client)
        waiting = [asyncio.ensure_future(get(client)) for _ in range(2)]
        await asyncio.sleep(0.01)
        bulk = client.with_options(priority="bulk", timeout=5.0)
        late = asyncio.ensure_future(get(bulk))
        await asyncio.sleep(0.01)
        waiting += [asyncio.ensure_future(get(client)) for _ in range(9)]
        await asyncio.sleep(0.01)
        with pytest.raises(ThrottledError, match=remedy):  # at once
            await client.with_options(timeout=5.0).request("GET", "/x")
        assert now() == pytest.approx(0, abs=0.1)
        with pytest.raises(ThrottledError, match=remedy):  # interactive ones went first
            await late
        assert now() == pytest.approx(5, abs=0.1)
        await asyncio.gather(*waiting)


@jumping
async def test_a_retry_gives_its_connection_to_others_while_it_waits() -> None:
    async with Slow(lambda: 1.0) as server:
        connector = aiohttp.TCPConnector(limit=1)
        async with (
            aiohttp.ClientSession(connector=connector) as own,
            client_at(server.url, session=own, attempt_timeout=0.5) as client,
        ):
            failing = asyncio.ensure_future(
                client.with_options(retry=RetryPolicy(backoff=20.0, max_attempts=2)).request(
                    "GET", "/x"
                )
            )
            await asyncio.sleep(0.6)
            assert await get(client.with_options(attempt_timeout=5.0)) == pytest.approx(1.0)
            failing.cancel()
            await asyncio.wait([failing])


@jumping
async def test_clients_that_share_a_session_share_its_connections() -> None:
    connector = aiohttp.TCPConnector(limit=7, limit_per_host=5)
    async with (
        Slow(lambda: 1.0) as server,
        aiohttp.ClientSession(connector=connector) as own,
        client_at(server.url, session=own, attempt_timeout=1.5) as one,
        client_at(server.url, session=own, attempt_timeout=1.5) as other,
    ):
        await asyncio.gather(*(get(one) for _ in range(15)), *(get(other) for _ in range(15)))
    assert server.most_at_once == 5
    assert now() == pytest.approx(6)


@jumping
async def test_calls_that_wait_for_their_key_keep_no_connection_from_another_key() -> None:
    connector = aiohttp.TCPConnector(limit=5)
    async with (
        Slow(lambda: 1.0) as server,
        aiohttp.ClientSession(connector=connector) as own,
        client_at(server.url, session=own, limit=6, timeout=None) as throttled,
        client_at(server.url, session=own) as other,
    ):
        waiting = [asyncio.ensure_future(get(throttled)) for _ in range(10)]
        await asyncio.sleep(2)
        assert await get(other) == pytest.approx(1.0)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)


@jumping
async def test_a_connector_without_a_limit_has_none_here() -> None:
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        Slow(lambda: 1.0) as server,
        aiohttp.ClientSession(connector=connector) as own,
        client_at(server.url, session=own, limit=1_000_000) as client,
    ):
        await asyncio.gather(*(get(client) for _ in range(300)))
    assert server.most_at_once == 300
    assert slots_of(connector).take("bulk")


# The slots alone.


async def test_slots_go_in_the_order_of_coming_interactive_first() -> None:
    slots, order = Slots(2, 0), []

    async def one(name: str, priority: Any) -> None:
        if not slots.take(priority):
            await slots.wait(priority, 60.0)
        order.append(name)

    assert slots.take("bulk")
    assert slots.take("interactive")
    waiting = [
        asyncio.ensure_future(one(name, priority))
        for name, priority in (("b1", "bulk"), ("b2", "bulk"), ("i1", "interactive"))
    ]
    await settle()
    for priority in ("interactive", "bulk", "interactive"):
        slots.release(priority)  # type: ignore[arg-type]
        await settle()
    await asyncio.gather(*waiting)
    assert order == ["i1", "b1", "b2"]


async def test_bulk_leaves_the_reserve_and_interactive_may_take_all() -> None:
    slots = Slots(MAX_CONNECTIONS, RESERVE)
    assert sum(slots.take("bulk") for _ in range(200)) == 100
    assert sum(slots.take("interactive") for _ in range(200)) == 10
    slots = Slots(MAX_CONNECTIONS, RESERVE)
    assert sum(slots.take("interactive") for _ in range(200)) == 110
    slots.release("interactive")
    assert slots.take("bulk")


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_is_cancelled_no_slot_is_lost_and_none_is_given_twice(seed: int) -> None:
    chance, slots, held = random.Random(seed), Slots(3, 1), []

    async def one(priority: Any) -> None:
        if not slots.take(priority):
            try:
                await slots.wait(priority, chance.choice([0.0, 0.001, 60.0]))
            except TimeoutError:
                return
        held.append(priority)
        try:
            assert len(held) <= 3
            assert held.count("bulk") <= 2
            await asyncio.sleep(chance.choice([0, 0, 0.001]))
        finally:
            held.remove(priority)
            slots.release(priority)

    tasks = []
    for _ in range(200):
        tasks.append(asyncio.ensure_future(one(chance.choice(["bulk", "interactive"]))))
        if chance.random() < 0.5:
            await asyncio.sleep(0)
        if chance.random() < 0.3:
            chance.choice(tasks).cancel()
    await asyncio.wait(tasks)
    assert not [task for task in tasks if not task.cancelled() and task.exception()]
    assert sum(slots.take("interactive") for _ in range(9)) == 3
