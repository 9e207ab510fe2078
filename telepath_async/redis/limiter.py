"""`RedisLimiter`: who waits for a permit. Counting is in member.py and bucket.lua, the exchange
with Redis in syncing.py.

Why no sliding window holds more than `limit`, whatever fails. Let E = `expected_processes`, B =
`burst`, and r = (limit - B) / period. All tokens are in one of three places:

- C: in the bucket in Redis, ready to be handed out;
- O: on leases: handed out, and not yet known there to be used, returned, or void;
- in the local share of a limiter that has lost Redis: at most B / E, growing by r / E a second from
  nothing.

Redis has requests of h limiters, and counts k as being on their local shares. It keeps C + O <= B *
(E - k) / E, and C grows by r * (E - k) / E a second. So all places together hold at most B, and
grow by at most r a second: a window that begins with at most B lets at most B + r * period = limit
through. Using a token, returning one and handing one out make none. A lease is not void in Redis
before it is in the process, which counts from before it sent the request; nothing there depends on
two clocks, only on their speed. Killing a process loses its tokens. What is left to show is that k
is never too small:

- A limiter falls back to its local share only when no request of its own can have been carried out
  for LEASE seconds, and Redis counts it as degraded from there on: for ten periods, unless it left;
  the limiters that a lost state knew are remembered by each other. A request that was on the way
  for longer than its sender waited for the reply is refused, by a time that the sender sets on
  Redis's clock; so is all that a stopped server finds when it goes on. A limiter whose requests
  time out again and again sends nothing until it may fall back; a request that Redis refused was
  not carried out.
- After an outage, Redis cannot know which limiters fell back. None did that did not see it fail for
  longer than LEASE, and then no request of another was carried out either: after such an outage,
  all that send nothing count as degraded for SETTLE seconds, and those that are degraded try again
  every second. That is also what happens when a fresh bucket begins, which may be one that was
  lost: it holds nothing, and nothing flows into it until all leases of the lost one are void. A
  state that is older than what a limiter has seen of it (a failover, an old dump), or a clock that
  was set forward, begins in the same way.

What this cannot hold: more than E limiters without Redis (each event loop's limiter counts); one
that alone loses Redis when Redis does not know it, or has forgotten it, while others still reach
it; a process that is stopped between taking a token and sending. There the API's own headers are
the safety net: a window that they show as used up stops everybody.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from types import TracebackType
from typing import Final, Self, final
from uuid import uuid4

from telepath_async import Secret, ThrottledError, UsageError
from telepath_async.checks import Priority, check_priority, check_type
from telepath_async.protocol.ratelimit import read_rate_limit
from telepath_async.protocol.redaction import as_secret

from .member import Member, State
from .queue import Queue, Waiter
from .server import Server
from .shares import Shares, check
from .syncing import SyncTask

_REMEDY: Final = "send fewer requests at a time, or raise max_wait or timeout"
_MIN_DELAY: Final = 0.001  # loops count in milliseconds
_log: Final = logging.getLogger("telepath_async")


class RedisLimiter:
    """Keeps all processes and hosts that use one API key under `limit` in every `period` seconds,
    wherever they begin.

        async with RedisLimiter("redis://localhost") as limiter:
            telepath = TelepathClient(limiter=limiter)

    `limit`: requests a period, for all together; `period`: seconds; `burst`: requests at once, for
    all together, None = 2 % of the limit, at least one for each process; `expected_processes`: how
    many limiters there are at most when Redis is away. Each then goes on under limit /
    expected_processes, after a pause of 1.5 s, and comes back by itself. `on_state` is called with
    "local" and "shared" at these moments; the first is logged as a warning, too.

    The limit of the process that was started last counts; where `period` is 60, `X-RateLimit-Limit`
    replaces it. The other headers slow all processes down. Interactive waiters go before bulk ones,
    in each process in the order of their coming, and between processes as far as those in Redis are
    known to wait: a few tenths of a second late.

    It serves any number of clients of one key on one event loop; take one for each loop. Close it
    after the clients.

    Raises:
        UsageError: a figure or the URL makes no sense.
    """

    def __init__(
        self,
        url: str | Secret,
        *,
        limit: int = 6000,
        period: float = 60.0,
        burst: int | None = None,
        expected_processes: int = 4,
        on_state: Callable[[State], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        url = check_type("url", as_secret(url), Secret)
        check(limit, period, burst, expected_processes)
        shares = Shares(limit, float(period), burst, expected_processes)
        self._member = Member(uuid4().hex[:12], shares)
        self._queue = Queue()
        self._clock = clock
        self._sync = SyncTask(
            Server(url), self._member, self._queue, clock=clock, on_synced=self._serve
        )
        self._notifier = _StateNotifier(on_state)
        self._key_id: str | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        if self._closed or self._loop is not None:
            raise UsageError("this RedisLimiter was opened before; make a new one")
        self._loop = asyncio.get_running_loop()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Refuse all who wait, return what Redis has lent, and close. Twice is fine.

        Raises UsageError on another loop.
        """
        if self._loop is not None:
            self._check_loop()
        if self._closed:
            return
        self._closed = True
        while (waiter := self._queue.first()) is not None:
            self._queue.leave(waiter)
            _resolve(
                waiter,
                UsageError(
                    "this RedisLimiter was closed while a call waited; close it after the clients"
                ),
            )
        self._cancel_timer()
        await self._sync.aclose()

    @property
    def state(self) -> State:
        """Where tokens come from: "shared" (the bucket in Redis) or "local" (our share)."""
        return self._member.state

    @property
    def waiting(self) -> int:
        """How many callers wait for a permit."""
        return len(self._queue)

    @property
    def in_hand(self) -> int:
        """How many permits Redis has lent: the next calls take them without a wait."""
        return self._member.in_hand

    @property
    def limit(self) -> int:
        """The requests a period that all processes together may send now, as last learned."""
        return self._member.shares.limit

    def bind(self, key_id: str) -> None:
        """Serve the API key with this hash. Raises UsageError for a second key."""
        if self._key_id not in (None, key_id):
            raise UsageError("this RedisLimiter serves another API key; make one for each key")
        self._key_id = key_id
        # Hashed again, for those who pass in the key itself.
        digest = sha256(key_id.encode()).hexdigest()[:32]
        self._sync.key = f"telepath:limiter:{digest}:{self._member.shares.period:g}"

    async def acquire(
        self, *, priority: Priority = "interactive", max_wait: float | None = None
    ) -> float:
        """Wait for a permit, and return the seconds waited: 0.0, without yielding to the loop, when
        one is in hand.

        A first call needs a reply from Redis, a millisecond or two; the very first of a key a
        second and more, as nobody knows what was used before. With a `max_wait` below that it is
        refused.

        Raises:
            ThrottledError: the permit would come later than `max_wait` seconds from now, or did not
            come by then. UsageError: no such priority; not open, not bound, closed, or on another
            loop than where it was opened.
        """
        if priority != "interactive" and priority != "bulk":
            check_priority(priority)
        self._check_open()
        now = self._clock()
        if not self._queue and self._member.take(now):
            self._sync.schedule(now)
            return 0.0
        if max_wait is not None:
            wait = self._member.least_wait(self._queue.ahead(priority), now)
            if not wait <= max_wait:
                raise ThrottledError(
                    f"no permit within {max_wait:g} s: the next is in {wait:.3f} s or more; "
                    f"{_REMEDY}",
                    retry_after=wait,
                )
        waiter = self._queue.join(priority)
        self._serve()
        self._sync.schedule(now)
        await self._wait(waiter, max_wait)
        return self._clock() - now

    async def _wait(self, waiter: Waiter, max_wait: float | None) -> None:
        assert self._loop is not None
        expiry = None
        if max_wait is not None and max_wait < math.inf:
            expiry = self._loop.call_later(max_wait, self._expire, waiter, max_wait)
        try:
            await waiter.future
        except asyncio.CancelledError:
            self._abandon(waiter)
            raise
        finally:
            if expiry is not None:
                expiry.cancel()

    def observe(self, headers: Mapping[str, str]) -> None:
        """Learn from an answer's `X-RateLimit-*` headers; a slower pace counts for all at once."""
        seen = read_rate_limit(headers)
        if seen is None or self._closed or self._loop is None:
            return
        self._check_open()
        now = self._clock()
        if self._member.learn(seen, now):
            self._sync.schedule(now)

    def pause(self, seconds: float) -> None:
        """Give nobody a permit for so long, a minute at most: a 429 named that wait."""
        if self._closed or self._loop is None:
            return
        self._check_open()
        now = self._clock()
        self._member.pause(seconds, now)
        self._sync.schedule(now)

    def _check_open(self) -> None:
        if self._loop is None:
            raise UsageError(
                "this RedisLimiter is not open; use `async with RedisLimiter(...) as limiter`"
            )
        self._check_loop()
        if self._closed:
            raise UsageError(
                "this RedisLimiter is closed; make a new one, or keep its `async with` block "
                "open longer"
            )
        if not self._sync.key:
            raise UsageError(
                "this RedisLimiter serves no key yet; pass it to TelepathClient(limiter=...), or "
                "call bind()"
            )

    def _check_loop(self) -> None:
        if asyncio.get_running_loop() is not self._loop:
            raise UsageError(
                "this RedisLimiter belongs to another event loop; make one for each loop"
            )

    def _abandon(self, waiter: Waiter) -> None:
        self._queue.leave(waiter)
        if waiter.taken_at is not None:
            self._member.give_back(waiter.taken_at, self._clock())
            self._serve()

    def _expire(self, waiter: Waiter, max_wait: float) -> None:
        self._queue.leave(waiter)
        wait = self._member.least_wait(self._queue.ahead(waiter.priority), self._clock())
        _resolve(
            waiter,
            ThrottledError(f"no permit within {max_wait:g} s; {_REMEDY}", retry_after=wait),
        )

    def _serve(self) -> None:
        """Grant what there is, and come back when there may be more without Redis."""
        self._cancel_timer()
        now = self._clock()
        while (waiter := self._queue.first()) is not None and self._member.take(now):
            self._queue.leave(waiter)
            waiter.taken_at = now
            _resolve(waiter, None)
        if waiter is not None and (delay := self._member.next_at(now) - now) < math.inf:
            assert self._loop is not None
            self._timer = self._loop.call_later(max(delay, _MIN_DELAY), self._serve)
        shares, sync = self._member.shares, self._sync
        self._notifier.notify(self._member.state, sync.server.address, sync.error, shares.expected)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


@final
class _StateNotifier:
    """Reports when the tokens begin to come from elsewhere: in the log, and to `on_state`."""

    def __init__(self, on_state: Callable[[State], object] | None) -> None:
        self._on_state = on_state
        self._state: State = "shared"

    def notify(self, state: State, address: str, error: str, processes: int) -> None:
        """Report a state that is not the last one; `error`: why Redis does not reply."""
        if state == self._state:
            return
        self._state = state
        if state == "local":
            _log.warning(
                "Redis at %s does not reply (%s); requests go on under a local share, 1/%d of the "
                "limit, until it does",
                address,
                error,
                processes,
            )
        else:
            _log.info("Redis at %s replies again; requests share one limit", address)
        if self._on_state is None:
            return
        try:
            self._on_state(state)
        except Exception:  # noqa: BLE001  # a listener's fault must not stop the limiter
            _log.exception("on_state failed on %r; the limiter goes on", state)


def _resolve(waiter: Waiter, error: Exception | None) -> None:
    """End the wait, or do nothing where it has ended: granted, expired, or cancelled."""
    if waiter.future.done():
        return
    if error is None:
        waiter.future.set_result(None)
    else:
        waiter.future.set_exception(error)
