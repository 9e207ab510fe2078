"""The request loop: limiter -> transport -> observe -> decide -> (wait, again) | answer | error.

It knows statuses and seconds, and never what a request is about. Every attempt pays the limiter.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import random
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from functools import lru_cache
from typing import Any, Final
from weakref import WeakSet

import aiohttp
from attrs import define, evolve, frozen

from . import transport
from .errors import ClientClosedError, TelepathError, ThrottledError, TransportError, UsageError
from .events import Event, RequestStarted, ResponseReceived, RetryScheduled, Throttled
from .limiter import Limiter, Priority
from .protocol.checkpoint import Style
from .protocol.ratelimit import RateLimit, read_rate_limit
from .protocol.refusals import refusal
from .protocol.retry import RetryBudget, RetryPolicy, decide
from .protocol.wire import Request, Response
from .secret import Secret

_SHORTEST_CREDENTIAL: Final = 8
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
        self._calling: set[asyncio.Task[Any]] = set()
        self._cut: WeakSet[asyncio.Task[Any]] = WeakSet()
        self.closed = False
        self.style: Style | None = None

    async def enter(self) -> asyncio.Task[Any]:
        """Note that the current task makes a call, and return it. Raises ClientClosedError, or UsageError on a second loop."""
        if self.closed:
            raise ClientClosedError("this client is closed; open a new one, or keep its `async with` block open longer")
        loop = asyncio.get_running_loop()
        if self._loop is not loop or self._process != os.getpid():
            await self._move_to(loop)
        task = asyncio.current_task()
        if task is None:
            raise UsageError("a call must be awaited inside a task; use asyncio.run(...) or your framework's handlers")
        self._calling.add(task)
        return task

    def leave(self, task: asyncio.Task[Any]) -> None:
        """The task's call is over."""
        self._calling.discard(task)

    def has_cut(self, task: asyncio.Task[Any], cancelled_before: int) -> bool:
        """Whether a cancellation of the task came from `aclose` alone; the caller's own cancellation always wins."""
        if task not in self._cut:
            return False
        self._cut.discard(task)
        return task.uncancel() <= cancelled_before

    async def _move_to(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is not None and (self._theirs or not self._loop.is_closed()):
            # In a forked child, the parent's loop and its connections look as if they were the child's own.
            raise UsageError(
                "this client (or the session passed in) belongs to another event loop; make one for each loop, and in a child "
                "that was forked while it was in use"
            )
        left, self._session, self._loop, self._process = self._session, None, loop, os.getpid()
        self._calling.clear()
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
            self._calling.clear()
        elif self._loop is not None and (self._loop is not loop or self._process != os.getpid()):
            await self._move_to(loop)
        self.closed = True
        for task in self._calling.difference(self._cut):
            self._cut.add(task)
            task.cancel()
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

    async def send(self, request: Request) -> Response:
        """Return the answer, always 2xx. Raises what the table in `errors` names."""
        task = await self.pool.enter()
        cancelled_before = task.cancelling()
        try:
            return await self._attempts(request)
        except asyncio.CancelledError:
            if not self.pool.has_cut(task, cancelled_before):
                raise
        finally:
            self.pool.leave(task)
        raise ClientClosedError(
            f"the client was closed while {request.endpoint} was under way; whether it arrived is unknown", sent=True
        )

    async def _attempts(self, request: Request) -> Response:
        options, account = self.options, self._account
        clock = asyncio.get_running_loop().time
        deadline = math.inf if options.timeout is None else clock() + options.timeout
        outcome: Response | TelepathError | None = None
        attempt = 0
        while True:
            attempt += 1
            try:
                waited = await account.limiter.acquire(
                    priority=options.priority, max_wait=_least(options.max_wait, deadline - clock())
                )
            except ThrottledError as error:
                outcome = error if outcome is None else outcome
                break
            if waited:
                self._tell(Throttled, request, attempt, seconds=waited)
            session = await self.pool.session()
            self._tell(RequestStarted, request, attempt)
            began = clock()
            result: Response | TransportError
            try:
                result = await transport.send(
                    session,
                    account.origin,
                    request,
                    headers=self._headers,
                    timeout=_least(options.attempt_timeout, deadline - began),
                )
            except TransportError as error:
                result = error
            else:
                account.observe(result.headers)
                self._tell(ResponseReceived, request, attempt, status=result.status, seconds=clock() - began)
                if 200 <= result.status < 300:
                    account.budget.give_back()
                    return result
            if outcome is None or isinstance(result, Response) or result.sent:
                outcome = result  # what reached the server once is not undone by a later attempt that did not
            delay = decide(
                options.retry,
                request,
                result,
                attempt=attempt,
                budget=account.budget,
                time_left=deadline - clock(),
                jitter=random.random(),
                wall_clock=time.time(),
            )
            if delay is None:
                break
            self._tell(RetryScheduled, request, attempt, seconds=delay, reason=_reason(result))
            await asyncio.sleep(delay)
        raise self._error(request, outcome)

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
            self._on_event(kind(method=request.method, template=request.template, attempt=attempt, **details))
        except Exception:  # noqa: BLE001  # a listener's fault must not lose an answer
            _log.exception("on_event failed on %s; the call goes on", kind.__name__)


def _least(bound: float | None, time_left: float) -> float | None:
    """Return the seconds that a wait or an attempt may take: None for no bound, and never 0, which aiohttp takes for none."""
    if bound is not None and bound < time_left:
        return bound
    return None if time_left == math.inf else max(0.001, time_left)


def _reason(outcome: Response | TransportError) -> str:
    return str(outcome.status) if isinstance(outcome, Response) else type(outcome).__name__
