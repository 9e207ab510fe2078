"""Promise 8: leak nothing: no connection, task, file descriptor or permit.

They are counted after 2,000 calls.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import weakref
from pathlib import Path
from typing import Any

import pytest

from telepath_async import LocalLimiter, TelepathClient
from telepath_async.errors import TelepathError
from telepath_async.slots import MAX_CONNECTIONS
from tests.support.hostile import reply
from tests.support.trunk_server import Fault, TrunkServer, client_of, refuse, spec
from tests.support.wiring import session_of

CALLS = 2000
DESCRIPTORS = Path("/proc/self/fd")

FAULTS = [
    Fault("close", cut=0), Fault("reset", cut=0), Fault("reset", read=20), Fault("close", cut=50),
    Fault("hang", cut=30), Fault("close", answer=lambda real: b"\x00\xff garbage"),
    Fault(answer=lambda real: real[:-5] + b"<html"), refuse(429), refuse(503), refuse(409),
    Fault(answer=lambda real: reply(200, b"[]").bytes), Fault(pause=0.01),
    Fault(answer=lambda real: real + real),
]  # fmt: skip


async def partly(client: TelepathClient, stop: int) -> None:
    """Walk a list, and leave the loop in the middle."""
    async for call in client.calls.list(page_size=20, prefetch=2):
        if call.id == f"call_{stop}":
            break


async def begun(client: TelepathClient, number: int) -> None:
    """Begin a batch, and leave it."""
    async for _ in client.trunks.create_many(
        [spec(f"{number}-{n}") for n in range(3)], concurrency=3
    ):
        break


def work_of(client: TelepathClient, number: int, chance: random.Random) -> Any:
    match number % 7:
        case 0 | 1:
            return client.calls.get(f"c{number}")
        case 2:
            return client.trunks.create(**spec(f"u{number}"))
        case 3:
            return client.trunks.rotate_sip_password(f"t{number}")
        case 4:
            return client.trunks.update(f"t{number}", name="n")
        case 5:
            return partly(client, chance.randrange(60))
    return begun(client, number)


async def many_calls(client: TelepathClient, chance: random.Random) -> set[str]:
    """Make 2,000 calls, 20 at a time, and return the classes of what came out.

    A third of them is cancelled.
    """
    seen: set[str] = set()
    numbers = iter(range(CALLS))

    async def lane() -> None:
        for number in numbers:
            with contextlib.suppress(asyncio.CancelledError):
                task = asyncio.ensure_future(work_of(client, number, chance))
                if chance.random() < 0.33:
                    asyncio.get_running_loop().call_later(chance.random() * 0.01, task.cancel)
                try:
                    await task
                    seen.add("done")
                except TelepathError as error:
                    seen.add(type(error).__name__)
                except asyncio.CancelledError:
                    seen.add("cancelled")
                    raise

    await asyncio.gather(*(lane() for _ in range(20)))
    return seen


@pytest.mark.long
@pytest.mark.skipif(not DESCRIPTORS.exists(), reason="no /proc here")
async def test_2000_calls_with_faults_and_cancellations_leave_nothing_behind() -> None:
    chance = random.Random(8)
    # Bulk enough that callers queue, and are cancelled in the queue.
    limiter = LocalLimiter(2000, 1.0, 5)
    async with TrunkServer() as server:
        server.fault_of = lambda number: chance.choice(FAULTS) if chance.random() < 0.4 else None
        before = len(os.listdir(DESCRIPTORS))
        async with client_of(server, limiter=limiter, attempt_timeout=0.25) as client:
            seen = await many_calls(client, chance)
            assert {"done", "cancelled", "OutcomeUnknown", "ConflictError"} <= seen
            await asyncio.sleep(0.05)  # what was cancelled last
            assert len(asyncio.all_tasks()) == 1 + server.open, (
                "besides us and the server's players"
            )
            assert not client.in_flight
            assert limiter.waiting == 0
            slots = session_of(client).holder.slots
            assert sum(slots.take("interactive") for _ in range(200)) == MAX_CONNECTIONS
            assert server.open <= 30
        await server.until(lambda it: it.open == 0)
        await asyncio.sleep(0.01)
        gc.collect()
        assert len(os.listdir(DESCRIPTORS)) == before
        assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_hundred_clients_leave_nothing_behind() -> None:
    async with TrunkServer() as server:
        before = len(os.listdir(DESCRIPTORS)) if DESCRIPTORS.exists() else 0
        clients = weakref.WeakSet[TelepathClient]()
        for number in range(100):
            async with client_of(server) as client:
                clients.add(client)
                await client.calls.get(f"c{number}")
        await server.until(lambda it: it.open == 0)
        await asyncio.sleep(0)
        assert len(os.listdir(DESCRIPTORS)) == before if before else True
        gc.collect()
        assert len(clients) <= 1  # the one that `client` still names
