"""Many trunks at once: checked together, created concurrently, outcomes as they come."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from typing import Any, Final, Literal

from attrs import frozen

from ..checks import check_whole
from ..errors import ConflictError, OutcomeUnknown, TelepathError, UsageError
from ..models.trunks import Trunk
from ..paginator import Paginator
from .trunk_spec import FIELDS, TrunkSpec, spec_faults

_MOST_FAULTS_SHOWN: Final = 50


@frozen(kw_only=True)
class TrunkOutcome:
    """What became of the spec at `index` of the batch.

    `state`: `created` (`trunk` is the new one), `exists` (`trunk` is the one that has the
    username), `failed` (`error` says why, and nothing was created), `unknown` (`error` is the
    OutcomeUnknown: look before you create it again).
    """

    index: int
    spec: TrunkSpec
    state: Literal["created", "exists", "failed", "unknown"]
    trunk: Trunk | None = None
    error: TelepathError | None = None


def check_specs(specs: Iterable[TrunkSpec | Mapping[str, Any]]) -> list[TrunkSpec] | UsageError:
    """Return all specs, made from mappings where needed, or one UsageError with every fault."""
    entries = list(specs)
    faults = [
        f"[{index}]: {fault}" for index, entry in enumerate(entries) for fault in _faults(entry)
    ]
    faults += _duplicates(entries)
    if faults:
        shown = "\n  ".join(faults[:_MOST_FAULTS_SHOWN])
        more = (
            f"\n  … and {len(faults) - _MOST_FAULTS_SHOWN} more"
            if len(faults) > _MOST_FAULTS_SHOWN
            else ""
        )
        return UsageError(
            f"nothing was sent, because {len(faults)} faults stand in the batch; correct "
            f"them:\n  {shown}{more}"
        )
    return [entry if isinstance(entry, TrunkSpec) else TrunkSpec(**entry) for entry in entries]


def _faults(entry: object) -> list[str]:
    if isinstance(entry, TrunkSpec):
        return []
    if not isinstance(entry, Mapping):
        return [f"must be a TrunkSpec or a mapping of its fields, not {type(entry).__name__}"]
    unknown = [
        f"unknown field {name!r} (put it into extra={{…}})"
        for name in entry
        if name not in (*FIELDS, "extra")
    ]
    return unknown + spec_faults(entry)


def _duplicates(entries: list[TrunkSpec | Mapping[str, Any]]) -> list[str]:
    indexes_of: dict[str, list[int]] = {}
    for index, entry in enumerate(entries):
        username = _username(entry)
        if username is not None:
            indexes_of.setdefault(username, []).append(index)
    return [
        f"one sip_username stands at {', '.join(f'[{index}]' for index in indexes)}; it must be "
        "unique"
        for indexes in indexes_of.values()
        if len(indexes) > 1
    ]


def _username(entry: object) -> str | None:
    username = (
        entry.get("sip_username")
        if isinstance(entry, Mapping)
        else getattr(entry, "sip_username", None)
    )
    return username if isinstance(username, str) else None


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
        # A loop left by `break` drops its iterator and says nothing else; the garbage collector may
        # be in any thread.
        self._runner.cancel_from_anywhere()


class BatchRunner:
    """The tasks that create.

    They refer to the runner and not to the `Batch`, so that a dropped `Batch` is noticed.
    """

    def __init__(
        self,
        specs: list[TrunkSpec],
        *,
        create: Callable[[TrunkSpec], Coroutine[Any, Any, Trunk]],
        trunks: Callable[[], Paginator[Trunk]],
        concurrency: int,
        if_exists: str,
    ) -> None:
        check_whole("concurrency", concurrency)
        if if_exists not in ("fail", "skip"):
            raise UsageError(f"if_exists must be 'fail' or 'skip', not {if_exists!r}")
        self.left = len(specs)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._create = create
        self._trunks = trunks
        self._concurrency = concurrency
        self._skip = if_exists == "skip"
        self._existing: dict[str | None, Trunk] | None = None
        self._waiting = deque(enumerate(specs))
        self._running: set[asyncio.Task[TrunkOutcome]] = set()
        self._finished: asyncio.Queue[asyncio.Task[TrunkOutcome]] = asyncio.Queue()

    async def next_outcome(self) -> TrunkOutcome:
        """Return the next outcome to be known. Raises StopAsyncIteration after the last."""
        if not self.left:
            raise StopAsyncIteration
        loop = asyncio.get_running_loop()
        if self._loop not in (None, loop):
            raise UsageError(
                "this batch belongs to another event loop: walk all of it inside one "
                "asyncio.run; to complete it, run a new "
                "batch with if_exists='skip'"
            )
        self._loop = loop
        try:
            if self._existing is None:
                self._existing = await self._known_trunks() if self._skip else {}
            self._start()
            outcome = (await self._finished.get()).result()
        except BaseException:
            self.cancel()
            raise
        self.left -= 1
        return outcome

    async def _known_trunks(self) -> dict[str | None, Trunk]:
        return {trunk.sip_username: trunk for trunk in await self._trunks().collect()}

    def _start(self) -> None:
        while self._waiting and len(self._running) < self._concurrency:
            task = asyncio.get_running_loop().create_task(self._outcome(*self._waiting.popleft()))
            self._running.add(task)
            task.add_done_callback(self._hand_over)

    def _hand_over(self, task: asyncio.Task[TrunkOutcome]) -> None:
        self._running.discard(task)
        if self.left:
            # Also where somebody else has cancelled it: nobody must wait for it forever.
            self._finished.put_nowait(task)
        if not task.cancelled():
            self._start()

    async def _outcome(self, index: int, spec: TrunkSpec) -> TrunkOutcome:
        existing = self._existing.get(spec.sip_username) if self._existing else None
        if existing is not None:
            return TrunkOutcome(index=index, spec=spec, state="exists", trunk=existing)
        try:
            return TrunkOutcome(
                index=index, spec=spec, state="created", trunk=await self._create(spec)
            )
        except OutcomeUnknown as error:
            return TrunkOutcome(index=index, spec=spec, state="unknown", error=error)
        except ConflictError as error:
            return await self._conflict(index, spec, error)
        except TelepathError as error:
            return TrunkOutcome(index=index, spec=spec, state="failed", error=error)

    async def _conflict(self, index: int, spec: TrunkSpec, error: ConflictError) -> TrunkOutcome:
        """Return the outcome of a 409: somebody else was faster, or another field is taken."""
        if self._skip:
            try:
                existing = (await self._known_trunks()).get(spec.sip_username)
            except TelepathError:
                existing = None
            if existing is not None:
                return TrunkOutcome(index=index, spec=spec, state="exists", trunk=existing)
        return TrunkOutcome(index=index, spec=spec, state="failed", error=error)

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
