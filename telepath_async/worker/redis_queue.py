"""SAQ's queue on Redis, with a sweep that keeps apart a lost job and one that was just taken.

SAQ 0.26 takes every job as lost that is on the active list and not yet marked as active, so that
one that begins during a sweep is delivered twice. It also puts one lost job back after the other,
each after a wait.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any, Final

from saq import Job, Status
from saq.queue.redis import RedisQueue

from .clocks import forget_future

SECONDS_TO_BEGIN: Final = 10.0


class PatchedRedisQueue(RedisQueue):
    """A Redis queue that is swept for jobs without a heartbeat, or not begun for 10 s."""

    def __init__(self, redis: Any, name: str) -> None:
        super().__init__(redis, name=name)
        self._taken: dict[str, float] = {}  # not begun yet, by id: since when we have seen them so

    def deserialize(self, payload: Any, status: Any = None) -> Job | None:
        """Return a job as it is stored, but for what a wrong clock has written."""
        return forget_future(super().deserialize(payload, status))

    async def sweep(self, lock: int = 60, abort: float = 5.0) -> list[str]:
        """Put lost jobs back into the queue, and return their ids. One worker does in `lock`
        seconds.

        A worker that has only stood still gets `abort` seconds to let go of its job.
        """
        lost = await self._lost()
        if not lost or not await self.redis.set(self.namespace("sweep"), 1, nx=True, ex=lock):
            return []
        await asyncio.gather(*(self._put_back(job_id, job, abort) for job_id, job in lost.items()))
        return list(lost)

    async def _lost(self) -> dict[str, Job | None]:
        found: Any = await self.redis.lrange(self.namespace("active"), 0, -1)
        ids = [item.decode() for item in found]
        jobs = (
            dict(zip(ids, await self.jobs(map(self.job_key_from_id, ids)), strict=True))
            if ids
            else {}
        )
        now = time.monotonic()
        begun = {
            job_id
            for job_id, job in jobs.items()
            if job is not None and job.status is Status.ACTIVE
        }
        self._taken = {
            job_id: self._taken.get(job_id, now) for job_id in jobs if job_id not in begun
        }
        stuck = {job_id for job_id in begun if (job := jobs[job_id]) is not None and job.stuck}
        left = {job_id for job_id, since in self._taken.items() if now - since >= SECONDS_TO_BEGIN}
        return {job_id: jobs[job_id] for job_id in (*stuck, *left)}

    async def _put_back(self, job_id: str, job: Job | None, abort: float) -> None:
        if job is None:
            await self.redis.lrem(self.namespace("active"), 0, job_id)
            await self.redis.zrem(self.namespace("incomplete"), job_id)
            return
        await self.abort(job, error=self.swept_error_message)
        with suppress(TimeoutError):
            await job.refresh(abort)
        if job.status is Status.COMPLETE:
            return
        if job.retryable:
            await self.retry(job, error=self.swept_error_message)
        else:
            await self.finish(job, Status.ABORTED, error=self.swept_error_message)
