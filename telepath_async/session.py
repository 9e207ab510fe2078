"""The request loop: limiter -> transport -> observe -> decide -> (wait, again) | answer | error.

It knows statuses and seconds, and never what a request is about. Every attempt pays the limiter.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import aiohttp
from attrs import evolve, frozen

from . import transport
from .errors import ClientClosedError, TelepathError, ThrottledError, TransportError, UsageError
from .events import Event, RequestStarted, ResponseReceived, RetryScheduled, Throttled
from .limiter import Limiter, Priority
from .protocol.checkpoint import Style
from .protocol.ratelimit import RateLimit, read_rate_limit
from .protocol.refusals import refusal
from .protocol.retry import RetryBudget, RetryPolicy, decide
from .protocol.wire import Request, Response

_log: Final = logging.getLogger("telepath_async")


@frozen(kw_only=True)
class Options:
    """How a call is made. Times in seconds; None = no bound."""

    timeout: float | None
    attempt_timeout: float | None
    retry: RetryPolicy
    max_wait: float | None = None
    priority: Priority = "interactive"
    headers: Mapping[str, str] = {}


class Pool:
    """What all clients of a family share: the aiohttp session and its loop, and the calls that are under way.

    The session opens at the first call. `style`: how this server pages, once a list has shown it.
    """

    def __init__(self, session: aiohttp.ClientSession | None) -> None:
        self._session = session
        self._theirs = session is not None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._calls: dict[asyncio.Task[Any], int] = {}
        self._cut: set[asyncio.Task[Any]] = set()
        self.closed = False
        self.style: Style | None = None

    def session(self) -> aiohttp.ClientSession:
        """Return the open session of the running loop. Raises UsageError on a second loop, or on a closed session."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._move_to(loop)
        if self._session is None:
            self._session = transport.open_session()
        if self._session.closed:
            raise UsageError("the aiohttp session that was passed in is closed; keep it open as long as the client is used")
        return self._session

    def _move_to(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is not None:
            if not self._loop.is_closed() or self._theirs:
                raise UsageError("this client belongs to another event loop; make one client for each loop")
            assert self._session is not None
            transport.abandon(self._session)
            self._session = None
        self._loop = loop

    def enter(self) -> asyncio.Task[Any]:
        """Note that the current task makes a call. Raises ClientClosedError."""
        if self.closed:
            raise ClientClosedError("this client is closed; open a new one, or keep its `async with` block open longer")
        task = asyncio.current_task()
        if task is None:
            raise UsageError("a call must be awaited inside a task; use asyncio.run(...) or your framework's handlers")
        self._calls[task] = task.cancelling()
        return task

    def leave(self, task: asyncio.Task[Any]) -> None:
        """The task's call is over."""
        self._calls.pop(task, None)
        self._cut.discard(task)

    def was_cut(self, task: asyncio.Task[Any]) -> bool:
        """Whether a cancellation of the task came from `aclose` alone; the caller's own cancellation always wins."""
        return task in self._cut and task.uncancel() <= self._calls[task]

    async def aclose(self) -> None:
        """Cut off the calls under way and close the session, unless it is the caller's."""
        self.closed = True
        for task in self._calls.keys() - self._cut:
            self._cut.add(task)
            task.cancel()
        session, self._session = self._session, None
        if session is None or self._theirs:
            return
        if self._loop is not None and self._loop.is_closed():
            transport.abandon(session)
        else:
            await session.close()


class Session:
    """Sends requests to one origin under its limiter and its retry budget."""

    def __init__(
        self,
        *,
        pool: Pool,
        origin: transport.Origin,
        limiter: Limiter,
        options: Options,
        budget: RetryBudget,
        on_event: Callable[[Event], object] | None,
    ) -> None:
        self.pool = pool
        self.options = options
        self._origin = origin
        self._limiter = limiter
        self._budget = budget
        self._on_event = on_event
        self._headers_with_limits: Mapping[str, str] | None = None

    @property
    def base_url(self) -> str:
        """Where requests go."""
        return self._origin.base_url

    def with_options(self, **changes: Any) -> Session:
        """Return a session with other options that shares all else."""
        return Session(
            pool=self.pool,
            origin=self._origin,
            limiter=self._limiter,
            options=evolve(self.options, **changes),
            budget=self._budget,
            on_event=self._on_event,
        )

    async def send(self, request: Request) -> Response:
        """Return the answer, always 2xx. Raises what the table in `errors` names."""
        task = self.pool.enter()
        try:
            return await self._attempts(request)
        except asyncio.CancelledError:
            if not self.pool.was_cut(task):
                raise
        finally:
            self.pool.leave(task)
        raise ClientClosedError(f"the client was closed while {request.endpoint} was under way; whether it arrived is unknown")

    async def _attempts(self, request: Request) -> Response:
        clock = asyncio.get_running_loop().time
        deadline = None if self.options.timeout is None else clock() + self.options.timeout
        outcome: Response | TransportError | None = None
        attempt = 1
        while await self._has_place(request, attempt, deadline, first=outcome is None):
            outcome = await self._attempt(request, attempt, deadline)
            if isinstance(outcome, Response) and 200 <= outcome.status < 300:
                self._budget.give_back()
                return outcome
            delay = decide(
                self.options.retry,
                request,
                outcome,
                attempt=attempt,
                budget=self._budget,
                time_left=None if deadline is None else deadline - clock(),
                jitter=random.random(),
                wall_clock=time.time(),
            )
            if delay is None:
                break
            self._tell(RetryScheduled, request, attempt, seconds=delay, reason=_reason(outcome))
            await asyncio.sleep(delay)
            attempt += 1
        raise self._error(request, outcome)

    async def _has_place(self, request: Request, attempt: int, deadline: float | None, *, first: bool) -> bool:
        """Wait for the limiter. A wait that is too long raises ThrottledError, or ends the retries where there was an answer."""
        time_left = None if deadline is None else deadline - asyncio.get_running_loop().time()
        bounds = [bound for bound in (self.options.max_wait, time_left) if bound is not None]
        try:
            waited = await self._limiter.acquire(
                priority=self.options.priority, max_wait=max(0.0, min(bounds)) if bounds else None
            )
        except ThrottledError:
            if first:
                raise
            return False
        if waited:
            self._tell(Throttled, request, attempt, seconds=waited)
        return True

    async def _attempt(self, request: Request, attempt: int, deadline: float | None) -> Response | TransportError:
        session = self.pool.session()
        clock = asyncio.get_running_loop().time
        began = clock()
        self._tell(RequestStarted, request, attempt)
        try:
            response = await transport.send(
                session, self._origin, request, headers=self.options.headers, timeout=self._attempt_time(began, deadline)
            )
        except TransportError as error:
            return error
        self._observe(response)
        self._tell(ResponseReceived, request, attempt, status=response.status, seconds=clock() - began)
        return response

    def _attempt_time(self, began: float, deadline: float | None) -> float | None:
        if deadline is None:
            return self.options.attempt_timeout
        # aiohttp takes 0 for "no bound".
        time_left = max(0.001, deadline - began)
        return time_left if self.options.attempt_timeout is None else min(time_left, self.options.attempt_timeout)

    def _observe(self, response: Response) -> None:
        self._limiter.observe(response.headers)
        if "X-RateLimit-Remaining" in response.headers or "X-RateLimit-Limit" in response.headers:
            self._headers_with_limits = response.headers

    @property
    def rate_limit(self) -> RateLimit | None:
        """What the last answer that spoke of the rate limit said."""
        return None if self._headers_with_limits is None else read_rate_limit(self._headers_with_limits)

    def _error(self, request: Request, outcome: Response | TransportError | None) -> TelepathError:
        if isinstance(outcome, Response):
            return refusal(outcome, secrets=(*request.secrets, self._origin.api_key), wall_clock=time.time())
        assert outcome is not None
        return outcome

    def _tell(self, kind: type[Event], request: Request, attempt: int, **details: Any) -> None:
        if self._on_event is None:
            return
        try:
            self._on_event(kind(method=request.method, template=request.template, attempt=attempt, **details))
        except Exception:  # a listener's fault must not lose an answer
            _log.exception("on_event failed on %s; the call goes on", kind.__name__)


def _reason(outcome: Response | TransportError) -> str:
    return str(outcome.status) if isinstance(outcome, Response) else type(outcome).__name__
