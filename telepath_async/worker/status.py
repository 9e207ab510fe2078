"""How a job stands, what a run changes about that, and when the next run is due.

No I/O, no clock: `now` is handed in.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve, frozen
from croniter import croniter  # type: ignore[import-untyped]

from telepath_async.protocol.strict import strict_converter, structure_json

from .accounts import Job, JobName, SyncPlan
from .clocks import CLOCK_TOLERANCE, is_ahead

if TYPE_CHECKING:
    from cattrs import Converter

_FIRST_BACKOFF: Final = timedelta(seconds=5)
_LONGEST_BACKOFF: Final = timedelta(minutes=15)
_PERMANENT_PAUSE: Final = timedelta(hours=1)


@frozen(kw_only=True)
class JobStatus:
    """How a job of an account stands; kept where all workers see it, and shown by `telepath worker
    status`.

    `next_run`: when it is due; `rows`, `seconds`: of the last run that ended; `failures`: since the
    last success; `permanent`: repeating the last run cannot cure what it failed by, so it waits for
    at least an hour, or for a change of the configuration. `running_since`: of a run whose end is
    not known. `began`: when the scheduled run began that is being tried again. `parts_done` of so
    many `parts`: partitions of the first sync, of the time up to `first_until`. `alerts`: how they
    stand. `plan`: the job's, when this was written.
    """

    account: str
    job: JobName
    plan: str
    next_run: datetime
    host: str | None = None
    running_since: datetime | None = None
    last_success: datetime | None = None
    last_failure: datetime | None = None
    error: str | None = None
    failures: int = 0
    permanent: bool = False
    rows: int | None = None
    seconds: float | None = None
    began: datetime | None = None
    parts: int = 1
    parts_done: int = 0
    first_until: datetime | None = None
    alerts: str | None = None

    @property
    def key(self) -> str:
        return f"{self.account}:{self.job}"

    @property
    def part(self) -> int | None:
        """The partition of the first sync that is next, from 1; None: all are done, or none is."""
        return None if self.parts == 1 or self.parts_done >= self.parts else self.parts_done + 1

    @property
    def part_name(self) -> str | None:
        """The partition as people read it, such as `3of8`."""
        return None if self.part is None else f"{self.part}of{self.parts}"

    def to_json(self) -> str:
        """Return one line; what is None is left out."""
        return json.dumps(
            {name: value for name, value in self.to_dict().items() if value is not None}
        )

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold, times as ISO 8601."""
        fields: dict[str, Any] = _converter().unstructure(self)
        return fields


@cache
def _converter() -> Converter:
    return strict_converter()


def read_status(text: str | bytes) -> JobStatus:
    """Return what `to_json` has written, without the fields of a later version.

    Raises ValueError that names every fault.
    """
    return structure_json(_converter(), text, JobStatus)


def first_status(job: Job, now: datetime) -> JobStatus:
    """Return how a job stands that nobody has run: due at once, but a rotation waits its time."""
    return JobStatus(
        account=job.account.name,
        job=job.name,
        plan=job.plan,
        host=job.host,
        next_run=_next_time(job, now) if job.name == "rotate" else now,
        parts=_parts(job),
        first_until=now.replace(microsecond=0),
    )


def distrust(status: JobStatus, job: Job, now: datetime) -> JobStatus:
    """Return the status without what a wrong clock has written; the same where there is nothing.

    A moment that is over, and lies ahead, is not known. A next run further ahead than its schedule,
    and the pause after a failure, can explain is due as that of a job that nobody has run.
    """
    past = ("running_since", "last_success", "last_failure", "began", "first_until")
    wrong: dict[str, Any] = {name: None for name in past if is_ahead(getattr(status, name), now)}
    first = first_status(job, now)
    if "first_until" in wrong:
        wrong["first_until"] = first.first_until
    if wrong or _is_unexplained(status, job, now):
        return evolve(status, **wrong, next_run=first.next_run)
    return status


def _is_unexplained(status: JobStatus, job: Job, now: datetime) -> bool:
    if status.plan != job.plan or not is_ahead(status.next_run, now):
        return False
    pause = _PERMANENT_PAUSE if status.permanent else _LONGEST_BACKOFF
    after = now + (pause if status.failures else timedelta(0)) + CLOCK_TOLERANCE
    return status.next_run > _next_time(job, after)


def tried_for(status: JobStatus, job: Job, now: datetime) -> timedelta:
    """Return how long the run of the latest scheduled time has been tried, by all its runs."""
    scheduled: datetime = croniter(job.cron, now.astimezone(UTC)).get_prev(datetime)
    return now - min(max(status.began or now, scheduled), now)


def current(status: JobStatus, job: Job, now: datetime) -> JobStatus:
    """Return the status under the plan as it is now.

    A changed plan waits for its own time, so that two workers with different files never drive a
    job in turns; only what a fault has held up is due at once, and what failed is tried again when
    it would have been. The first sync is gone through anew, by partitions of which the table has
    all.
    """
    if status.plan == job.plan:
        return status
    return evolve(
        first_status(job, now),
        next_run=_due_under(job, status, now),
        began=status.began,
        last_success=status.last_success,
        last_failure=status.last_failure,
        error=status.error,
        failures=status.failures,
        rows=status.rows,
        seconds=status.seconds,
        alerts=status.alerts,
    )


def _due_under(job: Job, status: JobStatus, now: datetime) -> datetime:
    """Return when a job is due whose plan has changed."""
    if status.permanent:
        return now
    if status.failures:
        return min(status.next_run, now + _LONGEST_BACKOFF)
    ended = max(filter(None, (status.last_success, status.last_failure)), default=None)
    return _next_time(job, ended or status.first_until or now)


def started(status: JobStatus, now: datetime) -> JobStatus:
    """Return the status of a run that begins."""
    return evolve(status, running_since=now, began=status.began or now)


def succeeded(
    status: JobStatus,
    job: Job,
    now: datetime,
    *,
    rows: int | None,
    seconds: float,
    alerts: str | None = None,
) -> JobStatus:
    """Return the status after a run that did all it was to do.

    Another partition, where there is one, is due at once.
    """
    after = evolve(
        status,
        running_since=None,
        last_success=now,
        error=None,
        failures=0,
        permanent=False,
        rows=rows,
        seconds=seconds,
        began=None,
        parts_done=status.parts_done + (status.part is not None),
        alerts=alerts or status.alerts,
    )
    return evolve(
        after, next_run=_next_time(job, max(now, status.next_run)) if after.part is None else now
    )


def timed_out(status: JobStatus, now: datetime, *, rows: int | None, seconds: float) -> JobStatus:
    """Return the status after a run that had no more time: it goes on at once."""
    return evolve(status, running_since=None, next_run=now, rows=rows, seconds=seconds)


def failed(
    status: JobStatus,
    job: Job,
    now: datetime,
    *,
    error: str,
    permanent: bool,
    rows: int | None,
    seconds: float,
    jitter: float,
) -> JobStatus:
    """Return the status after a run that failed.

    It is tried again after 5 s, 10 s, … up to 15 minutes, of which `jitter` (0 to 1) takes off up
    to a half; what repeating cannot cure (`permanent`), at its next time that is an hour away.
    """
    failures = status.failures + 1
    backoff = min(_FIRST_BACKOFF * 2 ** min(failures - 1, 16), _LONGEST_BACKOFF) * (1 - jitter / 2)
    return evolve(
        status,
        running_since=None,
        last_failure=now,
        error=error,
        failures=failures,
        permanent=permanent,
        rows=rows,
        seconds=seconds,
        began=None if permanent else status.began,
        next_run=_next_time(job, now + _PERMANENT_PAUSE) if permanent else now + backoff,
    )


def end_of_part(status: JobStatus, plan: SyncPlan) -> datetime | None:
    """Return the end of the partition that is to be done, in whole seconds; None: the present.

    Its beginning is wherever the table's watermark stands, so that no border between two can be
    missed.
    """
    if status.part is None or plan.since is None or status.first_until is None:
        return None
    last = max(status.first_until, plan.since)
    return plan.since + timedelta(
        seconds=(last - plan.since) // timedelta(seconds=1) * status.part // status.parts
    )


def _parts(job: Job) -> int:
    return job.account.sync.partitions if job.name == "sync" and job.account.sync is not None else 1


def _next_time(job: Job, after: datetime) -> datetime:
    moment: datetime = croniter(job.cron, after.astimezone(UTC)).get_next(datetime)
    return moment
