"""SAQ's queue on PostgreSQL, with a lock for its sweeps that is held while one sweeps, and no
longer.

SAQ 0.26 takes a session's lock once, and believes forever that it has it. The pool ends the
session within the hour, and then two workers sweep, and deliver jobs twice; and a host that stands
still keeps the session, and nobody sweeps.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Final

from psycopg.sql import SQL
from saq import Job
from saq.queue.postgres import PostgresQueue

from .clocks import CLOCK_TOLERANCE, forget_future, utc_now

_SECONDS_OF_A_SWEEP: Final = 30.0  # of many dead jobs; the next sweep goes on
_STANDS_STILL_AFTER: Final = "60s"


class PatchedPostgresQueue(PostgresQueue):
    """A PostgreSQL queue that one worker sweeps at a time, and any worker can."""

    def deserialize(self, payload: Any, status: Any = None) -> Job | None:
        """Return a job as it is stored, but for what a wrong clock has written."""
        return forget_future(super().deserialize(payload, status))

    async def sweep(self, lock: int = 60, abort: float = 5.0) -> list[str]:
        """Put lost jobs back into the queue, and return their keys."""
        async with self.pool.connection() as connection, connection.transaction():
            await connection.execute(
                f"SET LOCAL idle_in_transaction_session_timeout = '{_STANDS_STILL_AFTER}'"
            )
            select = "SELECT pg_try_advisory_xact_lock(%s, hashtext(%s))"
            row = await (
                await connection.execute(select, (self.saq_lock_keyspace, self.name))
            ).fetchone()
            if row is None or not row[0]:
                return []
            # We schedule nothing ahead: SAQ neither delivers such a job, nor takes it once more.
            scheduled = SQL(
                "UPDATE {} SET scheduled = %s WHERE queue = %s AND scheduled > %s"
            ).format(self.jobs_table)
            now = utc_now()
            latest = (now + CLOCK_TOLERANCE).timestamp()
            await connection.execute(scheduled, (int(now.timestamp()), self.name, int(latest)))
            self._has_sweep_lock = True  # has SAQ not take its own
            try:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_SECONDS_OF_A_SWEEP):
                        return await super().sweep(lock, abort)
            finally:
                self._has_sweep_lock = False
        return []
