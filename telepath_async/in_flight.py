"""`InFlight`: the calls under way, which closing the client cancels."""

from __future__ import annotations

import asyncio
from typing import Any
from weakref import WeakSet

from .errors import UsageError


class InFlight:
    """The tasks that are making a call; its length is how many there are."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._cancelled: WeakSet[asyncio.Task[Any]] = WeakSet()

    def __len__(self) -> int:
        return len(self._tasks)

    def track(self) -> asyncio.Task[Any]:
        """Add the current task, and return it. Raises UsageError outside a task."""
        task = asyncio.current_task()
        if task is None:
            raise UsageError(
                "a call must be awaited inside a task; use asyncio.run(...) or your framework's "
                "handlers"
            )
        self._tasks.add(task)
        return task

    def untrack(self, task: asyncio.Task[Any]) -> None:
        """Remove a task whose call has ended."""
        self._tasks.discard(task)

    def untrack_all(self) -> None:
        """Remove the tasks of a loop that was closed under them."""
        self._tasks.clear()

    def cancel(self) -> None:
        """Cancel all of them, each once."""
        for task in self._tasks.difference(self._cancelled):
            self._cancelled.add(task)
            task.cancel()

    def cancelled_by_close(self, task: asyncio.Task[Any], cancelled_before: int) -> bool:
        """Return whether `cancel` alone cancelled the task; the caller's own cancellation wins.

        `cancelled_before`: its `cancelling()` when its call began.
        """
        if task not in self._cancelled:
            return False
        self._cancelled.discard(task)
        return task.uncancel() <= cancelled_before
