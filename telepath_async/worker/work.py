"""What each job does in one run, between a status and a `Result`."""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

from attrs import define, frozen

from telepath_async import (
    AuthenticationError,
    PermissionDeniedError,
    SipCredentials,
    TelepathClient,
    UsageError,
)
from telepath_async.jobs import JournalBusy, JournalDamaged, poll_latency, rotate_passwords
from telepath_async.jobs.commands import check_command
from telepath_async.sync import SyncBusy, SyncProgress, sync_calls

from .accounts import Account, Job
from .clocks import utc_now
from .commands import Commands, alert_document, credentials_document
from .log import JobFailed
from .status import JobStatus, end_of_part, tried_for

if TYPE_CHECKING:
    from telepath_async.otel import Telemetry

T = TypeVar("T")

BUSY: Final = (SyncBusy, JournalBusy)
PERMANENT: Final = (UsageError, AuthenticationError, PermissionDeniedError, JournalDamaged)
_NOT_ROTATED_AGAIN_WITHIN: Final = timedelta(hours=1)


@frozen(kw_only=True)
class Result:
    """What a run did: `rows` written, rotated or alerted; `alerts`: their state, to be kept."""

    rows: int
    alerts: str | None = None


@define(kw_only=True)
class Run:
    """A run of a job. `telemetry`: its observer; `rows`: so far."""

    job: Job
    status: JobStatus
    commands: Commands
    telemetry: Telemetry | None = None
    rows: int = 0

    @property
    def account(self) -> Account:
        """The job's account."""
        return self.job.account

    async def do(self, telepath: TelepathClient) -> Result:
        """Do it once. Raises what the job raises, and JobFailed where a part was not done."""
        return await {"sync": self._sync, "watch": self._watch, "rotate": self._rotate}[
            self.job.name
        ](telepath)

    async def _observe(self, work: Coroutine[Any, Any, T]) -> T:
        """Await the job itself, in a span that counts what is in its report."""
        return await (work if self.telemetry is None else self.telemetry.job(self.job.name, work))

    async def _sync(self, telepath: TelepathClient) -> Result:
        """Sync from the table's watermark to the end of the partition, or to the present."""
        plan = self.account.sync
        assert plan is not None
        report = await self._observe(
            sync_calls(
                telepath,
                plan.database_url,
                account=self.account.name,
                since=plan.since,
                lookback=plan.lookback,
                until=end_of_part(self.status, plan),
                on_progress=self._progress,
            )
        )
        self.rows = report.inserted + report.updated
        if report.uncertain:
            raise JobFailed(
                f"{report.uncertain} calls may have been missed, for the list changed under "
                "the walk"
            )
        return Result(rows=self.rows)

    def _progress(self, progress: SyncProgress) -> None:
        self.rows = progress.rows

    async def _watch(self, telepath: TelepathClient) -> Result:
        """Poll once, and run the command for each alert; one that fails is decided again."""
        plan = self.account.watch
        assert plan is not None
        check_command(plan.command)  # a pager that is missing fails now, not at the first alert
        poll = await self._observe(
            poll_latency(telepath, plan.thresholds, self.status.alerts, window=plan.window)
        )
        if poll.overview is None and poll.error is not None:
            raise poll.error
        for alert in poll.alerts:
            await self.commands.run(plan.command, alert_document(self.account.name, alert))
            self.rows += 1
        return Result(rows=self.rows, alerts=poll.state)

    async def _rotate(self, telepath: TelepathClient) -> Result:
        """Rotate all trunks; a retry leaves alone what was finished since the first try."""
        plan = self.account.rotate
        assert plan is not None
        check_command(plan.command)  # before a password has changed

        async def apply(credentials: SipCredentials) -> None:
            await self.commands.run(
                plan.command, credentials_document(self.account.name, credentials)
            )

        report = await self._observe(
            rotate_passwords(
                telepath,
                telepath.trunks.list(),
                apply,
                plan.journal,
                not_again_within=_NOT_ROTATED_AGAIN_WITHIN
                + tried_for(self.status, self.job, utc_now()),
            )
        )
        self.rows = len(report.applied)
        unfinished = [*report.pending, *report.untouched]
        if unfinished:
            raise JobFailed(
                f"{len(report.pending)} carriers may hold a dead password, "
                f"{len(report.untouched)} trunks are untouched; "
                f"{unfinished[0].trunk_id}: {unfinished[0].why}"
            )
        if report.uncertain:
            raise JobFailed(
                f"{report.uncertain} trunks may have been missed, because the list changed while "
                "it was read"
            )
        return Result(rows=self.rows)
