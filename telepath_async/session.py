"""The request loop: limiter -> transport -> observe -> decide -> (wait, again) | answer | error.

It knows statuses and seconds, and never what a request is about. Every attempt pays the limiter.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from functools import lru_cache
from itertools import count
from typing import Any, Final

import aiohttp
from attrs import define, evolve, frozen

from . import transport
from .errors import ClientClosedError, TelepathError, ThrottledError, TransportError, UsageError
from .events import (
    CallEnded,
    CallStarted,
    Event,
    RequestFailed,
    RequestStarted,
    ResponseReceived,
    RetryScheduled,
    Throttled,
)
from .limiter import Limiter, Priority
from .protocol.checkpoint import Style
from .protocol.ratelimit import RateLimit, read_rate_limit, read_remaining
from .protocol.refusals import refusal
from .protocol.retry import RetryBudget, RetryPolicy, decide
from .protocol.wire import Request, Response
from .secret import Secret

_SHORTEST_CREDENTIAL: Final = 8
_call_numbers: Final = count(1)
_log: Final = logging.getLogger("telepath_async")


@frozen(kw_only=True)
class Options:
    """How a call is made. Times in seconds; None = no bound."""

    timeout: float | None
    attempt_timeout: float | None
    retry: RetryPolicy
    max_wait: float | None = None
    priority: Priority = "interactive"
    headers: Mapping[str, Secret] = {}


@define(eq=False, kw_only=True)
class Account:
    """One key at one origin, and what all sessions of a family share there; the budget, what all of the process do."""

    origin: transport.Origin
    limiter: Limiter
    budget: RetryBudget
    limit_headers: Mapping[str, str] | None = None

    def observe(self, headers: Mapping[str, str]) -> None:
        """Learn from the headers of an answer."""
        self.limiter.observe(headers)
        if "X-RateLimit-Remaining" in headers or "X-RateLimit-Limit" in headers:
            self.limit_headers = headers


@define(eq=False)
class _Call:
    """A call under way: its task, how often that was cancelled before, and whether `aclose` has cut it off."""

    task: asyncio.Task[Any]
    cancelled_before: int
    cut: bool = False

    def was_cut(self) -> bool:
        """Whether a cancellation came from `aclose` alone; the caller's own cancellation always wins."""
        return self.cut and self.task.uncancel() <= self.cancelled_before


@lru_cache(maxsize=1024)
def shared_budget(account_id: str) -> RetryBudget:
    """Return the process's one retry budget of the account with this hash, of the 1,024 that were asked for last."""
    return RetryBudget()


class Pool:
    """What all clients of a family share: the aiohttp session and its loop, and the calls that are under way.

    The session opens at the first call. `style`: how this server pages, once a list has shown it.
    """

    def __init__(self, session: aiohttp.ClientSession | None) -> None:
        self._session = session
        self._theirs = session is not None
        self._holder: AsyncGenerator[aiohttp.ClientSession] | None = None
        self._loop = None if session is None else transport.loop_of(session)
        self._process = os.getpid()
        self._calls: set[_Call] = set()
        self.closed = False
        self.style: Style | None = None

    async def enter(self) -> _Call:
        """Note that the current task makes a call. Raises ClientClosedError, or UsageError on a second loop."""
        if self.closed:
            raise ClientClosedError("this client is closed; open a new one, or keep its `async with` block open longer")
        loop = asyncio.get_running_loop()
        if self._loop is not loop or self._process != os.getpid():
            await self._move_to(loop)
        task = asyncio.current_task()
        if task is None:
            raise UsageError("a call must be awaited inside a task; use asyncio.run(...) or your framework's handlers")
        call = _Call(task, task.cancelling())
        self._calls.add(call)
        return call

    def leave(self, call: _Call) -> None:
        """The call is over."""
        self._calls.discard(call)

    async def _move_to(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is not None and (self._theirs or not self._loop.is_closed()):
            # In a forked child, the parent's loop and its connections look as if they were the child's own.
            raise UsageError(
                "this client (or the session passed in) belongs to another event loop; make one for each loop, and in a child "
                "that was forked while it was in use"
            )
        left, self._session, self._loop, self._process = self._session, None, loop, os.getpid()
        self._calls.clear()
        if left is not None and not left.closed:
            await transport.abandon(left)

    async def session(self) -> aiohttp.ClientSession:
        """Return the open session. Raises ClientClosedError, or UsageError when the caller's own is closed."""
        if self.closed:
            raise ClientClosedError("this client was closed while a call was under way")
        if self._session is None or self._session.closed:
            if self._theirs:
                raise UsageError("the aiohttp session that was passed in is closed; keep it open as long as the client is used")
            self._holder = transport.hold_open()
            self._session = await anext(self._holder)
        return self._session

    async def aclose(self) -> None:
        """Cut off the calls under way and close the session, unless it is the caller's. Raises UsageError on a second loop."""
        loop = asyncio.get_running_loop()
        if self._theirs and self._loop is not None and self._loop.is_closed():
            self._calls.clear()
        elif self._loop is not None and (self._loop is not loop or self._process != os.getpid()):
            await self._move_to(loop)
        self.closed = True
        for call in self._calls:
            if not call.cut:
                call.cut = True
                call.task.cancel()
        session, self._session = self._session, None
        if session is None or self._holder is None:
            return
        # A loop that shuts down closes the holder too, and a generator cannot be closed twice at the same time.
        await session.close()
        with contextlib.suppress(RuntimeError):
            await self._holder.aclose()


class Session:
    """Sends requests for one account, with the options of one client."""

    def __init__(self, *, pool: Pool, account: Account, options: Options, on_event: Callable[[Event], object] | None) -> None:
        self.pool = pool
        self.options = options
        self._account = account
        self._on_event = on_event
        self._headers = account.origin.headers(options.headers)

    @property
    def base_url(self) -> str:
        """Where requests go."""
        return self._account.origin.base_url

    def with_options(self, **changes: Any) -> Session:
        """Return a session with other options that shares all else."""
        return Session(pool=self.pool, account=self._account, options=evolve(self.options, **changes), on_event=self._on_event)

    def pay_for_more(self) -> bool:
        """Take the price of one more request after a failure out of the retry budget; False when it is empty."""
        return self._account.budget.take(self.options.retry)

    def send(self, request: Request) -> Coroutine[Any, Any, Response]:
        """Return the answer, always 2xx. Raises what the table in `errors` names."""
        return self._send(request) if self._on_event is None else self._send_and_tell(request)

    async def _send_and_tell(self, request: Request) -> Response:
        """Send, and tell of the call's beginning and of its end, whatever that is."""
        clock = asyncio.get_running_loop().time
        began = clock()
        request.call, request.attempts = next(_call_numbers), 0
        self._tell(CallStarted, request, 0, base_url=self.base_url)
        try:
            response = await self._send(request)
        except BaseException as error:
            status, name = getattr(error, "status", None), type(error).__name__
            self._tell(CallEnded, request, request.attempts, seconds=clock() - began, status=status, error=name)
            raise
        self._tell(CallEnded, request, request.attempts, seconds=clock() - began, status=response.status, error=None)
        return response

    async def _send(self, request: Request) -> Response:
        call = await self.pool.enter()
        try:
            return await self._attempts(request)
        except asyncio.CancelledError:
            if not call.was_cut():
                raise
        finally:
            self.pool.leave(call)
        raise ClientClosedError(
            f"the client was closed while {request.endpoint} was under way; whether it arrived is unknown", sent=True
        )

    async def _attempts(self, request: Request) -> Response:
        clock = asyncio.get_running_loop().time
        deadline = None if self.options.timeout is None else clock() + self.options.timeout
        outcome: Response | TelepathError | None = None
        attempt = 0
        while True:
            attempt += 1
            refused = await self._wait_for_place(request, attempt, deadline)
            if refused is not None:
                outcome = refused if outcome is None else outcome
                break
            result = await self._attempt(request, attempt, deadline)
            if isinstance(result, Response) and 200 <= result.status < 300:
                self._account.budget.give_back()
                return result
            if outcome is None or isinstance(result, Response) or result.sent:
                outcome = result  # what reached the server once is not undone by a later attempt that did not
            delay = decide(
                self.options.retry,
                request,
                result,
                attempt=attempt,
                budget=self._account.budget,
                time_left=None if deadline is None else deadline - clock(),
                jitter=random.random(),
                wall_clock=time.time(),
            )
            if delay is None:
                break
            self._tell(RetryScheduled, request, attempt, seconds=delay, reason=_reason(result))
            await asyncio.sleep(delay)
        raise self._error(request, outcome)

    async def _wait_for_place(self, request: Request, attempt: int, deadline: float | None) -> TelepathError | None:
        """Wait for the limiter; return its error when that would take, or took, too long."""
        time_left = None if deadline is None else max(0.0, deadline - asyncio.get_running_loop().time())
        bounds = [bound for bound in (self.options.max_wait, time_left) if bound is not None]
        try:
            waited = await self._account.limiter.acquire(priority=self.options.priority, max_wait=min(bounds, default=None))
        except ThrottledError as error:
            return error
        if waited:
            self._tell(Throttled, request, attempt, seconds=waited)
        return None

    async def _attempt(self, request: Request, attempt: int, deadline: float | None) -> Response | TransportError:
        session = await self.pool.session()
        clock = asyncio.get_running_loop().time
        began = clock()
        request.attempts = attempt
        self._tell(RequestStarted, request, attempt)
        try:
            response = await transport.send(
                session,
                self._account.origin,
                request,
                headers=self._headers,
                timeout=self._attempt_time(began, deadline),
            )
        except BaseException as error:
            self._tell(RequestFailed, request, attempt, seconds=clock() - began, error=type(error).__name__)
            if isinstance(error, TransportError):
                return error
            raise
        if self._on_event is not None:
            left = read_remaining(response.headers)
            self._tell(ResponseReceived, request, attempt, status=response.status, seconds=clock() - began, remaining=left)
        self._account.observe(response.headers)
        return response

    def _attempt_time(self, began: float, deadline: float | None) -> float | None:
        if deadline is None:
            return self.options.attempt_timeout
        # aiohttp takes 0 for "no bound".
        time_left = max(0.001, deadline - began)
        return time_left if self.options.attempt_timeout is None else min(time_left, self.options.attempt_timeout)

    @property
    def rate_limit(self) -> RateLimit | None:
        """What the last answer that spoke of the rate limit said."""
        headers = self._account.limit_headers
        return None if headers is None else read_rate_limit(headers)

    def _error(self, request: Request, outcome: Response | TelepathError | None) -> TelepathError:
        if isinstance(outcome, Response):
            # A short header ("1") would be masked wherever it stands; nothing so short is a credential.
            headers = (value for value in self.options.headers.values() if len(value.reveal()) >= _SHORTEST_CREDENTIAL)
            secrets = (*request.secrets, *self._account.origin.secrets(), *headers)
            return refusal(outcome, secrets=secrets, wall_clock=time.time())
        assert outcome is not None
        return outcome

    def _tell(self, kind: type[Event], request: Request, attempt: int, **details: Any) -> None:
        if self._on_event is None:
            return
        try:
            event = kind(method=request.method, template=request.template, call=request.call, attempt=attempt, **details)
            self._on_event(event)
        except Exception:  # noqa: BLE001  # a listener's fault must not lose an answer
            _log.exception("on_event failed on %s; the call goes on", kind.__name__)


def _reason(outcome: Response | TransportError) -> str:
    return str(outcome.status) if isinstance(outcome, Response) else type(outcome).__name__
