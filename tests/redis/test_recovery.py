"""What a limiter sends to Redis, and when: through its public face, against the real script.

In made-up time (`world.py`); what is counted are the requests on the wire and the permits.
"""

from __future__ import annotations

import asyncio

from tests.redis.world import Process, World, in_its_world


async def losing(world: World, lost: int) -> Process:
    process = Process(world, wants=0)
    process.server.losing = lost
    return await process.start()


async def wait_of(process: Process) -> float:
    began = process.world.loop.now
    async with asyncio.timeout(30):
        await process.limiter.acquire()
    return process.world.loop.now - began


@in_its_world
async def test_a_lowered_limit_is_told_at_once_by_one_who_wants_nothing(world: World) -> None:
    teller = await Process(world, wants=1, pause=0.5).start()
    await asyncio.sleep(5)
    await teller.rest()
    await asyncio.sleep(2)
    words = world.words
    teller.limiter.observe({"X-RateLimit-Limit": "6001"})
    await asyncio.sleep(2)
    assert world.words == words  # a higher one can wait until something is wanted
    teller.limiter.observe({"X-RateLimit-Limit": "60"})
    await asyncio.sleep(0.05)
    assert world.words > words
    others = [await Process(world, wants=50).start() for _ in range(2)]
    await asyncio.sleep(60)
    assert sum(len(other.grants) for other in others) <= 60


@in_its_world
async def test_after_an_outage_one_who_wants_nothing_says_nothing_and_one_who_wants_waits_no_longer(
    world: World,
) -> None:
    process = await Process(world, wants=5, pause=0.1).start()
    await asyncio.sleep(5)
    world.down = True
    await asyncio.sleep(5)
    assert process.limiter.state == "local"
    world.down = False
    await asyncio.sleep(8)
    assert process.limiter.state == "shared"
    await process.rest()
    await asyncio.sleep(2)
    words = world.words
    await asyncio.sleep(20)
    assert world.words == words
    for _ in range(20):
        assert await wait_of(process) < 0.02
        await asyncio.sleep(0.9)


@in_its_world
async def test_a_first_word_lost_after_the_time_was_told_delays_by_its_timeout_and_is_made_good(
    world: World,
) -> None:
    await Process(world, wants=5, pause=0.1).start()
    await asyncio.sleep(6)
    process = await losing(world, 1)
    assert 0.5 < await wait_of(process) < 1.0
    assert (process.states, process.limiter.state) == ([], "shared")
    for _ in range(10):
        await asyncio.sleep(0.3)
        assert await wait_of(process) < 0.05


@in_its_world
async def test_one_whose_words_are_heard_and_never_answered_keeps_silent_until_it_may_go_alone(
    world: World,
) -> None:
    """While Redis hears it, Redis believes that it is not alone."""
    process = await losing(world, 10**9)
    assert await wait_of(process) < 8.0
    assert process.states == ["local"]
    words, began = world.words, world.loop.now
    for _ in range(100):
        await wait_of(process)
    assert world.words - words <= 2 * (1 + world.loop.now - began)


@in_its_world
async def test_words_that_are_lost_now_and_then_are_not_counted_together(world: World) -> None:
    await Process(world, wants=5, pause=0.1).start()
    await asyncio.sleep(6)
    process = await losing(world, 2)
    for _ in range(4):
        assert 1.0 < await wait_of(process) < 1.5
        assert process.limiter.state == "shared"
        await asyncio.sleep(3)
        process.server.losing = 2


@in_its_world
async def test_while_alone_it_tries_redis_about_once_a_second_and_is_back_in_two(
    world: World,
) -> None:
    process = await Process(world, wants=5, pause=0.1).start()
    await asyncio.sleep(5)
    world.down = True
    await asyncio.sleep(5)
    words = world.words
    await asyncio.sleep(20)
    assert 15 <= world.words - words <= 25
    world.down = False
    await asyncio.sleep(2)
    assert process.limiter.state == "shared"


@in_its_world
async def test_one_who_has_been_silent_for_long_asks_for_the_time_again(world: World) -> None:
    """Two clocks drift apart: a word must not seem late, or early, for that."""
    process = await Process(world, wants=0).start()
    await wait_of(process)
    for silence, words in ((10, 1), (100, 2)):
        await asyncio.sleep(silence)
        before = world.words
        assert await wait_of(process) < 0.05
        assert world.words - before == words
    await asyncio.sleep(100)
    world.offset -= 3600
    assert await wait_of(process) < 0.05
