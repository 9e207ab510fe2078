"""Promise 1: an outage is never multiplied.

300 calls into a dead server cost at most 1.4 times 300 requests, whatever they ask and however it
is dead. The budget is one for each key and origin in the process, and successes refill it. Beside
these: tests/protocol/test_retry.py (what a retry costs, and who may spend what),
tests/test_session.py (every attempt is counted,
`test_an_empty_budget_ends_the_retries_of_all_calls`).
"""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from telepath_async import LocalLimiter, RetryPolicy, TelepathClient
from telepath_async.errors import (
    ConnectionFailed,
    OutcomeUnknown,
    RequestTimeout,
    TelepathError,
)
from telepath_async.events import Event, RequestStarted
from telepath_async.key_state import shared_budget
from tests.support.hostile import HANG, RESET, Hostile, Step, reply
from tests.support.trunk_server import KEY, spec

HASTE = RetryPolicy(backoff=0.0001)
MOST = 420  # 1.4 x 300

Call = Callable[[TelepathClient, int], Awaitable[Any]]


def client_at(url: str, key: str = KEY, **options: Any) -> TelepathClient:
    return TelepathClient(
        key,
        base_url=f"{url}/v1",
        limiter=LocalLimiter(10**6, 60.0, 10**5),
        **({"retry": HASTE} | options),
    )


async def outcomes_of(calls: list[Awaitable[Any]]) -> set[type]:
    return {type(outcome) for outcome in await asyncio.gather(*calls, return_exceptions=True)}


async def read(client: TelepathClient, number: int) -> object:
    return await client.calls.get(f"c{number}")


async def create(client: TelepathClient, number: int) -> object:
    return await client.trunks.create(**spec(f"user-{number}"))


async def update(client: TelepathClient, number: int) -> object:
    return await client.trunks.update(f"t{number}", name="n")


async def rotate(client: TelepathClient, number: int) -> object:
    return await client.trunks.rotate_sip_password(f"t{number}")


async def collect(client: TelepathClient, number: int) -> object:
    return await client.calls.list().collect()


@pytest.mark.parametrize("call", [read, create, update, rotate, collect])
@pytest.mark.parametrize(
    "step", [reply(503), reply(500, b"down"), RESET], ids=["503", "500", "reset"]
)
async def test_300_calls_into_a_server_that_fails_cost_at_most_420_requests(
    step: Step, call: Call
) -> None:
    async with Hostile([step]) as server, client_at(server.url) as client:
        assert all(
            issubclass(kind, TelepathError)
            for kind in await outcomes_of([call(client, n) for n in range(300)])
        )
        # A request that is reset while it is written may not be whole: heads are what counts.
        heads = server.received.count(b"HTTP/1.1\r\n")
    assert 300 <= heads <= MOST


@pytest.mark.long
@pytest.mark.parametrize(("call", "errors"), [(read, {RequestTimeout}), (create, {OutcomeUnknown})])
async def test_300_calls_into_a_server_that_is_silent_cost_at_most_420_attempts(
    call: Call, errors: set[type]
) -> None:
    seen: list[Event] = []
    async with (
        Hostile([HANG]) as server,
        client_at(server.url, attempt_timeout=3.0, on_event=seen.append) as client,
    ):
        # There are connections for 110 at a time: the others wait, and then have their time.
        assert await outcomes_of([call(client, n) for n in range(300)]) == errors
        assert 300 <= len(server.requests) <= MOST
    assert 300 <= sum(isinstance(event, RequestStarted) for event in seen) <= MOST


@pytest.mark.parametrize("call", [read, create])
async def test_300_calls_to_nobody_cost_at_most_420_attempts(call: Call) -> None:
    seen: list[Event] = []
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        async with client_at(
            f"http://127.0.0.1:{unheard.getsockname()[1]}", on_event=seen.append
        ) as client:
            assert await outcomes_of([call(client, n) for n in range(300)]) == {ConnectionFailed}
    assert 300 <= sum(isinstance(event, RequestStarted) for event in seen) <= MOST


async def test_successes_pay_an_outage_back_one_by_one_and_the_next_one_costs_no_more() -> None:
    up = False
    async with (
        Hostile(lambda number: reply() if up else reply(503)) as server,
        client_at(server.url) as client,
    ):
        for successes, retries in ((0, 100), (49, 9), (600, 100)):
            up = True
            for _ in range(successes):
                await client.request("GET", "/x")
            up = False
            server.requests.clear()
            await outcomes_of([read(client, n) for n in range(300)])
            assert len(server.requests) == 300 + retries


# Whose budget it is.


@pytest.fixture
async def dead() -> AsyncIterator[Hostile]:
    async with Hostile([reply(503)]) as server:
        yield server


async def requests_of(server: Hostile, *clients: TelepathClient, calls: int = 300) -> int:
    """Return what so many calls, spread over the clients, cost at the server."""
    before = len(server.requests)
    async with AsyncExitStack() as stack:
        for client in clients:
            await stack.enter_async_context(client)
        await outcomes_of([read(clients[n % len(clients)], n) for n in range(calls)])
    return len(server.requests) - before


async def test_all_clients_of_a_key_at_an_origin_share_one_budget(dead: Hostile) -> None:
    of_the_key = [client_at(dead.url) for _ in range(10)]
    other_path = TelepathClient(
        KEY, base_url=f"{dead.url}/v2/", limiter=LocalLimiter(10**6, 60.0, 10**5), retry=HASTE
    )
    assert await requests_of(dead, *of_the_key, other_path) == 300 + 100
    assert await requests_of(dead, client_at(dead.url, "sk_live_other")) == 300 + 100


@pytest.mark.long
async def test_a_client_that_closes_and_opens_anew_gets_no_fresh_budget(dead: Hostile) -> None:
    total = 0
    for _ in range(10):
        total += await requests_of(dead, client_at(dead.url), calls=30)
        gc.collect()
    assert total == 400


async def test_an_outage_of_one_origin_takes_nothing_from_another(dead: Hostile) -> None:
    await requests_of(dead, client_at(dead.url))
    async with Hostile([reply(503), reply()]) as well, client_at(well.url) as client:
        assert (await client.request("GET", "/x")).status == 200


async def test_numbers_elsewhere_have_a_budget_of_their_own(dead: Hostile) -> None:
    async with Hostile([reply(503), reply()]) as well:
        policy = RetryPolicy(backoff=0.0001, budget=15)
        async with client_at(
            well.url, numbers_base_url=dead.url, numbers_api_key="sk_numbers", retry=policy
        ) as client:
            await outcomes_of(
                [client.numbers.update(f"+1555000000{n}", label="x") for n in range(5)]
            )
            assert len(dead.requests) == 5 + 3
            assert (await client.request("GET", "/x")).status == 200


async def test_each_client_keeps_to_its_own_figure_of_what_all_have_spent(dead: Hostile) -> None:
    careful, bold, off = (
        client_at(dead.url, retry=RetryPolicy(backoff=0.0001, budget=size)) for size in (50, 500, 0)
    )
    assert await requests_of(dead, off, calls=10) == 10
    assert await requests_of(dead, careful, calls=100) == 100 + 10
    assert await requests_of(dead, bold) == 300 + 90
    assert (
        await requests_of(dead, client_at(dead.url, retry=RetryPolicy(budget=50)), calls=10) == 10
    )


async def test_threads_share_the_budget(dead: Hostile) -> None:
    async def work() -> None:
        async with client_at(dead.url) as client:
            await outcomes_of([read(client, n) for n in range(75)])

    async with client_at(dead.url):
        await asyncio.gather(*(asyncio.to_thread(lambda: asyncio.run(work())) for _ in range(4)))
    assert 395 <= len(dead.requests) <= 405  # without a lock a token may be lost


def test_budgets_are_few_and_are_found_by_a_hash() -> None:
    for number in range(3000):
        TelepathClient(f"sk_live_{number}", base_url="http://127.0.0.1:1", limiter=LocalLimiter())
    assert shared_budget.cache_info().currsize == 1024
    gc.collect()
    held = [seen for seen in gc.get_objects() if isinstance(seen, str) and "sk_live_2999" in seen]
    assert held == []
