"""What `telepath worker status` shows: each job's status, and what it is doing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeAlias

from attrs import frozen

from .status import JobStatus

State: TypeAlias = Literal["running", "queued", "fault", "failed", "overdue", "waiting"]

_OVERDUE_AFTER: Final = timedelta(minutes=1)


@frozen
class JobReport:
    """A job's status and state.

    `waiting`: for its time; `failed`, `fault`: the same, after a run that failed (by what repeating
    cannot cure); `overdue`: due for more than a minute, and no worker has it: none is up that may
    run it.
    """

    status: JobStatus
    state: State

    def to_dict(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        status = self.status
        fields = status.to_dict()
        names = (
            "account",
            "job",
            "host",
            "last_success",
            "last_failure",
            "error",
            "failures",
            "rows",
            "seconds",
            "next_run",
        )
        return {
            "state": self.state,
            **{name: fields[name] for name in names},
            "partition": status.part_name,
        }


def report_jobs(
    statuses: Iterable[JobStatus], under_way: Mapping[str, str], now: datetime
) -> list[JobReport]:
    """Return the reports in the order of accounts and jobs.

    `under_way`: "running" or "queued", by key.
    """
    ordered = sorted(statuses, key=lambda status: status.key)
    return [JobReport(status, _state(status, under_way.get(status.key), now)) for status in ordered]


def _state(status: JobStatus, under_way: str | None, now: datetime) -> State:
    if under_way == "running":
        return "running"
    if under_way == "queued":
        return "queued"
    if now - status.next_run > _OVERDUE_AFTER:
        return "overdue"
    if status.failures:
        return "fault" if status.permanent else "failed"
    return "waiting"
