"""Waiting for the rate limit: the `Limiter` protocol, `LocalLimiter`, and the process's one limiter
of each key.

Whether a token is there is decided in `protocol/token_bucket.py`; here is only who waits, in what
order, on which loop.
"""

from __future__ import annotations

import asyncio
import math
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final, Protocol, final
from weakref import WeakSet, WeakValueDictionary

from .checks import Priority as Priority
from .checks import check_priority
from .errors import ThrottledError
from .protocol.ratelimit import read_rate_limit
from .protocol.token_bucket import TokenBucket
from .waiters import NEVER, Lane, LoopWaiters, Waiter

REMEDY: Final = "send fewer requests at a time, or raise max_wait or timeout"


class Limiter(Protocol):
    """What a client asks before every attempt.

    It may also have `pause(seconds)`: a 429 named that wait, and nobody should get a permit before
    it is over. Without it only the call that got the 429 waits.
    """

    async def acquire(
        self, *, priority: Priority = "interactive", max_wait: float | None = None
    ) -> float:
        """Wait for a permit, and return the seconds waited.

        Raises:
            ThrottledError: the permit would come later than `max_wait` seconds from now; nothing
            was taken.
        """
        ...

    def observe(self, headers: Mapping[str, str]) -> None:
        """Learn from the headers of an answer."""
        ...

    def bind(self, key_id: str) -> None:
        """Take the hash of the client's API key; called once, when the client opens."""
        ...


class LocalLimiter:
    """Keeps the requests of one process under `limit` in every `period` seconds, wherever they
    begin.

    One instance serves any number of event loops and threads. Waiters go first in, first
    out, every "interactive" one before the first "bulk" one: bulk work starves as long as
    interactive work takes the whole limit. A waiter that is cancelled gives up its permit at once.
    It starts no task and no thread.

    `limit`: requests a period; `period`: seconds; `burst`: requests at once, None = 1 % of the
    limit, at least 1. `X-RateLimit-Limit` replaces `limit`, up or down, where `period` is 60: to
    stay below the key's own limit, choose another period (`limit=50, period=5.0` is a tenth of
    6,000 a minute). A forked child starts with the parent's bucket and none of its waiters, and
    counts for itself from there: processes share a limit through `RedisLimiter`.

    Raises:
        UsageError: a figure makes no sense.
    """

    def __init__(
        self,
        limit: int = 6000,
        period: float = 60.0,
        burst: int | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bucket = TokenBucket(limit, period, burst)
        self._clock = clock
        self._start_afresh()
        _instances.add(self)

    def _start_afresh(self) -> None:
        # Reentrant: dropping the waiters of a dead loop destroys their coroutines, whose `finally`
        # may call us.
        self._lock = threading.RLock()
        self._lanes: dict[Priority, Lane] = {"interactive": OrderedDict(), "bulk": OrderedDict()}
        self._loops: dict[
            asyncio.AbstractEventLoop, LoopWaiters
        ] = {}  # of the loops that have waiters, and of no other

    async def acquire(
        self, *, priority: Priority = "interactive", max_wait: float | None = None
    ) -> float:
        """Wait for a permit, and return the seconds waited: 0.0, without yielding to the loop, when
        there is one.

        Whether `max_wait` suffices is known at once from those ahead, and refused if not. What
        comes later can still delay the permit (interactive work before a bulk waiter, a header that
        slows everybody down): then it is refused when `max_wait` is over.

        Raises:
            ThrottledError: the permit comes later than `max_wait` seconds from now; nothing was
            taken. UsageError: no such priority.
        """
        if priority != "interactive" and priority != "bulk":
            check_priority(priority)
        # `with` costs twice as much, and this is the one path that every request takes
        self._lock.acquire()
        try:
            now = self._clock()
            if not self._loops and self._bucket.take(now):
                return 0.0
            waiter = self._enqueue(priority, max_wait, now)
        finally:
            self._lock.release()
        expiry = None
        if max_wait is not None and max_wait < math.inf:
            expiry = waiter.group.loop.call_later(max_wait, self._expire, waiter, max_wait)
        try:
            await waiter.future
        except asyncio.CancelledError:
            self._abandon(waiter)
            raise
        finally:
            if expiry is not None:
                expiry.cancel()
        return waiter.granted_at - now

    def observe(self, headers: Mapping[str, str]) -> None:
        """Learn the limit from `X-RateLimit-Limit`, and when to pause from the others."""
        seen = read_rate_limit(headers)
        if seen is None:
            return
        with self._lock:
            self._bucket.learn(seen, self._clock())
            if self._loops:
                self._dispatch()

    def pause(self, seconds: float) -> None:
        """Give nobody a permit for so long, a minute at most: a 429 named that wait."""
        with self._lock:
            self._bucket.pause(seconds, self._clock())

    @property
    def waiting(self) -> int:
        """How many callers wait for a permit."""
        with self._lock:
            return sum(map(len, self._lanes.values()))

    def bind(self, key_id: str) -> None:
        """Do nothing: whoever shares this object shares the limit, whatever the key."""

    def _on_timer(self, group: LoopWaiters) -> None:
        """Run on that loop: its timer is due, or another loop has something for it."""
        with self._lock:
            group.disarm()
            group.wake()
            if self._loops:
                self._dispatch()

    def _abandon(self, waiter: Waiter) -> None:
        with self._lock:
            self._remove(waiter)
            if not waiter.group.waiting:
                waiter.group.disarm()
            if waiter.granted_at != NEVER:
                self._bucket.give_back(waiter.granted_at)
                # Later, not now: where a whole group is cancelled, all of it must give back before
                # the first permit goes to somebody else.
                waiter.group.loop.call_soon(self._on_timer, waiter.group)

    def _expire(self, waiter: Waiter, max_wait: float) -> None:
        with self._lock:
            if waiter.granted_at != NEVER or waiter.future.done():
                return
            self._remove(waiter)
            if not waiter.group.waiting:
                waiter.group.disarm()
            now = self._clock()
            wait = self._bucket.next_at(now, waiter.ahead) - now
        waiter.future.set_exception(
            ThrottledError(
                f"no permit within {max_wait:g} s, others went first; it may take "
                f"{wait:.3f} s more; {REMEDY}",
                retry_after=wait,
            )
        )

    # What follows runs under the lock.

    def _enqueue(self, priority: Priority, max_wait: float | None, now: float) -> Waiter:
        self._first()  # drops those of closed loops, which would count as ahead
        lane = self._lanes[priority]
        ahead = self.waiting if priority == "bulk" else len(lane)
        wait = self._bucket.next_at(now, ahead + self._bucket.batch(ahead) - 1) - now
        if max_wait is not None and not wait <= max_wait:
            raise ThrottledError(
                f"no permit within {max_wait:g} s: the next is in {wait:.3f} s; {REMEDY}",
                retry_after=wait,
            )
        loop = asyncio.get_running_loop()
        group = self._loops.setdefault(loop, LoopWaiters(loop))
        group.waiting += 1
        waiter = Waiter(group, lane, ahead)
        lane[waiter] = None
        if not ahead or group.due == NEVER:
            self._dispatch()
        return waiter

    def _first(self) -> Waiter | None:
        """Return the next waiter, and drop those before it that cannot be woken any more."""
        for lane in self._lanes.values():
            while lane:
                waiter = next(iter(lane))
                if not waiter.future.done() and not waiter.group.loop.is_closed():
                    return waiter
                self._remove(waiter)
        return None

    def _remove(self, waiter: Waiter) -> None:
        if waiter not in waiter.lane:
            return
        del waiter.lane[waiter]
        waiter.group.waiting -= 1
        if not waiter.group.waiting:
            del self._loops[waiter.group.loop]

    def _dispatch(self) -> None:
        """Grant what the bucket allows, and set every loop's timer for the next permit."""
        now = self._clock()
        groups = list(self._loops.values())
        while (waiter := self._first()) is not None and self._bucket.take(now):
            self._remove(waiter)
            waiter.granted_at = now
            waiter.group.granted.append(waiter)
        due = self._bucket.next_at(now, self._bucket.batch(waiter.ahead) - 1 if waiter else 0)
        here = _running_loop()
        for group in groups:
            if group.loop is here:
                group.wake()
                group.arm(due, due - now, self._on_timer)
            elif group.granted or due < group.due:
                self._notify_loop(group, due)

    def _notify_loop(self, group: LoopWaiters, due: float) -> None:
        """Have another loop wake its own: its futures and timers are not ours to touch."""
        group.due = due
        try:
            group.loop.call_soon_threadsafe(self._on_timer, group)
        except RuntimeError:  # closed since `_first` looked
            for waiter in group.granted:
                self._bucket.give_back(waiter.granted_at)
            group.granted.clear()
            self._dispatch()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


@final
class Registry:
    """The process's one limiter of each key.

    Limiters are kept as long as somebody holds them; their buckets, as long as their window
    matters, so that a client that is closed and opened anew gets no fresh burst. The rest is swept
    out whenever the number of keys has doubled.
    """

    _FIRST_SWEEP: Final = 64

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._limiters: WeakValueDictionary[str, LocalLimiter] = WeakValueDictionary()
        self.buckets: dict[str, TokenBucket] = {}
        self._sweep_at = self._FIRST_SWEEP

    def get(self, key_id: str) -> LocalLimiter:
        with self.lock:
            limiter = self._limiters.get(key_id)
            if limiter is None:
                self._sweep()
                limiter = self._limiters[key_id] = LocalLimiter()
                limiter._bucket = self.buckets.setdefault(key_id, limiter._bucket)
            return limiter

    def _sweep(self) -> None:
        if len(self.buckets) < self._sweep_at:
            return
        now = time.monotonic()
        for key_id, bucket in list(self.buckets.items()):
            if key_id not in self._limiters and bucket.is_idle(now):
                del self.buckets[key_id]
        self._sweep_at = max(self._FIRST_SWEEP, 2 * len(self.buckets))


def shared_limiter(key_id: str) -> LocalLimiter:
    """Return the process's one limiter of the key with this hash, at first 6,000 a minute."""
    return registry.get(key_id)


def after_fork() -> None:
    """Give the child fresh locks, and no waiter: waking one would write into the parent's pipe."""
    registry.lock = threading.RLock()
    for limiter in list(_instances):
        limiter._start_afresh()  # pyright: ignore[reportPrivateUsage]


registry = Registry()
_instances: WeakSet[LocalLimiter] = WeakSet()
if hasattr(os, "register_at_fork"):  # pragma: no branch: Windows has no fork
    os.register_at_fork(after_in_child=after_fork)
