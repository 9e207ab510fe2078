"""A 429 is everybody's: its wait pauses the key, and costs nobody a call. On real sockets, in
made-up time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from telepath_async import LocalLimiter, TelepathClient
from telepath_async.errors import RateLimitError, ThrottledError
from tests.support.hostile import Hostile
from tests.support.jumping import jumping, now
from tests.support.keys import KEY
from tests.support.trunk_server import Fault, TrunkServer, refuse, spec
from tests.support.wiring import session_of

PAUSE = 2.0


class Gateway:
    """Refuses for PAUSE seconds once it has let `admitted` requests through; keeps the times."""

    def __init__(self, admitted: int, **headers: str) -> None:
        self.admitted = admitted
        self.headers = headers or {"Retry_After": "2"}
        self.closed_at: float | None = None
        self.refused: list[float] = []

    def __call__(self, number: int) -> Fault | None:
        if self.closed_at is None and number >= self.admitted:
            self.closed_at = now()
        if self.closed_at is None or now() - self.closed_at >= PAUSE:
            return None
        self.refused.append(now())
        return refuse(429, **self.headers)


def client_at(server: Hostile, **options: Any) -> TelepathClient:
    limiter = LocalLimiter(clock=asyncio.get_running_loop().time)
    return TelepathClient(KEY, base_url=f"{server.url}/v1", limiter=limiter, **options)


async def gets(client: TelepathClient) -> list[BaseException | object]:
    calls = (client.calls.get(f"c{number}") for number in range(300))
    return await asyncio.gather(*calls, return_exceptions=True)


@jumping
async def test_300_gets_that_meet_a_gateways_429_all_succeed_and_send_nothing_in_the_pause() -> (
    None
):
    async with TrunkServer() as server, client_at(server) as client:
        server.fault_of = gateway = Gateway(50)
        outcomes = await gets(client)
        assert [error for error in outcomes if isinstance(error, BaseException)] == []
        # Only what was under way when the first 429 came: the rest of the burst.
        assert len(gateway.refused) <= 10
        assert session_of(client).key.budget.spent == 0


@jumping
async def test_a_batch_of_creates_that_meets_a_gateways_429_loses_none() -> None:
    async with TrunkServer() as server, client_at(server, timeout=60.0) as client:
        server.fault_of = gateway = Gateway(50)
        outcomes = [
            outcome
            async for outcome in client.trunks.create_many(
                [spec(f"u{n}") for n in range(400)], concurrency=200
            )
        ]
        assert {outcome.state for outcome in outcomes} == {"created"}
        assert len(server.created) == 400
        assert len(gateway.refused) <= 10


@jumping
async def test_a_wait_beyond_the_calls_time_is_an_error_and_holds_the_others() -> None:
    async with TrunkServer() as server, client_at(server) as client:
        server.faults.append(refuse(429, Retry_After="40"))
        with pytest.raises(RateLimitError) as caught:
            await client.calls.get("a")
        assert caught.value.retry_after == 40
        with pytest.raises(ThrottledError) as held:
            await client.calls.get("b")
        assert held.value.retry_after == pytest.approx(40)
        assert len(server.requests) == 1
        await asyncio.sleep(40)
        assert (await client.calls.get("c")).id == "c"


@jumping
async def test_a_client_whose_limiter_cannot_pause_waits_for_its_own_calls() -> None:
    class Simple:
        async def acquire(self, *, priority: str = "", max_wait: float | None = None) -> float:
            return 0.0

        def observe(self, headers: object) -> None: ...

        def bind(self, key_id: str) -> None: ...

    async with (
        TrunkServer() as server,
        TelepathClient(KEY, base_url=f"{server.url}/v1", limiter=Simple()) as client,
    ):
        server.faults.append(refuse(429, Retry_After="2"))
        first = asyncio.ensure_future(client.calls.get("a"))
        await asyncio.sleep(1)
        assert (await client.calls.get("b")).id == "b"
        assert now() == pytest.approx(1)
        assert (await first).id == "a"
        assert now() == pytest.approx(2, abs=0.01)


@jumping
async def test_a_429_that_names_no_wait_holds_nobody_else() -> None:
    async with TrunkServer() as server, client_at(server) as client:
        server.faults.append(refuse(429))
        first = asyncio.ensure_future(client.calls.get("a"))
        await server.until(lambda it: len(it.requests) == 1)
        assert (await client.calls.get("b")).id == "b"
        assert now() < 0.05
        await first


@jumping
async def test_a_429_that_names_a_reset_holds_everybody_until_then() -> None:
    date = "Mon, 10 Mar 2025 10:40:00 GMT"
    async with TrunkServer() as server, client_at(server) as client:
        server.faults.append(refuse(429, X_RateLimit_Reset="1741603210", Date=date))
        first = asyncio.ensure_future(client.calls.get("a"))
        await server.until(lambda it: len(it.requests) == 1)
        await asyncio.sleep(0.1)
        await client.calls.get("b")
        assert now() == pytest.approx(10, abs=0.1)
        await first
