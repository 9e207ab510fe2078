"""Jobs and statuses that the tests of the worker share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from telepath_async import Secret
from telepath_async.worker.accounts import Account, Job, SyncPlan
from telepath_async.worker.status import JobStatus, failed

NOW = datetime(2026, 6, 1, 12, 2, 30, 500_000, UTC)
LATER = NOW + timedelta(seconds=40)


def sync_job(
    *,
    partitions: int = 1,
    cron: str = "*/5 * * * *",
    since: datetime | None = datetime(2026, 5, 1, tzinfo=UTC),
) -> Job:
    plan = SyncPlan(
        cron=cron, database_url=Secret("postgresql://u:pw@h/d"), since=since, partitions=partitions
    )
    return Job(
        Account(name="acme", api_key=Secret("sk_1"), key_id="1f", host="h1", sync=plan), "sync"
    )


def a_failure(
    status: JobStatus, *, job: Job | None = None, permanent: bool = False, jitter: float = 0.0
) -> JobStatus:
    return failed(
        status, job or sync_job(), LATER, error="E: no", permanent=permanent, rows=7, seconds=2.0,
        jitter=jitter,
    )  # fmt: skip
