"""One run of a rotation: each new password is in the journal before its carrier gets it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from attrs import define, evolve, field, frozen

from telepath_async import (
    NotFoundError,
    OutcomeUnknown,
    ResponseError,
    Secret,
    SipCredentials,
    TelepathClient,
    TelepathError,
)

from .commands import CommandFailed, CommandNotStarted
from .journal import Journal
from .ledger import Entry, State

_log: Final = logging.getLogger("telepath_async.jobs")


@frozen(kw_only=True)
class UnrotatedTrunk:
    """A trunk whose rotation has not come to its end, and `why`."""

    trunk_id: str
    sip_username: str | None
    why: str


@frozen(kw_only=True)
class RotationReport:
    """What became of the trunks, by their ids.

    - `rotated`: got a new password in this run. `applied`: their carrier took it in this run; some
      may have been rotated by an earlier one.
    - `pending`: **their carrier may hold a dead password.** Run again: the journal knows how to go
      on.
    - `untouched`: nothing has been changed. `recent`: finished so recently that it was not due.
    - `uncertain`: trunks that may have been missed, because the list changed while it was read. Run
      again.
    """

    rotated: tuple[str, ...]
    applied: tuple[str, ...]
    pending: tuple[UnrotatedTrunk, ...]
    untouched: tuple[UnrotatedTrunk, ...]
    recent: tuple[str, ...]
    uncertain: int = 0

    @property
    def complete(self) -> bool:
        """Whether every trunk has a new password that its carrier knows."""
        return not (self.pending or self.untouched or self.uncertain)


@define(kw_only=True)
class Rotation:
    """The run's options, and what has become of the trunks so far."""

    telepath: TelepathClient
    apply: Callable[[SipCredentials], Awaitable[object]]
    journal: Journal
    wanted: dict[str, str | None]
    stop_after: int
    waits: tuple[float, ...]
    apply_timeout: float | None
    not_again_within: timedelta
    rotated: list[str] = field(factory=list)
    applied: list[str] = field(factory=list)
    recent: list[str] = field(factory=list)
    why: dict[str, str] = field(factory=dict)
    failures: int = 0
    broken: OSError | None = None

    async def run(self, concurrency: int) -> RotationReport:
        """Finish what was begun, then begin the rest; then forget what the carriers have."""
        queue = iter(self._due())
        await self._work(queue, alone=True)
        async with asyncio.TaskGroup() as workers:
            for _ in range(concurrency):
                workers.create_task(self._work(queue))
        if self.broken is not None:
            raise self.broken
        self.journal.compact()
        return self._report()

    def _due(self) -> list[str]:
        entries, now = self.journal.entries, datetime.now(UTC)
        begun = [trunk_id for trunk_id, entry in entries.items() if entry.state != "finished"]
        # A moment in the future is of a clock that was wrong.
        finished = {
            trunk_id
            for trunk_id, entry in entries.items()
            if entry.state == "finished" and now - self.not_again_within < entry.at <= now
        }
        self.recent = [trunk_id for trunk_id in self.wanted if trunk_id in finished]
        # What only has to be applied comes first: it locks nobody out.
        begun.sort(key=lambda trunk_id: entries[trunk_id].credentials is None)
        settled = finished.union(begun)
        return [*begun, *(trunk_id for trunk_id in self.wanted if trunk_id not in settled)]

    async def _work(self, queue: Iterator[str], *, alone: bool = False) -> None:
        """Take trunks until the queue is empty or too many have failed.

        `alone`: until the first carrier has its password, so that what cannot work at all costs
        one password at a time.
        """
        while self.failures < self.stop_after and self.broken is None:
            if alone and self.applied:
                return
            trunk_id = next(queue, None)
            if trunk_id is None:
                return
            try:
                await self._one(trunk_id)
            except OSError as error:  # of the journal
                self.broken = self.broken or error

    async def _one(self, trunk_id: str) -> None:
        entry = self.journal.entries.get(trunk_id)
        credentials = None if entry is None else entry.credentials
        if credentials is None:
            credentials = await self._rotate(
                trunk_id, fresh=entry is None or entry.state == "finished"
            )
        if credentials is not None and await self._apply(trunk_id, credentials):
            self._write("finished", trunk_id)
            self.applied.append(trunk_id)

    async def _rotate(self, trunk_id: str, *, fresh: bool) -> SipCredentials | None:
        """Return the new credentials, on the disk; or None, with the reason in `why`."""
        if fresh:
            self._write("in doubt", trunk_id, account=self.telepath.key_id)
        for wait in (*self.waits, None):
            try:
                credentials = await self.telepath.trunks.rotate_sip_password(trunk_id)
            except (OutcomeUnknown, ResponseError) as error:
                fresh = False
                self.why[trunk_id] = str(error)
                self._keep_raw(trunk_id, error)
            except TelepathError as error:
                self._refused(trunk_id, error, fresh=fresh)
                return None
            else:
                return await self._keep(trunk_id, credentials)
            if wait is not None:
                await asyncio.sleep(wait)
        self.failures += 1
        return None

    def _keep_raw(self, trunk_id: str, error: TelepathError) -> None:
        if isinstance(error, ResponseError):
            entry = self.journal.entries[trunk_id]
            self.journal.write(
                evolve(entry, at=datetime.now(UTC), raw=Secret(error.raw.decode("latin-1")))
            )

    async def _keep(self, trunk_id: str, answer: SipCredentials) -> SipCredentials:
        known = self.journal.entries[trunk_id].sip_username
        credentials = SipCredentials(
            id=answer.id or trunk_id,
            sip_username=answer.sip_username or known,
            sip_password=answer.sip_password,
            rotated_at=answer.rotated_at,
            extra=answer.extra,
        )
        try:
            self._write("rotated", trunk_id, credentials=credentials)
        except OSError:
            await self._apply(trunk_id, credentials)  # the one other place that can keep it
            raise
        self.rotated.append(trunk_id)
        return credentials

    def _refused(self, trunk_id: str, error: TelepathError, *, fresh: bool) -> None:
        """Note a refusal: nothing has happened, unless an earlier rotate is still in doubt."""
        self.why[trunk_id] = str(error)
        entry, gone = self.journal.entries[trunk_id], isinstance(error, NotFoundError)
        # Another account's key does not know the trunk either.
        if fresh or (gone and entry.account == self.telepath.key_id):
            self.wanted.setdefault(trunk_id, entry.sip_username)
            self._write("untouched", trunk_id)
        self.failures += not gone

    async def _apply(self, trunk_id: str, credentials: SipCredentials) -> bool:
        """Tell the carrier, until it takes the password or the attempts are used up."""
        for attempt, wait in enumerate((*self.waits, None), 1):
            try:
                async with asyncio.timeout(self.apply_timeout):
                    await self.apply(credentials)
            except Exception as error:  # noqa: BLE001  # whatever a carrier's library raises
                reason, not_started = _shown(error), isinstance(error, CommandNotStarted)
            else:
                return True
            _log.warning(
                "apply failed for trunk %s with %s, attempt %d of %d",
                trunk_id,
                reason,
                attempt,
                len(self.waits) + 1,
            )
            self.why[trunk_id] = f"apply failed {attempt} times, the last time with {reason}"
            if not_started:
                self.failures = max(self.failures, self.stop_after - 1)
                break
            if wait is not None:
                await asyncio.sleep(wait)
        self.failures += 1
        return False

    def _write(
        self,
        state: State,
        trunk_id: str,
        *,
        account: str | None = None,
        credentials: SipCredentials | None = None,
    ) -> None:
        known = self.journal.entries.get(trunk_id)
        username = self.wanted.get(trunk_id) or (known.sip_username if known else None)
        self.journal.write(
            Entry(
                state=state,
                trunk_id=trunk_id,
                at=datetime.now(UTC),
                sip_username=username,
                account=account,
                credentials=credentials,
            )
        )

    def _report(self) -> RotationReport:
        entries = self.journal.entries
        pending = [entry for entry in entries.values() if entry.state != "finished"]
        settled = {*self.applied, *self.recent, *(entry.trunk_id for entry in pending)}
        return RotationReport(
            rotated=tuple(self.rotated),
            applied=tuple(self.applied),
            pending=tuple(self._unrotated(entry.trunk_id, entry.sip_username) for entry in pending),
            untouched=tuple(
                self._unrotated(*trunk) for trunk in self.wanted.items() if trunk[0] not in settled
            ),
            recent=tuple(self.recent),
        )

    def _unrotated(self, trunk_id: str, sip_username: str | None) -> UnrotatedTrunk:
        why = self.why.get(
            trunk_id, f"not reached: the run stopped when {self.failures} others had failed"
        )
        return UnrotatedTrunk(trunk_id=trunk_id, sip_username=sip_username, why=why)


def _shown(error: Exception) -> str:
    """Return what may be shown of an error of `apply`: the text of others may hold the password."""
    name = type(error).__name__
    return f"{name}: {error}" if isinstance(error, CommandFailed) else name
