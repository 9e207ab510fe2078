"""Promise 17: the limiter holds under cancellation, clock jumps, several loops and threads.

Here: clients in real threads, each with a loop of its own, that share a limiter. The rest is in
tests/test_limiter.py (`test_whatever_is_acquired_and_cancelled_no_token_is_lost_or_made`, the
waiters of dead, slow and closing loops) and in tests/protocol/test_ratelimit.py (the arithmetic,
clock jumps, by properties).
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from telepath_async import LocalLimiter
from telepath_async.limiter import Priority
from tests.support.trunk_server import TrunkServer, client_of
from tests.support.windows import most_in_a_window, record_grants

LIMIT = 100
PERIOD = 0.5
THREADS = 4


def in_threads(work: Callable[[int], Coroutine[Any, Any, None]]) -> None:
    """Run the work in four threads at once, each on its own loop."""
    faults: list[BaseException] = []

    def run(number: int) -> None:
        try:
            asyncio.run(work(number))
        except BaseException as fault:  # noqa: BLE001  # it is raised below
            faults.append(fault)

    threads = [
        threading.Thread(target=run, args=(number,), daemon=True) for number in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 20
    for thread in threads:
        thread.join(timeout=max(0.0, end - time.monotonic()))
    assert not any(thread.is_alive() for thread in threads), (
        "a thread waits for a place that never comes"
    )
    if faults:
        raise faults[0]


async def test_clients_in_threads_keep_one_limit_and_all_finish_under_cancellation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken = record_grants(monkeypatch)
    limiter = LocalLimiter(LIMIT, PERIOD)

    async def work(number: int, server: TrunkServer) -> None:
        chance = random.Random(number)
        priorities: list[Priority] = ["interactive", "bulk"]

        async def one(client: Any, index: int) -> None:
            if chance.random() < 0.3:
                async with asyncio.timeout(chance.random() * 0.05):
                    await client.with_options(priority=chance.choice(priorities)).calls.get(
                        f"{number}-{index}"
                    )
            else:
                assert (await client.calls.get(f"{number}-{index}")).id == f"{number}-{index}"

        async with client_of(server, limiter=limiter) as client:
            outcomes = await asyncio.gather(
                *(one(client, index) for index in range(100)), return_exceptions=True
            )
        assert {type(outcome) for outcome in outcomes} <= {type(None), TimeoutError}
        assert sum(outcome is None for outcome in outcomes) > 60

    async with TrunkServer() as server:
        await asyncio.to_thread(in_threads, lambda number: work(number, server))
    assert len(taken) >= 240
    assert most_in_a_window(taken, PERIOD) <= LIMIT
    assert limiter.waiting == 0


@pytest.mark.parametrize("jump", [3600.0, -3600.0, -0.2])
async def test_clients_in_threads_finish_although_the_clock_jumps(jump: float) -> None:
    shift = 0.0

    def clock() -> float:
        return time.monotonic() + shift

    limiter = LocalLimiter(LIMIT, PERIOD, clock=clock)

    async def work(number: int, server: TrunkServer) -> None:
        nonlocal shift
        async with client_of(server, limiter=limiter, timeout=None) as client:
            calls = [
                asyncio.ensure_future(client.calls.get(f"{number}-{index}")) for index in range(40)
            ]
            await asyncio.sleep(0.05)
            if number == 0:
                shift += jump
            await asyncio.gather(*calls)

    async with TrunkServer() as server:
        began = time.monotonic()
        await asyncio.to_thread(in_threads, lambda number: work(number, server))
    # 160 places at 200 a second, and at most one window more for the jump.
    assert time.monotonic() - began < 160 / LIMIT * PERIOD + 2 * PERIOD + 5.0
    assert limiter.waiting == 0
