"""Moments that were written down, and cannot be: those of a clock that was wrong.

The clocks of the hosts must agree to a few seconds. One that was ahead by a year, until it was set,
leaves moments that nobody may wait for.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from saq import Job as QueuedJob

CLOCK_TOLERANCE: Final = timedelta(minutes=1)


def utc_now() -> datetime:
    """Return the present."""
    return datetime.now(UTC)


def is_ahead(moment: datetime | None, now: datetime) -> bool:
    """Whether a moment that should be over is further ahead than clocks may differ."""
    return moment is not None and moment - now > CLOCK_TOLERANCE


def forget_future(job: QueuedJob | None) -> QueuedJob | None:
    """Return a job out of the broker, without a beginning and a heartbeat that lie ahead.

    SAQ would take it for alive until they are over.
    """
    if job is not None:
        latest = int((utc_now() + CLOCK_TOLERANCE).timestamp() * 1000)
        if max(job.started, job.touched) > latest:
            job.started = job.touched = 0
    return job
