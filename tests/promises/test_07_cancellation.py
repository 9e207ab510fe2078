"""Promise 7: a cancelled call never poisons the next one, and leaves at once.

Beside these: tests/test_session.py (cancelled in the limiter, in the wait, on the wire, in made-up
time), tests/test_transport.py
(`test_a_cancelled_exchange_closes_its_connection_and_the_late_answer_reaches_nobody`),
tests/test_limiter.py (waiters).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from telepath_async import TelepathClient, TrunkOutcome
from telepath_async.errors import OutcomeUnknown
from telepath_async.models.trunks import Trunk
from tests.support.trunk_server import Fault, TrunkServer, client_of, refuse, spec

STEPS_TO_LEAVE = 12  # turns of the loop; none of them waits for anything


async def batch(client: TelepathClient) -> list[TrunkOutcome]:
    return [
        outcome
        async for outcome in client.trunks.create_many(
            [spec(f"u{n}") for n in range(5)], concurrency=2
        )
    ]


async def walk(client: TelepathClient) -> list[str]:
    return [call.id async for call in client.calls.list(page_size=50, prefetch=3)]


CALLS: dict[str, Callable[[TelepathClient], Any]] = {
    "get": lambda client: client.calls.get("mine"),
    "list": walk,
    "create": lambda client: client.trunks.create(**spec("mine")),
    "create_many": batch,
    "rotate": lambda client: client.trunks.rotate_sip_password("mine"),
    "update": lambda client: client.trunks.update("mine", name="n"),
}


@pytest.mark.parametrize("faulty", [False, True], ids=["well", "faulty"])
@pytest.mark.parametrize("connection", ["keep-alive", "close"])
@pytest.mark.parametrize("call", CALLS)
async def test_a_call_cancelled_at_any_step_leaves_at_once_and_the_next_gets_its_own_answer(
    call: str, connection: str, faulty: bool
) -> None:
    async with TrunkServer(connection=connection) as server, client_of(server) as client:
        steps = finished = 0
        while finished < 3:
            steps += 1
            server.faults.extend([refuse(429), Fault("close", cut=30)] if faulty else [])
            task = asyncio.ensure_future(CALLS[call](client))
            for _ in range(steps):
                await asyncio.sleep(0)
            finished += task.done()
            task.cancel()
            for _ in range(STEPS_TO_LEAVE):
                if not task.done() or client.in_flight:
                    await asyncio.sleep(0)
            assert task.done(), (
                f"it had not left after {STEPS_TO_LEAVE} turns, when it was cancelled after {steps}"
            )
            assert not client.in_flight, "it had left, and what it had begun had not"
            assert (
                task.cancelled()
                or task.exception() is None
                or isinstance(task.exception(), OutcomeUnknown)
            )
            server.faults.clear()
            assert (await client.calls.get(f"next-{steps}")).id == f"next-{steps}"
        assert steps > 7
        await server.until(lambda it: it.open <= 3)
        assert not client.in_flight
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("seed", range(2))
async def test_a_late_answer_never_reaches_another_call(seed: int) -> None:
    chance = random.Random(seed)
    # It comes at once, late, in part, or twice, on a connection that stays open.
    late = [
        Fault(),
        Fault(pause=0.002),
        Fault("hang", cut=80),
        Fault(answer=lambda real: real + real),
    ]

    async def one(client: TelepathClient, number: int) -> bool:
        name = f"{seed}-{number}"
        work: Any = [
            client.calls.get,
            lambda n: client.trunks.create(**spec(n)),
            client.trunks.rotate_sip_password,
        ][number % 3]
        try:
            async with asyncio.timeout(chance.random() * 0.05):
                got = await work(name)
        except TimeoutError:
            return False
        assert (got.sip_username if isinstance(got, Trunk) else got.id) == name
        return True

    async def lane(client: TelepathClient, start: int) -> int:
        return sum([await one(client, number) for number in range(start, start + 60)])

    async with TrunkServer() as server, client_of(server) as client:
        server.fault_of = lambda number: chance.choice(late)
        answered = sum(await asyncio.gather(*(lane(client, 60 * n) for n in range(5))))
    assert 0 < answered < 300
