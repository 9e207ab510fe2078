"""Many trunks at once: created concurrently, outcomes as they come."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from attrs import frozen

from ..errors import (
    AuthenticationError,
    ConflictError,
    OutcomeUnknown,
    TelepathError,
    UsageError,
)
from ..models.trunks import Trunk
from ..paginator import Paginator
from ..protocol.doubt import normalize
from ..protocol.messages import Request
from ..session_holder import running_loop
from .outcomes import TrunkCreated, TrunkExists, TrunkFailed, TrunkOutcome, TrunkUnknown
from .trunk_spec import TrunkSpec


class Batch(AsyncIterator[TrunkOutcome]):
    """Outcomes of creates that are under way; iterate once.

    Leaving the loop cancels what is still under way.
    """

    def __init__(self, runner: BatchRunner) -> None:
        self._runner = runner

    def __len__(self) -> int:
        """How many outcomes are still to come."""
        return self._runner.left

    async def __anext__(self) -> TrunkOutcome:
        return await self._runner.next_outcome()

    def __del__(self) -> None:
        # A loop left by `break` drops its iterator, without another sign; the garbage collector may
        # be in any thread.
        self._runner.cancel_from_anywhere()


class ExistingTrunks:
    """The trunks that have a username of the batch already; with `skip` they are not failures."""

    def __init__(self, trunks: Callable[[], Paginator[Trunk]], *, skip: bool) -> None:
        self.conflicts: list[TrunkFailed] = []
        self._trunks = trunks
        self._skip = skip
        self._known: dict[str | None, Trunk] | None = None

    async def read(self) -> None:
        """Read the list, once, before the first create."""
        if self._skip and self._known is None:
            self._known = await self._list()

    def find(self, sip_username: str) -> Trunk | None:
        """Return the trunk that had this username before the first create."""
        return (self._known or {}).get(sip_username)

    def defers(self, conflict: TrunkFailed) -> bool:
        """Keep a conflict until all creates have ended, if it is not a failure yet."""
        if self._skip:
            self.conflicts.append(conflict)
        return self._skip

    async def resolve(self) -> list[TrunkOutcome]:
        """Look up who was faster, for all conflicts at once.

        The server compared the usernames in its own way: so one in another case is found too. Where
        nobody has the username, another field is taken, and that is a failure.
        """
        conflicts, self.conflicts = self.conflicts, []
        try:
            known = await self._list()
        except TelepathError:
            return [*conflicts]
        alike = {normalize(name): trunk for name, trunk in known.items() if name is not None}
        outcomes: list[TrunkOutcome] = []
        for conflict in conflicts:
            name = conflict.spec.sip_username
            found = known.get(name) or alike.get(normalize(name))
            outcomes.append(
                TrunkExists(index=conflict.index, spec=conflict.spec, trunk=found)
                if found
                else conflict
            )
        return outcomes

    async def _list(self) -> dict[str | None, Trunk]:
        return {trunk.sip_username: trunk for trunk in await self._trunks().collect()}


@frozen(eq=False)
class _Create:
    """One create of the batch, from when its task begins."""

    index: int
    spec: TrunkSpec
    request: Request


class BatchRunner:
    """The tasks that create: `concurrency` bounds those under way, and the outcomes that the
    consumer has not taken yet.

    They refer to the runner and not to the `Batch`, so that a dropped `Batch` is noticed.
    """

    def __init__(
        self,
        specs: list[TrunkSpec],
        *,
        create: Callable[[TrunkSpec, Request], Coroutine[Any, Any, Trunk]],
        request_of: Callable[[TrunkSpec], Request],
        existing: ExistingTrunks,
        concurrency: int,
    ) -> None:
        self.left = len(specs)
        self._turn = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._create = create
        self._request_of = request_of
        self._existing = existing
        self._concurrency = concurrency
        self._waiting = deque(enumerate(specs))
        self._running: dict[asyncio.Task[TrunkOutcome | None], _Create] = {}
        self._known: deque[TrunkOutcome] = deque()
        self._refusal: AuthenticationError | None = None

    async def next_outcome(self) -> TrunkOutcome:
        """Return the next outcome to be known. Raises StopAsyncIteration after the last."""
        loop = running_loop()
        if self.left and self._loop not in (None, loop):
            raise UsageError(
                "this batch belongs to another event loop: walk all of it inside one "
                "asyncio.run; to complete it, run a new "
                "batch with if_exists='skip'"
            )
        self._loop = loop
        async with self._turn:
            if not self.left:
                raise StopAsyncIteration
            try:
                outcome = await self._next()
            except BaseException:
                self.cancel()
                raise
            self.left -= 1
        return outcome

    async def _next(self) -> TrunkOutcome:
        await self._existing.read()
        while True:
            self._collect()
            self._start()
            if self._known:
                return self._known.popleft()
            if self._running:
                await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
            else:
                self._known.extend(await self._existing.resolve())

    def _start(self) -> None:
        while self._waiting and len(self._running) + len(self._known) < self._concurrency:
            index, spec = self._waiting.popleft()
            existing = self._existing.find(spec.sip_username)
            if existing is not None:
                self._known.append(TrunkExists(index=index, spec=spec, trunk=existing))
                continue
            create = _Create(index, spec, self._request_of(spec))
            task = asyncio.get_running_loop().create_task(self._outcome(create))
            self._running[task] = create

    def _collect(self) -> None:
        """Take the outcomes of the creates that have ended. Raises what nobody foresaw."""
        for task, create in list(self._running.items()):
            if not task.done():
                continue
            del self._running[task]
            if task.cancelled() and self._refusal is not None and create.request.unsent:
                self._known.append(_not_sent(create.index, create.spec, self._refusal))
            elif (outcome := task.result()) is not None:
                self._known.append(outcome)

    async def _outcome(self, create: _Create) -> TrunkOutcome | None:
        """Return what becomes of a spec; None: a conflict that is looked up later."""
        index, spec = create.index, create.spec
        try:
            trunk = await self._create(spec, create.request)
        except OutcomeUnknown as error:
            return TrunkUnknown(index=index, spec=spec, error=error)
        except TelepathError as error:
            failed = TrunkFailed(index=index, spec=spec, error=error)
        else:
            return TrunkCreated(index=index, spec=spec, trunk=trunk)
        if isinstance(failed.error, ConflictError) and self._existing.defers(failed):
            return None
        if type(failed.error) is AuthenticationError:  # not that of the AI provider's key
            self._withdraw(failed.error)
        return failed

    def _withdraw(self, refusal: AuthenticationError) -> None:
        """Send nothing more: the API refuses our key."""
        self._refusal = refusal
        self._known.extend(_not_sent(index, spec, refusal) for index, spec in self._waiting)
        self._waiting.clear()
        for task, create in self._running.items():
            create.request.withdrawn = True
            if create.request.unsent:
                task.cancel()

    def cancel(self) -> None:
        """Cancel what is under way, and start nothing more."""
        self._waiting.clear()
        self.left = 0
        for task in self._running:
            task.cancel()

    def cancel_from_anywhere(self) -> None:
        """The same, from any thread."""
        for loop in {task.get_loop() for task in self._running}:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self.cancel)


def _not_sent(index: int, spec: TrunkSpec, refusal: AuthenticationError) -> TrunkFailed:
    error = AuthenticationError(
        f"not sent, because the API refused the key of an earlier create ({refusal.message})",
        status=refusal.status,
        code=refusal.code,
        request_id=refusal.request_id,
        hint="check TELEPATH_API_KEY, and run the batch again with if_exists='skip'",
    )
    return TrunkFailed(index=index, spec=spec, error=error)
