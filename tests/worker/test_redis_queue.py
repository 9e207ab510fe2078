"""Test the sweep of a Redis queue: what is lost is put back, what was just taken is not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from saq import Job, Status

from telepath_async.worker import redis_queue
from telepath_async.worker.redis_queue import PatchedRedisQueue


@pytest.fixture
async def queue(redis_url: str) -> AsyncIterator[PatchedRedisQueue]:
    queue = PatchedRedisQueue(Redis.from_url(redis_url), "q")
    yield queue
    await queue.disconnect()


async def taken(
    queue: PatchedRedisQueue, key: str, *, silent_for: float = 0.0, retries: int = 5
) -> Job:
    """A job that a worker has begun, and whose heart has not beaten for so long."""
    assert await queue.enqueue(Job("f", key=key, heartbeat=10, timeout=0, retries=retries))
    job = await queue.dequeue(5)
    assert job is not None
    job.started = int((time.time() - silent_for) * 1000)
    job.attempts = 1
    await job.update(status=Status.ACTIVE)
    if silent_for:
        job.touched = job.started
        await queue.redis.set(job.id, queue.serialize(job))
    return job


async def status_of(queue: PatchedRedisQueue, key: str) -> Status | None:
    job = await queue.job(key)
    return None if job is None else job.status


async def test_what_lives_is_left_alone(queue: PatchedRedisQueue) -> None:
    assert await queue.sweep(1, 0.1) == []
    await taken(queue, "a")
    assert await queue.sweep(1, 0.1) == []
    assert await status_of(queue, "a") == Status.ACTIVE


async def test_what_has_just_been_taken_is_left_alone_and_put_back_when_nobody_begins_it(
    queue: PatchedRedisQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    await queue.enqueue(Job("f", key="a", retries=5))
    assert await queue.dequeue(5) is not None
    assert await queue.sweep(1, 0.1) == []
    assert await queue.count("active") == 1
    monkeypatch.setattr(redis_queue, "SECONDS_TO_BEGIN", 0.0)
    assert await queue.sweep(1, 0.1) == ["saq:job:q:a"]
    assert (await queue.count("queued"), await queue.count("active")) == (1, 0)


async def test_the_jobs_of_a_dead_worker_are_put_back_together(queue: PatchedRedisQueue) -> None:
    for key in ("a", "b", "c", "d"):
        await taken(queue, key, silent_for=11)
    begun = time.monotonic()
    assert sorted(await queue.sweep(5, 0.5)) == [f"saq:job:q:{key}" for key in "abcd"]
    assert time.monotonic() - begun < 2.0  # one after the other would take as many times 0.5 s
    assert await queue.count("queued") == 4
    assert await status_of(queue, "a") == Status.QUEUED


async def test_one_sweeper_is_enough(queue: PatchedRedisQueue) -> None:
    await taken(queue, "a", silent_for=11)
    assert await queue.sweep(5, 0.1) == ["saq:job:q:a"]
    await taken(queue, "b", silent_for=11)
    assert await queue.sweep(5, 0.1) == []


async def test_a_job_that_ends_while_it_is_swept_stays_ended(queue: PatchedRedisQueue) -> None:
    job = await taken(queue, "a", silent_for=11)

    async def ends() -> None:
        await asyncio.sleep(0.2)
        await job.finish(Status.COMPLETE, result=1)

    _, swept = await asyncio.gather(ends(), queue.sweep(5, 2.0))
    assert swept == ["saq:job:q:a"]
    assert await status_of(queue, "a") == Status.COMPLETE
    assert await queue.count("queued") == 0


async def test_a_job_that_has_died_too_often_is_given_up(queue: PatchedRedisQueue) -> None:
    await taken(queue, "a", silent_for=11, retries=1)
    await queue.sweep(5, 0.1)
    assert await status_of(queue, "a") == Status.ABORTED


async def test_a_job_that_is_not_there_any_more_is_taken_off_the_lists(
    queue: PatchedRedisQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await taken(queue, "a")
    await queue.redis.delete(job.id)
    monkeypatch.setattr(redis_queue, "SECONDS_TO_BEGIN", 0.0)
    assert await queue.sweep(5, 0.1) == ["saq:job:q:a"]
    assert (await queue.count("active"), await queue.count("incomplete")) == (0, 0)
