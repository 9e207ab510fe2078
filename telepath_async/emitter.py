"""Emitting events: at the start and the end of a call and of each attempt, and between them.

A listener's fault never loses an answer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Iterable
from itertools import count
from typing import Any, Final

from .events import (
    CallEnded,
    CallStarted,
    Event,
    RequestFailed,
    RequestStarted,
    ResponseReceived,
)
from .protocol.messages import Request, Response
from .protocol.refusals import shown_request_id
from .secret import Secret
from .session_holder import running_loop

_call_numbers: Final = count(1)
_log: Final = logging.getLogger("telepath_async")


class Emitter:
    """Hands events to `on_event`."""

    def __init__(self, on_event: Callable[[Event], object]) -> None:
        self._on_event = on_event

    def emit(self, kind: type[Event], request: Request, attempt: int, **details: Any) -> None:
        """Emit one event; an exception of the listener's goes to the log."""
        event = kind(
            method=request.method,
            template=request.template,
            call=request.call,
            attempt=attempt,
            **details,
        )
        try:
            self._on_event(event)
        except Exception:  # noqa: BLE001  # a listener's fault must not lose an answer
            _log.exception("on_event failed on %s; the call goes on", kind.__name__)

    async def call(
        self, request: Request, base_url: str, send: Callable[[], Coroutine[Any, Any, Response]]
    ) -> Response:
        """Send, and emit the call's start and its end, whatever that is."""
        clock = running_loop().time
        began = clock()
        request.call = next(_call_numbers)
        self.emit(CallStarted, request, 0, base_url=base_url)
        status = error = None
        try:
            response = await send()
            status = response.status
        except BaseException as failure:
            status, error = getattr(failure, "status", None), type(failure).__name__
            raise
        finally:
            seconds = clock() - began
            self.emit(
                CallEnded, request, request.attempts, seconds=seconds, status=status, error=error
            )
        return response

    async def attempt(
        self,
        request: Request,
        sending: Coroutine[Any, Any, Response],
        secrets: Iterable[Secret],
    ) -> Response:
        """Await an attempt, and emit its start and its end; `secrets`: not to be shown."""
        clock = running_loop().time
        number = request.attempts
        self.emit(RequestStarted, request, number)
        began = clock()
        try:
            response = await sending
        except BaseException as error:
            seconds = clock() - began
            self.emit(RequestFailed, request, number, seconds=seconds, error=type(error).__name__)
            raise
        seen = response.rate_limit
        self.emit(
            ResponseReceived,
            request,
            number,
            status=response.status,
            seconds=clock() - began,
            remaining=None if seen is None else seen.remaining,
            request_id=shown_request_id(response, secrets=secrets),
        )
        return response
