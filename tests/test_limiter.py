"""Test who waits for the rate limit, in what order, and on which loop.

Time is made up, except where real threads meet.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import math
import time
from collections.abc import Callable, Coroutine
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telepath_async import limiter as limiter_module
from telepath_async.errors import ThrottledError, UsageError
from telepath_async.limiter import Limiter, LocalLimiter, Registry, after_fork, shared_limiter
from telepath_async.protocol.token_bucket import TokenBucket
from tests.support.jumping import JumpLoop, jump_loop
from tests.support.threads import hush
from tests.support.turns import settle
from tests.support.windows import most_in_a_window


def jumping(test: Callable[[JumpLoop], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run the test on a JumpLoop, which must have no timer left in the end."""

    def run() -> None:
        with asyncio.Runner(loop_factory=JumpLoop) as runner:
            loop = runner.get_loop()
            assert isinstance(loop, JumpLoop)
            runner.run(test(loop))
            assert loop.timers() == 0

    run.__name__ = test.__name__
    return run


def limiter_on(
    loop: JumpLoop, limit: int = 6000, period: float = 60.0, burst: int | None = None
) -> LocalLimiter:
    return LocalLimiter(limit, period, burst, clock=loop.time)


def ticking(loop: JumpLoop) -> Callable[[], float]:
    """Make a clock that never shows the same time twice."""
    readings = itertools.count()
    return lambda: loop.now + next(readings) * 1e-6


def headers(
    limit: int = 6000, remaining: int = 0, resets_in: int = 30, reset: int = 1_741_603_260
) -> dict[str, str]:
    return {
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": str(remaining),
        "X-RateLimit-Reset": str(reset),
        "Date": formatdate(reset - resets_in, usegmt=True),
    }


# --- one loop ---


def test_a_local_limiter_is_a_limiter() -> None:
    limiter: Limiter = LocalLimiter()
    limiter.bind("0123abcd")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        *(({"limit": limit}, "limit") for limit in (0, -5, 6000.0, True, 10**8)),
        *(({"period": period}, "period") for period in (0, -1.0, math.inf, math.nan, 1e300)),
        *(({"period": period}, "period") for period in ("60", True)),
        *(({"burst": burst}, "burst") for burst in (0, 1.5)),
        ({"limit": 10, "burst": 11}, "burst"),
    ],
)
def test_figures_that_make_no_sense_are_refused_by_name_and_value(
    options: dict[str, Any], named: str
) -> None:
    with pytest.raises(UsageError) as refused:
        LocalLimiter(**options)
    assert str(refused.value).startswith(f"{named} must be a ")
    assert str(refused.value).endswith(f", not {options[named]!r}")


@jumping
async def test_a_free_place_is_given_without_yielding_to_the_loop(loop: JumpLoop) -> None:
    acquiring = limiter_on(loop).acquire()
    with pytest.raises(StopIteration) as stopped:
        acquiring.send(None)
    assert stopped.value.value == 0.0


@jumping
async def test_an_unknown_priority_is_refused(loop: JumpLoop) -> None:
    with pytest.raises(UsageError, match="'urgent'"):
        await limiter_on(loop).acquire(priority="urgent")  # type: ignore[arg-type]


@jumping
async def test_acquire_returns_the_seconds_waited(loop: JumpLoop) -> None:
    limiter = limiter_on(loop, 60)
    waited = await asyncio.gather(*(limiter.acquire() for _ in range(4)))
    assert waited == pytest.approx([0.0, 1.001, 2.002, 3.003], abs=1e-6)
    assert loop.now == pytest.approx(1003.003, abs=1e-6)


@jumping
async def test_waiters_go_in_the_order_of_their_coming_and_interactive_before_bulk(
    loop: JumpLoop,
) -> None:
    limiter, order = limiter_on(loop, 60), []

    async def go(name: str, lane: Any) -> None:
        await limiter.acquire(priority=lane)
        order.append(name)

    await limiter.acquire()
    lanes = {
        "b1": "bulk", "i1": "interactive", "b2": "bulk", "i2": "interactive", "b3": "bulk",
        "i3": "interactive",
    }  # fmt: skip
    async with asyncio.TaskGroup() as group:
        for name, lane in lanes.items():
            group.create_task(go(name, lane))
    assert order == ["i1", "i2", "i3", "b1", "b2", "b3"]


@jumping
async def test_a_newcomer_does_not_overtake_those_who_wait_for_a_late_loop(loop: JumpLoop) -> None:
    limiter, order = limiter_on(loop, 60), []

    async def go(name: str, lane: Any = "interactive") -> None:
        await limiter.acquire(priority=lane)
        order.append(name)

    await limiter.acquire()
    async with asyncio.TaskGroup() as group:
        for name in ("first", "second"):
            group.create_task(go(name))
        group.create_task(go("bulk", "bulk"))
        await settle()
        loop.now += 1.5  # the place of the first is free, and no timer has run yet
        group.create_task(go("newcomer"))
    assert order == ["first", "second", "newcomer", "bulk"]


@jumping
async def test_an_interactive_newcomer_takes_a_free_place_before_the_bulk_waiters_are_woken(
    loop: JumpLoop,
) -> None:
    limiter = limiter_on(loop, 60)
    await limiter.acquire()
    bulk = asyncio.create_task(limiter.acquire(priority="bulk"))
    await settle()
    loop.now += 1.5
    assert await limiter.acquire() == 0.0
    assert await bulk == pytest.approx(2.501, abs=0.01)


@jumping
async def test_max_wait_counts_those_ahead_and_takes_nothing(loop: JumpLoop) -> None:
    limiter = limiter_on(loop, 60)
    await limiter.acquire(max_wait=0)
    ahead = [
        asyncio.create_task(limiter.acquire(priority=lane))
        for lane in ("interactive", "interactive", "bulk")
    ]
    await settle()
    with pytest.raises(ThrottledError) as interactive:
        await limiter.acquire(max_wait=3.0)
    with pytest.raises(ThrottledError) as bulk:
        await limiter.acquire(priority="bulk", max_wait=4.0)
    assert interactive.value.retry_after == pytest.approx(3.003, abs=1e-6)
    assert bulk.value.retry_after == pytest.approx(4.004, abs=1e-6)
    assert await limiter.acquire(max_wait=3.1) == pytest.approx(3.003, abs=1e-6)
    assert len(await asyncio.gather(*ahead)) == 3


@jumping
async def test_a_waiter_who_is_overtaken_hears_of_it_when_max_wait_is_over_and_takes_nothing(
    loop: JumpLoop,
) -> None:
    limiter, began = limiter_on(loop, 60), loop.now
    await limiter.acquire()
    bulk = asyncio.create_task(limiter.acquire(priority="bulk", max_wait=1.5))
    await settle()
    ahead = [asyncio.create_task(limiter.acquire()) for _ in range(3)]
    with pytest.raises(ThrottledError, match="others went first") as overtaken:
        await bulk
    assert loop.now - began == pytest.approx(1.5, abs=0.01)
    assert overtaken.value.retry_after > 0
    assert len(await asyncio.gather(*ahead)) == 3
    assert await limiter.acquire() == pytest.approx(1.001, abs=0.01)
    assert loop.timers() == 0


@jumping
async def test_a_place_that_comes_in_the_very_moment_is_kept(loop: JumpLoop) -> None:
    limiter = limiter_on(loop, 60)
    await limiter.acquire()
    with pytest.raises(ThrottledError) as throttled:
        await limiter.acquire(max_wait=0)
    exactly = throttled.value.retry_after
    assert await limiter.acquire(max_wait=exactly) == pytest.approx(exactly)


@jumping
async def test_a_max_wait_that_is_over_before_the_waiter_knows_of_its_permit_takes_nothing_back(
    loop: JumpLoop,
) -> None:
    limiter = limiter_on(loop, 60)
    await limiter.acquire()
    waiting = asyncio.create_task(limiter.acquire(max_wait=1.5))
    await settle()
    loop.fire_timers()  # the permit
    loop.fire_timers()  # the end of max_wait
    assert await waiting == pytest.approx(1.0, abs=0.01)


@jumping
async def test_the_last_waiter_whose_max_wait_is_over_leaves_no_timer(loop: JumpLoop) -> None:
    limiter = limiter_on(loop, 60)
    await limiter.acquire()
    bulk = asyncio.create_task(limiter.acquire(priority="bulk", max_wait=1.5))
    await settle()
    await limiter.acquire(max_wait=2.5)
    with pytest.raises(ThrottledError):
        await bulk
    assert loop.timers() == 0


@jumping
async def test_a_full_queue_with_max_wait_is_refused_at_once(loop: JumpLoop) -> None:
    limiter = limiter_on(loop, 60)
    for max_wait in (0, -1.0, math.nan):
        await limiter.acquire()
        with pytest.raises(ThrottledError):
            await limiter.acquire(max_wait=max_wait)
        assert loop.timers() == 0
        loop.now += 2


@jumping
async def test_nobody_in_a_long_queue_waits_longer_than_foretold(loop: JumpLoop) -> None:
    limiter, foretold = limiter_on(loop), []
    tasks = []
    for _ in range(60):
        await limiter.acquire()
    for _ in range(3000):
        with pytest.raises(ThrottledError) as throttled:
            await limiter.acquire(max_wait=0)
        foretold.append(throttled.value.retry_after)
        tasks.append(asyncio.create_task(limiter.acquire()))
        await asyncio.sleep(0)
    waited = await asyncio.gather(*tasks)
    assert all(actual <= told + 0.002 for actual, told in zip(waited, foretold, strict=True))


@jumping
async def test_a_long_queue_is_served_at_the_full_rate_with_few_wake_ups(loop: JumpLoop) -> None:
    limiter, grants, began = limiter_on(loop), [], loop.now

    async def go() -> None:
        await limiter.acquire()
        grants.append(loop.now)

    await asyncio.gather(*(go() for _ in range(12_000)))
    assert most_in_a_window(grants, 60.0) <= 6000
    assert len(grants) / (loop.now - began) >= 0.98 * 100
    assert loop.fired < 12_000 / 8


@jumping
async def test_an_interactive_newcomer_does_not_wait_for_a_batch_of_bulk_work(
    loop: JumpLoop,
) -> None:
    limiter = limiter_on(loop)
    bulk = [asyncio.create_task(limiter.acquire(priority="bulk")) for _ in range(5000)]
    await asyncio.sleep(40)
    loop.fire_timers()  # the next batch is due in 0.2 s
    await settle()
    assert await limiter.acquire() < 0.012
    for task in bulk:
        task.cancel()
    await settle()


@jumping
async def test_a_timer_that_fires_too_early_is_set_again_and_does_not_spin(loop: JumpLoop) -> None:
    limiter = LocalLimiter(60, clock=lambda: loop.now / 2)
    await limiter.acquire()
    await limiter.acquire()
    assert loop.fired < 15


# --- cancellation ---


@jumping
async def test_a_cancelled_waiter_gives_up_the_place_at_once_even_one_just_granted(
    loop: JumpLoop,
) -> None:
    for granted in (False, True):
        limiter = limiter_on(loop, 60)
        await limiter.acquire()
        gone, after = (asyncio.create_task(limiter.acquire()) for _ in range(2))
        await settle()
        if granted:
            loop.fire_timers()
        gone.cancel()
        assert await after == pytest.approx(1.001, abs=1e-6)
        assert gone.cancelled()


@jumping
async def test_the_places_of_a_whole_group_cancelled_in_that_moment_all_go_to_the_next(
    loop: JumpLoop,
) -> None:
    limiter = LocalLimiter(300, 60.0, clock=ticking(loop))
    for _ in range(3):
        await limiter.acquire()
    gone = [asyncio.create_task(limiter.acquire()) for _ in range(3)]
    after = [asyncio.create_task(limiter.acquire()) for _ in range(3)]
    await settle()
    loop.now += 2
    loop.fire_timers()
    for task in gone:
        task.cancel()
    await settle()
    assert all(task.done() for task in after)


@jumping
async def test_those_cancelled_just_before_the_timer_take_no_place(loop: JumpLoop) -> None:
    limiter = LocalLimiter(60, clock=ticking(loop))
    await limiter.acquire()
    *gone, after = (asyncio.create_task(limiter.acquire()) for _ in range(5))
    await settle()
    for task in gone:
        task.cancel()
    loop.fire_timers()
    assert not limiter.waiting
    assert await after == pytest.approx(1.001, abs=1e-3)


@jumping
async def test_no_timer_outlives_the_last_waiter(loop: JumpLoop) -> None:
    limiter = limiter_on(loop, 60)
    await limiter.acquire()
    waiters = [asyncio.create_task(limiter.acquire()) for _ in range(3)]
    await settle()
    assert loop.timers() == 1
    for waiter in waiters:
        waiter.cancel()
    await settle()
    assert loop.timers() == 0
    assert not limiter.waiting


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["interactive", "bulk", "cancel", "cancel granted", "sleep"]),
        st.integers(0, 30),
    )
)


@given(limit=st.integers(1, 400), burst=st.none() | st.integers(1, 20), steps=STEPS)
def test_whatever_is_acquired_and_cancelled_no_token_is_lost_or_made(
    limit: int, burst: int | None, steps: list[tuple[str, int]]
) -> None:
    tasks: list[asyncio.Task[float]] = []

    async def step(loop: JumpLoop, limiter: LocalLimiter, what: Any, figure: int) -> None:
        if what == "sleep":
            await asyncio.sleep(figure * figure / 100)
        elif what in ("interactive", "bulk"):
            tasks.extend(asyncio.create_task(timed(loop, limiter, what)) for _ in range(figure))
            await asyncio.sleep(0)
        else:
            if what == "cancel granted" and limiter.waiting:
                loop.fire_timers()
            for task in [task for task in tasks if not task.done()][: figure % 4]:
                task.cancel()
            await settle()

    async def play(loop: JumpLoop) -> list[float]:
        limiter = limiter_on(loop, limit, 60.0, burst and min(burst, limit))
        for what, figure in steps:
            await step(loop, limiter, what, figure)
        for task in tasks:
            task.cancel()
        await settle()
        grants = sorted(task.result() for task in tasks if not task.cancelled())
        assert not limiter.waiting
        assert loop.timers() == 0
        fresh = TokenBucket(limit, 60.0, burst and min(burst, limit))
        for grant in grants:
            assert fresh.take(grant + 1e-9)
        assert await next_wait(limiter) == pytest.approx(
            max(0.0, fresh.next_at(loop.now) - loop.now), abs=1e-6
        )
        return grants

    with asyncio.Runner(loop_factory=JumpLoop) as runner:
        grants = runner.run(play(runner.get_loop()))  # type: ignore[arg-type]
    assert most_in_a_window(grants, 60.0) <= limit


async def timed(loop: JumpLoop, limiter: LocalLimiter, lane: Any) -> float:
    began = loop.now
    return began + await limiter.acquire(priority=lane)


async def next_wait(limiter: LocalLimiter) -> float:
    """Return in how many seconds the next permit is there."""
    try:
        return await limiter.acquire(max_wait=0)
    except ThrottledError as error:
        return error.retry_after


# --- pauses ---


@jumping
async def test_a_pause_holds_those_who_wait_and_those_who_come_and_is_foretold(
    loop: JumpLoop,
) -> None:
    limiter = limiter_on(loop, 6000, burst=1)
    await limiter.acquire()
    waiting = asyncio.create_task(limiter.acquire())
    await settle()
    limiter.pause(2.0)
    coming = asyncio.create_task(limiter.acquire())
    with pytest.raises(ThrottledError) as foretold:
        await limiter.acquire(max_wait=1.0)
    assert foretold.value.retry_after == pytest.approx(2.02, abs=0.01)
    assert await asyncio.gather(waiting, coming) == pytest.approx([2.0, 2.01], abs=0.001)


# --- headers ---


@jumping
async def test_a_server_with_nothing_left_makes_all_wait_for_its_reset(loop: JumpLoop) -> None:
    limiter = limiter_on(loop)
    limiter.observe(headers(remaining=0, resets_in=30))
    assert await limiter.acquire() == pytest.approx(30.0, abs=1e-6)


@jumping
async def test_a_raised_limit_wakes_those_who_wait_and_a_lowered_one_slows_them(
    loop: JumpLoop,
) -> None:
    for old, new, waits in ((2, 6000, [0.0, 0.01, 0.02]), (6000, 60, [0.0, 1.0, 2.0])):
        limiter = limiter_on(loop, old, burst=1)
        waiters = [asyncio.create_task(limiter.acquire()) for _ in range(3)]
        await settle()
        limiter.observe({"x-ratelimit-limit": str(new)})
        assert await asyncio.gather(*waiters) == pytest.approx(waits, abs=0.01)


# --- several loops ---


def park(loop: JumpLoop, limiter: LocalLimiter) -> asyncio.Task[float]:
    """Queue a waiter on a loop that then stands still."""
    task = loop.create_task(limiter.acquire())
    loop.run_until_complete(settle())
    return task


def test_the_waiter_of_a_closed_loop_is_dropped_and_the_next_takes_the_place() -> None:
    clock = JumpLoop()
    dead = JumpLoop()
    hush(dead)
    limiter = limiter_on(clock, 60)

    async def rest() -> None:
        assert await limiter.acquire() == pytest.approx(1.001, abs=0.01)

    clock.run_until_complete(limiter.acquire())
    park(dead, limiter)
    dead.close()
    clock.run_until_complete(rest())
    assert not limiter.waiting
    clock.close()


def test_a_newcomer_does_not_wait_behind_the_dead() -> None:
    with jump_loop() as clock:
        dead, limiter = JumpLoop(), limiter_on(clock, 60)
        clock.run_until_complete(limiter.acquire())
        hush(dead)
        park(dead, limiter)
        dead.close()
        clock.now += 2
        assert clock.run_until_complete(limiter.acquire(max_wait=0)) == 0.0
        assert clock.timers() == 0


def test_a_loop_that_closes_in_the_moment_of_the_grant_gives_the_place_back() -> None:
    with jump_loop() as clock:
        dead, limiter = JumpLoop(), limiter_on(clock, 60)
        clock.run_until_complete(limiter.acquire())
        task = park(dead, limiter)
        after = clock.create_task(limiter.acquire())
        dead.call_soon_threadsafe = refuse  # type: ignore[method-assign,assignment]
        assert clock.run_until_complete(after) < 1.01
        task.cancel()
        dead.run_until_complete(asyncio.wait([task]))
        dead.close()


def refuse(*_: object) -> None:
    raise RuntimeError("Event loop is closed")


def test_a_loop_that_stands_still_does_not_hold_up_another() -> None:
    with jump_loop() as clock, jump_loop() as stuck:
        limiter = limiter_on(clock, 60)
        clock.run_until_complete(limiter.acquire())
        first = park(stuck, limiter)
        assert clock.run_until_complete(limiter.acquire()) == pytest.approx(2.002, abs=0.01)
        assert not first.done()
        assert stuck.run_until_complete(first) == pytest.approx(1.001, abs=0.01)
        assert stuck.timers() == clock.timers() == 0


def test_one_who_was_granted_by_another_loop_and_cancelled_gives_the_place_back() -> None:
    with jump_loop() as clock, jump_loop() as stuck:
        limiter = limiter_on(clock, 60)
        clock.run_until_complete(limiter.acquire())
        first = park(stuck, limiter)
        second = clock.create_task(limiter.acquire())
        clock.run_until_complete(asyncio.sleep(1.01))
        assert not second.done()
        first.cancel()
        stuck.run_until_complete(asyncio.wait([first]))
        assert first.cancelled()
        assert clock.run_until_complete(second) < 1.02
        assert stuck.timers() == clock.timers() == 0


def test_a_raised_limit_reaches_the_waiters_of_a_sleeping_loop() -> None:
    with jump_loop() as clock:
        limiter = limiter_on(clock, 2)
        clock.run_until_complete(limiter.acquire())
        task = park(clock, limiter)
        limiter.observe({"X-RateLimit-Limit": "6000"})  # from no loop at all
        assert clock.run_until_complete(task) < 0.02


# --- the limiter of a key ---


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    fresh = Registry()
    monkeypatch.setattr(limiter_module, "registry", fresh)
    return fresh


async def spend(limiter: LocalLimiter) -> int:
    granted = 0
    while True:
        try:
            await limiter.acquire(max_wait=0)
        except ThrottledError:
            return granted
        granted += 1


@pytest.mark.usefixtures("registry")
def test_a_client_that_closes_and_opens_anew_gets_no_fresh_burst() -> None:
    began = time.monotonic()
    granted = asyncio.run(spend(shared_limiter("a")))
    assert granted >= 60
    gc.collect()
    granted += asyncio.run(spend(shared_limiter("a")))
    assert granted <= 61 + 100 * (time.monotonic() - began)


@pytest.mark.usefixtures("registry")
def test_a_limiter_that_somebody_holds_is_not_forgotten_however_idle() -> None:
    held: LocalLimiter | None = shared_limiter("a")
    for number in range(300):
        shared_limiter(f"idle {number}")
    assert held is not None
    began = time.monotonic()
    granted = asyncio.run(spend(held))
    held = None
    gc.collect()
    granted += asyncio.run(spend(shared_limiter("a")))
    assert 60 <= granted <= 61 + 100 * (time.monotonic() - began)


def test_keys_that_are_idle_for_a_period_are_forgotten(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def use(key_id: str) -> None:
        await shared_limiter(key_id).acquire()

    held = shared_limiter("held")
    for number in range(5000):
        asyncio.run(use(f"busy {number}")) if number % 100 == 0 else shared_limiter(
            f"idle {number}"
        )
    gc.collect()
    assert len(registry.buckets) < 300
    assert sum(key_id.startswith("busy") for key_id in registry.buckets) == 50
    assert shared_limiter("held") is held
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 61)
    for number in range(300):
        shared_limiter(f"later {number}")
    assert not any(key_id.startswith("busy") for key_id in registry.buckets)


def test_a_forked_child_has_free_locks_and_none_of_the_parents_waiters(registry: Registry) -> None:
    """What `os.fork` calls; forks themselves are in tests/promises/test_18_loops_and_forks.py."""
    with jump_loop() as loop:
        hush(loop)
        limiter, held = limiter_on(loop, 60), registry.lock
        loop.run_until_complete(limiter.acquire())
        park(loop, limiter)
        after_fork()
        assert registry.lock is not held
        assert not limiter.waiting
        assert loop.run_until_complete(limiter.acquire()) > 0
