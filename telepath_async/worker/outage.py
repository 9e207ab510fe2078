"""Wait while the broker, or the state file, cannot be used: logged once, and once when it can."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from attrs import define, field

from telepath_async.protocol.redaction import Redactor

from .log import log_event

T = TypeVar("T")

_SECONDS_BETWEEN_TRIES: Final = 1.0


@define(kw_only=True)
class Outage:
    """An outage, if there is one. `errors`: what an operation raises during one.

    `error`: what it began with, or None.
    """

    errors: tuple[type[Exception], ...]
    redactor: Redactor
    worker: str
    error: str | None = field(default=None, init=False)
    _began: float = field(default=0.0, init=False)
    _waiting: int = field(default=0, init=False)

    async def wait_out(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Repeat an operation, once a second, until it succeeds, and return its result.

        Others may succeed meanwhile: from a full disk, all can still be read.
        """
        try:
            return await operation()
        except self.errors as error:
            self._begin(error)
        self._waiting += 1
        try:
            result = await self._repeat(operation)
            if self._waiting == 1:
                self._end()
            return result
        finally:
            self._waiting -= 1

    async def _repeat(self, operation: Callable[[], Awaitable[T]]) -> T:
        task = asyncio.current_task()
        assert task is not None
        while not task.cancelling():  # redis-py can turn a cancellation into an error of its own
            await asyncio.sleep(_SECONDS_BETWEEN_TRIES)
            try:
                return await operation()
            except self.errors:
                pass
        raise asyncio.CancelledError

    def _begin(self, error: Exception) -> None:
        if self.error is None:
            self.error, self._began = self.redactor.error(error), time.monotonic()
            log_event("outage", level=logging.WARNING, error=self.error, worker=self.worker)

    def _end(self) -> None:
        self.error = None
        seconds = round(time.monotonic() - self._began, 3)
        log_event("outage over", seconds=seconds, worker=self.worker)
