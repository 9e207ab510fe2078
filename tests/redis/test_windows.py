"""Test that no sliding window holds more than the limit, whatever fails.

The real limiter and the real script run in made-up time. A mutation that lets one of these pass is
a hole in the proof in telepath_async/redis/limiter.py.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.redis.world import Process, World, in_its_world, made_up
from tests.support.windows import most_in_a_window

LIMIT, PERIOD = 300, 6.0
FIGURES: dict[str, Any] = {"limit": LIMIT, "period": PERIOD, "burst": 24, "expected_processes": 4}
FLOW = (LIMIT - 24) / PERIOD


async def four(world: World, **more: Any) -> list[Process]:
    return [await Process(world, **FIGURES, **more).start() for _ in range(4)]


def used(world: World, seconds: float) -> float:
    """Return the share of the flow that was used in the last seconds."""
    return sum(moment > world.loop.now - seconds for moment in world.grants) / seconds / FLOW


def held(world: World) -> bool:
    return most_in_a_window(world.grants, PERIOD) <= LIMIT


@in_its_world
async def test_four_who_want_more_use_all_of_the_limit_fairly_and_cheaply(world: World) -> None:
    processes = await four(world)
    await asyncio.sleep(5)
    words, before = world.words, [len(process.grants) for process in processes]
    await asyncio.sleep(20)
    assert used(world, 20) > 0.98
    grants = [len(process.grants) - count for process, count in zip(processes, before, strict=True)]
    assert max(grants) < 1.1 * min(grants)
    assert world.words - words < 0.4 * sum(grants)  # a burst of 24 keeps leases small
    assert held(world)


@in_its_world
async def test_at_the_default_figures_a_word_brings_more_than_five_tokens(world: World) -> None:
    [await Process(world, wants=50).start() for _ in range(4)]
    await asyncio.sleep(5)
    words, grants = world.words, len(world.grants)
    await asyncio.sleep(60)
    assert world.words - words <= 0.2 * (len(world.grants) - grants)
    assert len(world.grants) - grants >= 0.95 * 6000


@in_its_world
async def test_one_process_at_100_a_second_speaks_at_most_ten_times_a_second(world: World) -> None:
    await Process(world, wants=50).start()
    await asyncio.sleep(5)
    words, grants = world.words, len(world.grants)
    await asyncio.sleep(20)
    assert len(world.grants) - grants > 95 * 20
    assert world.words - words <= 10 * 20


@in_its_world
async def test_an_idle_process_leaves_all_to_the_others_within_a_second(world: World) -> None:
    idle, *_ = await four(world)
    await asyncio.sleep(5)
    await idle.rest()
    await asyncio.sleep(1)
    assert idle.server.requests[-1]["leaving"]
    requests = len(idle.server.requests)
    await asyncio.sleep(10)
    assert len(idle.server.requests) == requests
    assert used(world, 10) > 0.98
    assert held(world)


@in_its_world
async def test_bulk_work_yields_to_interactive_work_of_other_processes(world: World) -> None:
    bulk = [await Process(world, priority="bulk", **FIGURES).start() for _ in range(3)]
    await asyncio.sleep(6)
    interactive = await Process(world, wants=40, **FIGURES).start()
    await asyncio.sleep(1)
    before = sum(len(process.grants) for process in bulk)
    await asyncio.sleep(10)
    assert sum(moment > world.loop.now - 10 for moment in interactive.grants) > 0.9 * 10 * FLOW
    assert sum(len(process.grants) for process in bulk) - before < 0.1 * 10 * FLOW
    assert held(world)


@pytest.mark.parametrize("fault", ["stopped", "refusing"])
@in_its_world
async def test_an_outage_leaves_each_its_local_share_and_ends_by_itself(
    world: World, fault: str
) -> None:
    processes = await four(world)
    await asyncio.sleep(8)
    if fault == "stopped":
        world.going.clear()
    else:
        world.down = True
        world.forget()
    await asyncio.sleep(10)
    assert [process.states for process in processes] == [["local"]] * 4
    assert {process.limiter.state for process in processes} == {"local"}
    assert used(world, 6) > 0.85
    world.going.set()
    world.down = False
    await asyncio.sleep(10)
    assert [process.states for process in processes] == [["local", "shared"]] * 4
    assert used(world, 4) > 0.95
    assert held(world)


@in_its_world
async def test_one_who_is_cut_off_alone_and_those_who_are_not_keep_the_limit_together(
    world: World,
) -> None:
    processes = await four(world)
    await asyncio.sleep(8)
    processes[0].server.cut = True
    await asyncio.sleep(20)
    assert processes[0].limiter.state == "local"
    assert {process.limiter.state for process in processes[1:]} == {"shared"}
    assert used(world, 10) > 0.9
    processes[0].server.cut = False
    await asyncio.sleep(10)
    assert processes[0].limiter.state == "shared"
    assert used(world, 5) > 0.95
    assert held(world)


@in_its_world
async def test_words_that_were_on_their_way_when_redis_stopped_count_for_nothing(
    world: World,
) -> None:
    """Let the first request after a stop be one that nobody waits for.

    It must not make Redis believe that its sender is back.
    """
    await four(world)
    for _ in range(4):
        await asyncio.sleep(6)
        world.going.clear()
        await asyncio.sleep(4)
        world.going.set()
    assert held(world)


FAULTS = [
    "kill", "stopped", "cut", "refusing", "flushed", "answers lost", "clock ahead", "clock back",
    "rest", "slow",
]  # fmt: skip


async def befall(world: World, processes: list[Process], fault: str, victim: int) -> None:
    """Do one bad thing."""
    if fault == "kill":
        await processes[victim].kill()
        processes[victim] = await Process(world, **FIGURES).start()
    elif fault == "stopped":
        world.going.clear()
    elif fault == "cut":
        processes[victim].server.cut = True
    elif fault == "refusing":
        world.down = True
        world.forget()
    elif fault == "flushed":
        world.forget()
    elif fault == "answers lost":
        world.losing_answers = 0.3
    elif fault == "clock ahead":
        world.offset += 50
    elif fault == "clock back":
        world.offset -= 50
    elif fault == "slow":
        world.delay = lambda: world.chance.uniform(0, 0.6)
    elif fault == "rest":
        await processes[victim].rest()
        await asyncio.sleep(2)
        processes[victim].want()
    else:
        world.going.set()
        world.down, world.losing_answers = False, 0.0
        world.delay = lambda: world.chance.uniform(0.0002, 0.002)
        for process in processes:
            process.server.cut = False


@pytest.mark.long
@settings(
    max_examples=12,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    troubles=st.lists(
        st.tuples(
            st.sampled_from(["mended", "mended", *FAULTS]), st.floats(0, 4), st.integers(0, 3)
        ),
        min_size=5,
        max_size=15,
    ),
    seed=st.integers(0, 2**16),
)
def test_no_window_holds_more_than_the_limit_whatever_befalls(
    redis_url: str, troubles: list[Any], seed: int
) -> None:
    async def story(world: World) -> None:
        processes = await four(world)
        await asyncio.sleep(4)
        for fault, seconds, victim in troubles:
            await befall(world, processes, fault, victim)
            await asyncio.sleep(seconds)
        await befall(world, processes, "mended", 0)
        await asyncio.sleep(12)
        # All goes on: with one or two killed, their shares are kept for ten periods.
        assert used(world, 3) > 0.6

    with made_up(redis_url, seed) as world:
        world.loop.run_until_complete(story(world))
        assert held(world)
