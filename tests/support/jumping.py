"""An event loop in whose time nothing takes long, and tests that run on it."""

from __future__ import annotations

import asyncio
import gc
import selectors
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any
from weakref import WeakKeyDictionary


class _JumpSelector(selectors.DefaultSelector):
    """Does not sleep: moves the loop's time to where the next timer is due."""

    loop: JumpLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if not events:
            assert timeout is not None, "nothing is due, and nobody will ever wake this loop"
            self.loop.now += timeout
        return events


class JumpLoop(asyncio.SelectorEventLoop):
    """An event loop in whose time nothing ever takes long.

    `fired`: how many timers have fired; `faults`: what callbacks raised.
    """

    def __init__(self) -> None:
        selector = _JumpSelector()
        selector.loop = self
        self.now = 1000.0
        self.fired = 0
        self.faults: list[dict[str, Any]] = []
        self._due: WeakKeyDictionary[asyncio.TimerHandle, Callable[[], None]] = WeakKeyDictionary()
        super().__init__(selector)

    def time(self) -> float:
        return self.now

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        def fire() -> None:
            self.fired += 1
            callback(*args)

        handle = super().call_at(when, fire, context=context)
        self._due[handle] = fire
        return handle

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.faults.append(context)

    def timers(self) -> int:
        return len(self._pending())

    def _pending(self) -> list[asyncio.TimerHandle]:
        return [handle for handle in self._scheduled if not handle.cancelled()]  # type: ignore[attr-defined]

    def fire_timers(self) -> None:
        """Fire the timer that is due first, and let no task run that hears of it."""
        handle = min(self._pending())
        handle.cancel()
        self.now = max(self.now, handle.when())
        self._due[handle]()


@contextmanager
def jump_loop() -> Iterator[JumpLoop]:
    loop = JumpLoop()
    try:
        yield loop
    finally:
        loop.close()


def jumping(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run the test in made-up time; no callback may raise."""

    @wraps(test)
    def run(**fixtures: Any) -> None:
        loop = JumpLoop()
        gc.disable()  # an open session that is collected while the loop shuts down is never closed
        try:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(test(**fixtures))
        finally:
            gc.enable()
        assert loop.faults == []

    return run


def now() -> float:
    return asyncio.get_running_loop().time() - 1000.0
