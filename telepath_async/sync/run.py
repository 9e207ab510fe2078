"""`sync_calls`: check the options, walk what is missing page by page, and report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

from attrs import asdict, define, evolve, field, frozen

from telepath_async import (
    APIError,
    Call,
    NotFoundError,
    Page,
    Paginator,
    PagingError,
    Secret,
    TelepathClient,
    UsageError,
)
from telepath_async.checks import (
    check_account,
    check_function,
    check_time_range,
    check_timedelta,
)
from telepath_async.coverage import (
    UNFINISHED_FOR,
    Coverage,
    RangeWalk,
    latest,
    merge,
    server_time,
    start_of,
)
from telepath_async.protocol.redaction import as_secret

from .database import make_engine, named_failures
from .plan import Seen, may_resume, spans_of, up_to_present
from .report import Counts, SyncProgress, SyncReport
from .store import Store, open_store

_EARLIEST: Final = datetime.min.replace(tzinfo=UTC) + UNFINISHED_FOR
_MOST_UNSTARTED: Final = 100  # requests of one call each
_MOST_WALKS: Final = 3
# 100 requests a second are the API's limit: enough for an answer in 160 ms.
_PAGES_AHEAD: Final = 16
_SHARDS: Final = 4
_WORTH_SHARDS: Final = timedelta(days=1)
_CHECKPOINT_REFUSED: Final = frozenset((400, 404, 410, 422))


async def sync_calls(
    telepath: TelepathClient,
    database_url: str | Secret,
    *,
    account: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    lookback: timedelta = timedelta(hours=1),
    trunk_id: str | None = None,
    on_progress: Callable[[SyncProgress], object] | None = None,
) -> SyncReport:
    """Bring the calls into the table `telepath_calls`: all at first, later what is new or changed.

    `database_url`: `sqlite:///calls.db` or `postgresql://user:password@host/name`. `account`: a
    name of yours for the account, under which its rows and its watermark are kept: a new API key
    re-reads nothing. The first run that gives a name takes over what was synced without one (None:
    the hash of the key). The account's trunks go into `telepath_trunks`. `since`,
    `until`: aware datetimes, both inclusive; with `since`, a long first sync reads several ranges
    of time at once. `lookback`: how long after its start a call may still appear or change; each
    run goes back that far before the watermark. A call that had not ended is asked for again until
    it has; the last time by the run after the watermark has passed its start by 24 hours. One that
    has no start time yet is asked for by its id, until nothing has changed for 24 hours.
    `trunk_id`: only this trunk's calls, with a watermark of their own. `on_progress`: called with a
    `SyncProgress` after each committed page of a walk.

    Killed at any moment, the next run goes on after the last page committed. Where the server
    refuses a large offset, the range is read in parts. Calls deleted at the server stay in the
    table. Requests go in the bulk lane, after interactive ones.

    Raises UsageError before anything is sent or opened; SyncBusy when another sync of this account
    into this database is under way; what the request loop raises; and SQLAlchemy's own errors, and
    the driver's, for a database that fails.
    """
    database_url = as_secret(database_url)
    check_timedelta("lookback", lookback)
    if trunk_id is not None and not (isinstance(trunk_id, str) and trunk_id):
        raise UsageError(
            f"trunk_id must be the id of a trunk, or None for all of them, not {trunk_id!r}"
        )
    if on_progress is not None:
        check_function("on_progress", on_progress, "function that takes a SyncProgress")
    check_time_range(since, until)
    account = telepath.key_id if account is None else check_account(account)
    engine = make_engine(database_url)
    async with named_failures(database_url), open_store(engine, account, trunk_id) as store:
        run = _Run(
            telepath=telepath.with_options(priority="bulk"),
            store=store,
            wanted=_Wanted(
                since=None if since is None else since.astimezone(UTC),
                until=None if until is None else until.astimezone(UTC),
                lookback=lookback,
                trunk_id=trunk_id,
            ),
            on_progress=on_progress,
        )
        return await run.to_the_end()


@frozen(kw_only=True)
class _Wanted:
    since: datetime | None
    until: datetime | None
    lookback: timedelta
    trunk_id: str | None

    def walk(self, coverage: Coverage | None) -> RangeWalk:
        """Return the walk through all that the table does not cover."""
        since = start_of(coverage, self.since, self.until, self.lookback)
        return RangeWalk(since=since, until=self.until)


@define(kw_only=True)
class _Run:
    telepath: TelepathClient
    store: Store
    wanted: _Wanted
    on_progress: Callable[[SyncProgress], object] | None
    begun: float = field(factory=time.monotonic)
    coverage: Coverage | None = None
    counts: Counts = field(factory=Counts)
    uncertain: int = 0

    async def to_the_end(self) -> SyncReport:
        """Walk until nothing is missing.

        Where the list changes too much for that, the rest is left to the next run.
        """
        trunks = await self.telepath.trunks.list(prefetch=_PAGES_AHEAD).collect()
        await self.store.take_over(self.telepath.key_id, trunks)
        await self.store.save_trunks(trunks)
        self.coverage, cut_off = await self.store.load()
        await self._ask_for_unfinished()
        await self._ask_for_unstarted()
        if cut_off is not None and may_resume(
            cut_off, self.wanted.walk(self.coverage), self.wanted.lookback
        ):
            await self._resume(cut_off)
        for _ in range(_MOST_WALKS):
            await self._follow_all(await self._walks())
            if not self.uncertain:
                break
        return SyncReport(
            **asdict(self.counts),
            seconds=self._seconds(),
            watermark=self._watermark(),
            uncertain=self.uncertain,
        )

    async def _ask_for_unfinished(self) -> None:
        """Read the calls again that had not ended, where the walk begins after them.

        First of all: the watermark shows what an earlier run has seen.
        """
        start = self.wanted.walk(self.coverage).since
        if self.coverage is None or start is None:
            return
        oldest = max(self.coverage.watermark, _EARLIEST) - UNFINISHED_FOR
        for since, until in spans_of(await self.store.unfinished(oldest, start)):
            await self._read_again(RangeWalk(since=since, until=until))

    async def _read_again(self, span: RangeWalk) -> None:
        """Store the calls of a span, in halves where the server refuses to serve it to its end."""
        calls, seen = self._list(span), Seen()
        try:
            async for page in calls.pages():
                seen.note(call.start_time for call in page.items)
                self.counts.add_page(page, await self.store.save_page(page.items))
        except PagingError as error:
            halves = _halves(span, seen, calls, error)
        else:
            return
        for half in halves:
            await self._read_again(half)

    async def _ask_for_unstarted(self) -> None:
        """Read the calls again, one by one, that had no start time: no range of time has them."""
        last_change = datetime.now(UTC) - UNFINISHED_FOR
        for call_id in await self.store.unstarted(last_change, _MOST_UNSTARTED):
            with suppress(NotFoundError, UsageError):  # an id that no path can hold
                call = await self.telepath.calls.get(call_id)
                self.counts.add(await self.store.save_page([call]))

    async def _walks(self) -> list[RangeWalk]:
        """Return what is missing; a long open range as one for shards, and an open tail."""
        walk, now = self.wanted.walk(self.coverage), datetime.now(UTC)
        if walk.since is None or walk.until is not None or now - walk.since < _WORTH_SHARDS:
            return [walk]
        first = await self.telepath.calls.list(
            trunk_id=self.wanted.trunk_id, since=walk.since, max_items=1
        )
        present = server_time(first.raw.headers.get("Date"), now)
        return [walk] if present - walk.since < _WORTH_SHARDS else up_to_present(walk, present)

    async def _follow_all(self, walks: Iterable[RangeWalk]) -> None:
        """Follow the walks up to the first one that may have missed a call."""
        for walk in walks:
            await self._follow(self._list(walk), walk)
            if self.uncertain:
                return

    async def _follow(self, calls: Paginator[Call], walk: RangeWalk) -> None:
        """Store what a walk gives; at its end, save what the table covers.

        A walk that the server refuses to serve to its end is cut in two by time.
        """
        seen = Seen()
        try:
            walk = await self._read(calls, walk, seen)
        except PagingError as error:
            halves = _halves(walk, seen, calls, error)
        else:
            self.coverage = merge(self.coverage, walk)
            self.uncertain = walk.uncertain
            await self.store.save_state(self.coverage)
            return
        await self._follow_all(halves)

    def _list(self, walk: RangeWalk) -> Paginator[Call]:
        bounded = (
            walk.since is not None
            and walk.until is not None
            and walk.until - walk.since >= _WORTH_SHARDS
        )
        shards = _SHARDS if bounded else 1  # with cursors, one chain waits for each answer
        ahead = _PAGES_AHEAD // shards
        if walk.checkpoint is not None:
            return self.telepath.calls.list(resume=walk.checkpoint, prefetch=ahead)
        return self.telepath.calls.list(
            trunk_id=self.wanted.trunk_id,
            since=walk.since,
            until=walk.until,
            prefetch=ahead,
            shards=shards,
        )

    async def _resume(self, walk: RangeWalk) -> None:
        """Continue a walk that was cut off; where that cannot be, the next one begins anew."""
        try:
            calls = self._list(walk)
        except UsageError:  # not a checkpoint of this version
            return
        try:
            await self._follow(calls, walk)
        except PagingError:  # the server pages in the other style now
            return
        except APIError as error:  # the cursor has expired
            if error.status not in _CHECKPOINT_REFUSED:
                raise

    async def _read(self, calls: Paginator[Call], walk: RangeWalk, seen: Seen) -> RangeWalk:
        """Store the list page by page; return the walk as it stands at its end."""
        now, missed_before = datetime.now(UTC), walk.uncertain
        async for page in calls.pages():
            seen.note(call.start_time for call in page.items)
            walk = evolve(
                walk,
                started=walk.started or server_time(page.raw.headers.get("Date"), now),
                newest=latest(walk.newest, seen.newest),
                rows=walk.rows + len(page.items),
                uncertain=missed_before + page.drift.uncertain,
                checkpoint=page.checkpoint,
            )
            self.counts.add_page(page, await self.store.save_page(page.items, self.coverage, walk))
            self._notify(walk, page)
        return walk

    def _notify(self, walk: RangeWalk, page: Page[Call]) -> None:
        if self.on_progress is not None:
            self.on_progress(
                SyncProgress(
                    rows=walk.rows,
                    total=page.total,
                    pages=self.counts.pages,
                    seconds=self._seconds(),
                    watermark=self._watermark(),
                )
            )

    def _seconds(self) -> float:
        return time.monotonic() - self.begun

    def _watermark(self) -> datetime | None:
        return None if self.coverage is None else self.coverage.watermark


def _halves(
    walk: RangeWalk, seen: Seen, calls: Paginator[Call], error: PagingError
) -> tuple[RangeWalk, ...]:
    """Cut a walk that the server refused to serve to its end; or raise its error.

    Halves of a list that ignores its dates would be no shorter.
    """
    refused = isinstance(error.__cause__, APIError)
    halves = seen.halves(walk) if refused and calls.drift.outside <= seen.rows else ()
    if not halves:
        raise error
    return halves
