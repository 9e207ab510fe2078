"""One run of a rotation: each new password is in the journal before its carrier gets it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

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

from .carrier import Carrier
from .journal import Journal
from .ledger import Entry, State
from .rotation_report import Progress, RotationReport


@frozen(kw_only=True)
class Due:
    """The trunks in their order, those first that an earlier run began; `recent`: not due."""

    trunk_ids: list[str]
    recent: list[str]


def what_is_due(
    entries: Mapping[str, Entry], wanted: Iterable[str], now: datetime, not_again_within: timedelta
) -> Due:
    """Sort the trunks by what the journal knows of them."""
    begun = [trunk_id for trunk_id, entry in entries.items() if entry.state != "finished"]
    # What only has to be applied comes first: it locks nobody out.
    begun.sort(key=lambda trunk_id: entries[trunk_id].credentials is None)
    # A moment in the future is of a clock that was wrong.
    finished = {
        trunk_id
        for trunk_id, entry in entries.items()
        if entry.state == "finished" and now - not_again_within < entry.at <= now
    }
    settled = finished.union(begun)
    return Due(
        trunk_ids=[*begun, *(trunk_id for trunk_id in wanted if trunk_id not in settled)],
        recent=[trunk_id for trunk_id in wanted if trunk_id in finished],
    )


@define(kw_only=True)
class Rotation:
    """One run; `waits`: seconds after each failed attempt at a rotate or its carrier."""

    telepath: TelepathClient
    carrier: Carrier
    journal: Journal
    wanted: dict[str, str | None]
    stop_after: int
    waits: tuple[float, ...]
    progress: Progress = field(factory=Progress)
    broken: OSError | None = None

    async def run(self, due: Due, concurrency: int) -> RotationReport:
        """Finish what was begun, then begin the rest; then forget what the carriers have."""
        queue = iter(due.trunk_ids)
        await self._work(queue, alone=True)
        async with asyncio.TaskGroup() as workers:
            for _ in range(concurrency):
                workers.create_task(self._work(queue))
        if self.broken is not None:
            raise self.broken
        self.journal.compact()
        return self.progress.report(self.journal.entries.values(), self.wanted, due.recent)

    async def _work(self, queue: Iterator[str], *, alone: bool = False) -> None:
        """Take trunks until the queue is empty or too many have failed.

        `alone`: until the first carrier has its password, so that what cannot work at all costs
        one password at a time.
        """
        while self.progress.failures < self.stop_after and self.broken is None:
            if alone and self.progress.applied:
                return
            trunk_id = next(queue, None)
            if trunk_id is None:
                return
            try:
                await self._one(trunk_id)
            except OSError as error:
                error.add_note("the journal")
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
            self.progress.applied.append(trunk_id)

    async def _rotate(self, trunk_id: str, *, fresh: bool) -> SipCredentials | None:
        """Return the new credentials, on the disk; or None, with the reason in `why`."""
        if fresh:
            self._write("in doubt", trunk_id, account=self.telepath.key_id)
        for wait in (*self.waits, None):
            try:
                credentials = await self.telepath.trunks.rotate_sip_password(trunk_id)
            except (OutcomeUnknown, ResponseError) as error:
                fresh = False
                self.progress.why[trunk_id] = str(error)
                self._keep_raw(trunk_id, error)
            except TelepathError as error:
                self._refused(trunk_id, error, fresh=fresh)
                return None
            else:
                return await self._keep(trunk_id, credentials)
            if wait is not None:
                await asyncio.sleep(wait)
        self.progress.failures += 1
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
        self.progress.rotated.append(trunk_id)
        return credentials

    def _refused(self, trunk_id: str, error: TelepathError, *, fresh: bool) -> None:
        """Note a refusal: nothing has happened, unless an earlier rotate is still in doubt."""
        self.progress.why[trunk_id] = str(error)
        entry, gone = self.journal.entries[trunk_id], isinstance(error, NotFoundError)
        # Another account's key does not know the trunk either.
        if fresh or (gone and entry.account == self.telepath.key_id):
            self.wanted.setdefault(trunk_id, entry.sip_username)
            self._write("untouched", trunk_id)
        self.progress.failures += not gone

    async def _apply(self, trunk_id: str, credentials: SipCredentials) -> bool:
        failure = await self.carrier.update(trunk_id, credentials, self.waits)
        if failure is None:
            return True
        self.progress.why[trunk_id] = failure.why
        self.progress.failures += 1
        if failure.hopeless:
            self.progress.failures = max(self.progress.failures, self.stop_after)
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
