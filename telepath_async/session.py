"""The request loop: limiter -> transport -> observe -> decide -> (wait, again) | answer | error.

It knows statuses and seconds, and never what a request is about. Every attempt pays the limiter.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from functools import lru_cache
from itertools import count
from typing import Any, Final

from attrs import define, evolve, frozen

from . import transport
from .errors import (
    ClientClosedError,
    ConnectionLost,
    RequestTimeout,
    TelepathError,
    ThrottledError,
    TransportError,
)
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
from .pool import Pool, running_loop
from .protocol.checkpoint import Style
from .protocol.messages import Request, Response
from .protocol.ratelimit import RateLimit, read_rate_limit, read_remaining
from .protocol.refusals import refusal, shown_request_id
from .protocol.retry import RetryBudget, RetryPolicy, asked_wait, decide
from .secret import Secret
from .slots import Slots

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
    """One key at one origin: what a family of sessions shares, and the process's one budget."""

    origin: transport.Origin
    limiter: Limiter
    budget: RetryBudget
    limit_headers: Mapping[str, str] | None = None
    paging_style: Style | None = None  # once a list has shown it

    def observe(self, response: Response) -> None:
        """Learn from an answer: its headers, and how long a 429 asks everybody to wait."""
        headers = response.headers
        self.limiter.observe(headers)
        if response.status == 429:
            wait = asked_wait(response, wall_clock=time.time())
            pause = getattr(self.limiter, "pause", None)
            if wait and pause is not None:
                pause(wait)
        if "X-RateLimit-Remaining" in headers or "X-RateLimit-Limit" in headers:
            self.limit_headers = headers


@lru_cache(maxsize=1024)
def shared_budget(account_id: str) -> RetryBudget:
    """Return the process's one retry budget of this account, of the latest 1,024."""
    return RetryBudget()


class Session:
    """Sends requests for one account, with the options of one client."""

    def __init__(
        self,
        *,
        pool: Pool,
        account: Account,
        options: Options,
        on_event: Callable[[Event], object] | None,
    ) -> None:
        self.pool = pool
        self.options = options
        self._account = account
        self._on_event = on_event
        self._headers = account.origin.headers(options.headers)

    @property
    def base_url(self) -> str:
        """Where requests go."""
        return self._account.origin.base_url

    @property
    def paging_style(self) -> Style | None:
        """How this server pages, once a list has shown it."""
        return self._account.paging_style

    @paging_style.setter
    def paging_style(self, style: Style) -> None:
        self._account.paging_style = style

    def with_options(self, **changes: Any) -> Session:
        """Return a session with other options that shares all else."""
        return Session(
            pool=self.pool,
            account=self._account,
            options=evolve(self.options, **changes),
            on_event=self._on_event,
        )

    def now(self) -> float:
        """Return the running loop's time. Raises UsageError where none is running."""
        return running_loop().time()

    def time_left(self, began: float) -> float | None:
        """Return the seconds that are left of a call that began then; None = no bound."""
        timeout = self.options.timeout
        return None if timeout is None else timeout - (self.now() - began)

    def pay_for_more(self) -> bool:
        """Pay for one more request after a failure; False when the retry budget is empty."""
        return self._account.budget.take(self.options.retry)

    def send(self, request: Request) -> Coroutine[Any, Any, Response]:
        """Return the answer, always 2xx. Raises what the table in `errors` names."""
        request.attempts, request.unsent = 0, True
        return self._send(request) if self._on_event is None else self._send_and_tell(request)

    async def _send_and_tell(self, request: Request) -> Response:
        """Send, and tell of the call's beginning and of its end, whatever that is."""
        clock = running_loop().time
        began = clock()
        request.call = next(_call_numbers)
        self._tell(CallStarted, request, 0, base_url=self.base_url)
        try:
            response = await self._send(request)
        except BaseException as error:
            status, name = getattr(error, "status", None), type(error).__name__
            self._tell(
                CallEnded,
                request,
                request.attempts,
                seconds=clock() - began,
                status=status,
                error=name,
            )
            raise
        self._tell(
            CallEnded,
            request,
            request.attempts,
            seconds=clock() - began,
            status=response.status,
            error=None,
        )
        return response

    async def _send(self, request: Request) -> Response:
        task = self.pool.enter()
        cancelled_before = task.cancelling()
        try:
            return await self._attempts(request)
        except asyncio.CancelledError:
            if not self.pool.has_cut(task, cancelled_before):
                raise
        finally:
            self.pool.leave(task)
        raise ClientClosedError(
            f"the client was closed while {request.endpoint} was under way; whether it "
            "arrived is unknown",
            sent=True,
        )

    async def _attempts(self, request: Request) -> Response:
        options, account = self.options, self._account
        clock = asyncio.get_running_loop().time
        deadline = math.inf if options.timeout is None else clock() + options.timeout
        outcome: Response | TelepathError | None = None
        result: Response | TransportError
        resent = 0
        while True:
            attempt = request.attempts + 1
            slots, priority = self.pool.slots, options.priority
            try:
                if not slots.take(priority):
                    await self._wait_for_connection(request, slots, deadline)
                try:
                    waited = await account.limiter.acquire(
                        priority=priority, max_wait=_least(options.max_wait, deadline - clock())
                    )
                    if waited:
                        self._tell(Throttled, request, attempt, seconds=waited)
                    request.attempts = attempt
                    request.unsent = False
                    http = self.pool.http or await self.pool.open()
                    sending = transport.send(
                        http,
                        account.origin,
                        request,
                        headers=self._headers,
                        timeout=options.attempt_timeout,
                        until=deadline,
                    )
                    result = await (
                        sending if self._on_event is None else self._told(request, sending)
                    )
                finally:
                    slots.release(priority)
            except ThrottledError as error:
                outcome = error if outcome is None else outcome
                break
            except TransportError as error:
                result = error
            else:
                account.observe(result)
                if 200 <= result.status < 300:
                    account.budget.give_back()
                    return result
            if outcome is None or isinstance(result, Response) or result.sent:
                # what reached the server once is not undone by a later attempt that did not
                outcome = result
            if request.repeatable and not resent and _is_stale(result):
                # No outage: the server closed an idle connection, as servers do. So it costs no
                # budget, once.
                resent = 1
                self._tell(RetryScheduled, request, attempt, seconds=0.0, reason=_reason(result))
                continue
            delay = decide(
                options.retry,
                request,
                result,
                attempt=attempt - resent,
                budget=account.budget,
                time_left=deadline - clock(),
                jitter=random.random(),
                wall_clock=time.time(),
            )
            if delay is None or request.withdrawn:
                break
            request.unsent = True  # what is not repeatable is tried again only if nothing happened
            self._tell(RetryScheduled, request, attempt, seconds=delay, reason=_reason(result))
            await asyncio.sleep(delay)
        raise self._error(request, outcome)

    async def _wait_for_connection(self, request: Request, slots: Slots, deadline: float) -> None:
        """Raises ThrottledError after `max_wait`, RequestTimeout at the call's deadline."""
        left = deadline - asyncio.get_running_loop().time()
        seconds = min(left, math.inf if self.options.max_wait is None else self.options.max_wait)
        try:
            await slots.wait(self.options.priority, seconds)
            return
        except TimeoutError:
            pass
        why = f"{request.endpoint}: none of {slots.size:g} connections was free within "
        remedy = "run fewer calls at a time, or pass a session whose connector has a higher limit"
        if seconds < left:
            raise ThrottledError(f"{why}{seconds:g} s; {remedy}", retry_after=seconds)
        raise RequestTimeout(f"{why}{seconds:.3g} s, nothing was sent; {remedy}", sent=False)

    async def _told(self, request: Request, sending: Coroutine[Any, Any, Response]) -> Response:
        """Await an attempt, and tell of its beginning and of its end, whatever that is."""
        clock = asyncio.get_running_loop().time
        self._tell(RequestStarted, request, request.attempts)
        began = clock()
        try:
            response = await sending
        except BaseException as error:
            self._tell(
                RequestFailed,
                request,
                request.attempts,
                seconds=clock() - began,
                error=type(error).__name__,
            )
            raise
        left, seconds = read_remaining(response.headers), clock() - began
        self._tell(
            ResponseReceived,
            request,
            request.attempts,
            status=response.status,
            seconds=seconds,
            remaining=left,
            request_id=shown_request_id(response, secrets=self._secrets(request)),
        )
        return response

    @property
    def rate_limit(self) -> RateLimit | None:
        """What the last answer that spoke of the rate limit said."""
        headers = self._account.limit_headers
        return None if headers is None else read_rate_limit(headers)

    def _error(self, request: Request, outcome: Response | TelepathError | None) -> TelepathError:
        if isinstance(outcome, Response):
            return refusal(outcome, secrets=self._secrets(request), wall_clock=time.time())
        assert outcome is not None
        return outcome

    def _secrets(self, request: Request) -> Iterator[Secret]:
        """Return what was sent, and must not show where the server echoes it."""
        yield from request.secrets
        yield from self._account.origin.secrets()
        # A short header ("1") would be masked wherever it stands; nothing so short is a credential.
        for value in self.options.headers.values():
            if len(value.reveal()) >= _SHORTEST_CREDENTIAL:
                yield value

    def _tell(self, kind: type[Event], request: Request, attempt: int, **details: Any) -> None:
        if self._on_event is None:
            return
        try:
            self._on_event(
                kind(
                    method=request.method,
                    template=request.template,
                    call=request.call,
                    attempt=attempt,
                    **details,
                )
            )
        except Exception:  # noqa: BLE001  # a listener's fault must not lose an answer
            _log.exception("on_event failed on %s; the call goes on", kind.__name__)


def _least(bound: float | None, time_left: float) -> float | None:
    """Return the seconds that a wait may take; None = no bound."""
    if bound is not None and bound < time_left:
        return bound
    return None if time_left == math.inf else max(0.0, time_left)


def _is_stale(outcome: Response | TransportError) -> bool:
    return isinstance(outcome, ConnectionLost) and outcome.stale


def _reason(outcome: Response | TransportError) -> str:
    return str(outcome.status) if isinstance(outcome, Response) else type(outcome).__name__
