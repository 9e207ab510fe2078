"""The sweep of a PostgreSQL queue: one worker at a time, and any worker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from saq import Job, Status
from saq.queue import Queue

from telepath_async import Secret
from telepath_async.worker import postgres_queue
from telepath_async.worker.service import BrokerUrl


@pytest.fixture
async def queues(postgres_broker_url: str) -> AsyncIterator[list[Queue]]:
    """The same queue, as three workers have it."""
    async with AsyncExitStack() as stack:
        brokers = [
            await stack.enter_async_context(
                BrokerUrl(postgres=Secret(postgres_broker_url)).connect(2)
            )
            for _ in range(3)
        ]
        yield [await broker.queue(None) for broker in brokers]


async def lost(queue: Queue, key: str) -> None:
    """A job whose worker has vanished."""
    assert await queue.enqueue(Job("f", key=key, heartbeat=1, timeout=0, retries=5))
    job = await queue.dequeue(5)
    assert job is not None
    job.attempts, job.worker_id = 1, "vanished"
    job.started = job.touched = int((time.time() - 60) * 1000)
    await job.update(status=Status.ACTIVE, touched=job.touched)


async def test_whoever_comes_sweeps_and_not_he_alone_who_swept_first(queues: list[Queue]) -> None:
    first, second, third = queues
    assert await first.sweep(1, 0.1) == []
    await lost(third, "a")
    assert len(await second.sweep(1, 0.1)) == 1


async def test_two_do_not_sweep_at_once(
    queues: list[Queue], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = queues
    await lost(third, "a")
    during: list[list[str]] = []
    sweep = postgres_queue.PostgresQueue.sweep

    async def noted(self: Queue, lock: int, abort: float) -> list[str]:
        during.append(await second.sweep(lock, abort))
        return await sweep(self, lock, abort)

    monkeypatch.setattr(postgres_queue.PostgresQueue, "sweep", noted)
    assert len(await first.sweep(1, 0.1)) == 1
    assert during == [[]]


async def test_a_sweep_that_takes_too_long_is_left_to_the_next(
    queues: list[Queue], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_queue, "_SECONDS_OF_A_SWEEP", 0.0)
    await lost(queues[2], "a")
    assert await queues[0].sweep(1, 0.1) == []
    monkeypatch.undo()
    assert len(await queues[1].sweep(1, 0.1)) == 1


async def test_a_sweeper_that_stands_still_holds_up_nobody_for_long(
    queues: list[Queue], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = queues
    await lost(third, "a")
    monkeypatch.setattr(postgres_queue, "_STANDS_STILL_AFTER", "500ms")
    sweep, hanging = postgres_queue.PostgresQueue.sweep, asyncio.Event()

    async def hangs(self: Queue, lock: int, abort: float) -> list[str]:
        hanging.set()
        await asyncio.sleep(60)
        return []

    with monkeypatch.context() as patched:
        patched.setattr(postgres_queue.PostgresQueue, "sweep", hangs)
        standing_still = asyncio.create_task(first.sweep(1, 0.1))
        await hanging.wait()
        patched.setattr(postgres_queue.PostgresQueue, "sweep", sweep)
        async with asyncio.timeout(20):
            while not await second.sweep(1, 0.1):
                await asyncio.sleep(0.05)
    standing_still.cancel()
    await asyncio.wait([standing_still])
