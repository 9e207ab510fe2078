"""The request loop: limiter -> transport -> observe -> decide -> (wait, again) | answer | error.

It knows statuses and seconds, and never what a request is about. Every attempt pays the limiter.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Coroutine, Iterator, Mapping
from typing import Any, Final

from attrs import define, evolve, field, frozen

from . import transport
from .emitter import Emitter
from .errors import (
    ClientClosedError,
    ConnectionLost,
    RequestTimeout,
    TelepathError,
    ThrottledError,
    TransportError,
)
from .events import Event, RetryScheduled, Throttled
from .key_state import KeyState
from .limiter import Priority
from .protocol.messages import Request, Response
from .protocol.refusals import api_error
from .protocol.retry import RetryPolicy, decide
from .secret import Secret
from .session_holder import SessionHolder, running_loop
from .slots import Slots

_SHORTEST_CREDENTIAL: Final = 8


@frozen(kw_only=True)
class CallOptions:
    """How a call is made. Times in seconds; None = no bound."""

    timeout: float | None
    attempt_timeout: float | None
    retry: RetryPolicy
    max_wait: float | None = None
    priority: Priority = "interactive"
    headers: Mapping[str, Secret] = {}


@define(kw_only=True, eq=False, repr=False)
class Session:
    """Sends requests with one key, and with the options of one client."""

    holder: SessionHolder
    key: KeyState
    options: CallOptions
    emitter: Emitter | None
    _headers: transport.Headers = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._headers = self.key.headers(self.options.headers)

    def with_options(self, **changes: Any) -> Session:
        """Return a session with other options that shares all else."""
        return evolve(self, options=evolve(self.options, **changes))

    def charge_retry(self) -> bool:
        """Charge one more request after a failure; False when the retry budget is empty."""
        return self.key.budget.take(self.options.retry)

    def now(self) -> float:
        """Return the running loop's time. Raises UsageError where none is running."""
        return running_loop().time()

    def deadline(self) -> float:
        """Return the loop's time by which a call that begins now must have ended."""
        timeout = self.options.timeout
        return math.inf if timeout is None else self.now() + timeout

    def send(
        self, request: Request, *, deadline: float | None = None
    ) -> Coroutine[Any, Any, Response]:
        """Return the answer, always 2xx. Raises what the table in `errors` names.

        `deadline`: of a call of several requests, which share it; None = this request is the call.
        """
        request.attempts, request.unsent = 0, True
        if self.emitter is None:
            return self._send(request, deadline)
        return self.emitter.call(request, self.key.base_url, lambda: self._send(request, deadline))

    async def _send(self, request: Request, deadline: float | None) -> Response:
        self.holder.check_usable()
        in_flight = self.holder.in_flight
        task = in_flight.track()
        cancelled_before = task.cancelling()
        try:
            return await self._attempts(request, self.deadline() if deadline is None else deadline)
        except asyncio.CancelledError:
            if not in_flight.cancelled_by_close(task, cancelled_before):
                raise
        finally:
            in_flight.untrack(task)
        if not request.unsent:
            state = "whether it arrived is unknown"
        else:
            state = "it was not carried out" if request.attempts else "nothing was sent"
        raise ClientClosedError(
            f"the client was closed while {request.endpoint} was under way; {state}",
            sent=not request.unsent,
        )

    async def _attempts(self, request: Request, deadline: float) -> Response:
        options, key = self.options, self.key
        clock = asyncio.get_running_loop().time
        outcome: Response | TelepathError | None = None
        result: Response | TransportError
        resent = 0
        while True:
            attempt = request.attempts + 1
            try:
                result = await self._attempt(request, attempt, deadline)
            except ThrottledError as error:
                outcome = error if outcome is None else outcome
                break
            except TransportError as error:
                result = error
            else:
                key.observe(result)
                if 200 <= result.status < 300:
                    key.budget.give_back()
                    return result
            if outcome is None or isinstance(result, Response) or result.sent:
                # what reached the server once is not undone by a later attempt that did not
                outcome = result
            if request.repeatable and not resent and _is_stale(result):
                # No outage: the server closed an idle connection, as servers do. So it costs no
                # budget, once.
                resent = 1
                self._emit(RetryScheduled, request, attempt, seconds=0.0, reason=_reason(result))
                continue
            delay = decide(
                options.retry,
                request,
                result,
                attempt=attempt - resent,
                budget=key.budget,
                time_left=deadline - clock(),
                jitter=random.random(),
                wall_clock=time.time(),
            )
            if delay is None or request.withdrawn:
                break
            # What is not repeatable is tried again only if nothing happened.
            request.unsent = not request.repeatable
            self._emit(RetryScheduled, request, attempt, seconds=delay, reason=_reason(result))
            await asyncio.sleep(delay)
        if isinstance(outcome, Response):
            raise api_error(outcome, secrets=self._secrets(request), wall_clock=time.time())
        assert outcome is not None
        raise outcome

    async def _attempt(self, request: Request, attempt: int, deadline: float) -> Response:
        """Wait for a connection, then for a permit, and send the request once."""
        slots, shared, priority = self.holder.slots, self.holder.shared, self.options.priority
        if not slots.take(priority):
            await self._wait_for_connection(request, slots, deadline)
        try:
            seconds = self._longest_wait(deadline)
            waited = await self.key.limiter.acquire(
                priority=priority, max_wait=None if seconds == math.inf else max(0.0, seconds)
            )
            if waited:
                self._emit(Throttled, request, attempt, seconds=waited)
            if shared is not None and not shared.take(priority):
                await self._wait_for_connection(request, shared, deadline)
            try:
                return await self._send_once(request, attempt, deadline)
            finally:
                if shared is not None:
                    shared.release(priority)
        finally:
            slots.release(priority)

    async def _send_once(self, request: Request, attempt: int, deadline: float) -> Response:
        request.attempts = attempt
        request.unsent = False
        sending = transport.send(
            self.holder.http or await self.holder.open(),
            self.key,
            request,
            headers=self._headers,
            timeout=self.options.attempt_timeout,
            until=deadline,
        )
        if self.emitter is not None:
            sending = self.emitter.attempt(request, sending, self._secrets(request))
        return await sending

    async def _wait_for_connection(self, request: Request, slots: Slots, deadline: float) -> None:
        """Raises ThrottledError after `max_wait`, RequestTimeout at the call's deadline."""
        seconds = self._longest_wait(deadline)
        try:
            await slots.wait(self.options.priority, seconds)
            return
        except TimeoutError:
            pass
        why = f"{request.endpoint}: none of {slots.size:g} connections was free within "
        remedy = (
            "calls under way, or waiting for the rate limit, hold them: run fewer at a time, or "
            "pass a session whose connector has a higher limit"
        )
        if seconds == self.options.max_wait:
            raise ThrottledError(f"{why}{seconds:g} s; {remedy}", retry_after=seconds)
        raise RequestTimeout(f"{why}{seconds:.3g} s, nothing was sent; {remedy}", sent=False)

    def _longest_wait(self, deadline: float) -> float:
        """Return the seconds that a wait may take, infinite where nothing bounds it."""
        left = deadline - asyncio.get_running_loop().time()
        return left if self.options.max_wait is None else min(left, self.options.max_wait)

    def _secrets(self, request: Request) -> Iterator[Secret]:
        """Return what was sent, and must not show where the server echoes it."""
        yield from request.secrets
        yield from self.key.secrets()
        # A short header ("1") would be masked wherever it stands; nothing so short is a credential.
        for value in self.options.headers.values():
            if len(value.reveal()) >= _SHORTEST_CREDENTIAL:
                yield value

    def _emit(self, kind: type[Event], request: Request, attempt: int, **details: Any) -> None:
        if self.emitter is not None:
            self.emitter.emit(kind, request, attempt, **details)


def _is_stale(outcome: Response | TransportError) -> bool:
    return isinstance(outcome, ConnectionLost) and outcome.stale


def _reason(outcome: Response | TransportError) -> str:
    return str(outcome.status) if isinstance(outcome, Response) else type(outcome).__name__
