"""Test what one `RedisLimiter` does for its callers, on a real Redis and in made-up time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from email.utils import formatdate
from hashlib import sha256
from typing import Any
from uuid import uuid4

import pytest
import redis
import redis.asyncio
import redis.exceptions

from telepath_async import Limiter, Secret, TelepathClient, ThrottledError, UsageError
from telepath_async.redis import RedisLimiter
from telepath_async.redis.server import Server
from telepath_async.sandbox import Sandbox
from tests.redis.world import EPOCH, Process, World, in_its_world
from tests.support.services import own_redis
from tests.support.windows import most_in_a_window

NOBODY = "redis://127.0.0.1:1"


def limiter_on(url: str, **figures: Any) -> RedisLimiter:
    limiter = RedisLimiter(url, **figures)
    limiter.bind(str(uuid4()))
    return limiter


def quickly(url: str) -> RedisLimiter:
    return limiter_on(url, limit=100_000, expected_processes=1)


def sync_task() -> asyncio.Task[Any] | None:
    """Return the task that exchanges requests with Redis, where one runs."""
    names = {task.get_name(): task for task in asyncio.all_tasks()}
    return names.get("telepath RedisLimiter")


def headers(remaining: int, *, limit: int = 6000, resets_in: int = 30) -> dict[str, str]:
    reset = int(EPOCH)
    return {
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": str(remaining),
        "X-RateLimit-Reset": str(reset),
        "Date": formatdate(reset - resets_in, usegmt=True),
    }


# --- figures and use ---


@pytest.mark.parametrize(
    ("figures", "named"),
    [
        ({"limit": 0}, "limit must be .*, not 0"),
        ({"limit": 7}, "limit is 7; 4 .* need at least 8: set expected_processes"),
        ({"period": -1.0}, "period must be .*, not -1.0"),
        ({"burst": 3}, "burst must be .*, not 3"),
        ({"burst": 3001}, "burst must be .*, not 3001"),
        ({"burst": True}, "burst must be .*, not True"),
        ({"expected_processes": 0}, "expected_processes must be .*, not 0"),
        ({"expected_processes": "4"}, "expected_processes must be .*, not '4'"),
    ],
)
def test_figures_that_make_no_sense_are_refused_by_name_and_value(
    figures: dict[str, Any], named: str
) -> None:
    with pytest.raises(UsageError, match=named):
        RedisLimiter(NOBODY, **figures)


@pytest.mark.parametrize(
    "url",
    [
        "http://user:s3cret@host", "redis://:s3cret/2@host:6379", "redis://:1234/s3cret@host:6379",
        "redis://:1234#s3cret@host:6379", "redis://:1234?s3cret@host:6379",
        "redis://:s3cret#b@host", "redis://user:1234/s3cret@host:port/0", "redis://[::1s3cret",
        "redis://host:6379?socket_timeout=s3cret",
    ],
)  # fmt: skip
def test_a_url_that_is_not_usable_is_refused_and_no_part_of_its_password_shown(url: str) -> None:
    with pytest.raises(UsageError, match=r"redis://host:6379/0.*\(/ is %2F") as refused:
        RedisLimiter(url)
    assert "s3cret" not in str(refused.value)
    assert "1234" not in str(refused.value)
    assert refused.value.__context__ is None


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://host", "host:6379"),
        ("rediss://user:a%2Fb%40c@host:1/2", "host:1"),
        ("unix:///tmp/a@b", "/tmp/a@b"),
    ],
)
def test_a_usable_url_is_named_by_its_address_alone(url: str, address: str) -> None:
    assert Server(Secret(url)).address == address


async def test_before_it_is_open_and_after_it_is_closed_it_says_what_to_do(redis_url: str) -> None:
    limiter: Limiter = limiter_on(redis_url)
    with pytest.raises(UsageError, match="async with"):
        await limiter.acquire()
    limiter.observe({})
    async with RedisLimiter(redis_url) as unbound:
        with pytest.raises(UsageError, match=r"bind\(\)"):
            await unbound.acquire()
        with pytest.raises(UsageError, match="opened before"):
            await unbound.__aenter__()
    with pytest.raises(UsageError, match="is closed"):
        await unbound.acquire()
    unbound.observe(headers(0))
    unbound.pause(1.0)
    await unbound.aclose()


async def test_closing_one_that_was_never_opened_is_fine() -> None:
    await RedisLimiter(NOBODY).aclose()


async def test_another_loop_is_refused(redis_url: str) -> None:
    async with limiter_on(redis_url) as limiter:
        with pytest.raises(UsageError, match="another event loop"):
            await asyncio.to_thread(asyncio.run, limiter.acquire())


async def test_one_limiter_serves_one_key(redis_url: str) -> None:
    limiter = limiter_on(redis_url)
    with pytest.raises(UsageError, match="another API key"):
        limiter.bind("another")
    await limiter.aclose()


async def test_an_unknown_priority_is_refused(redis_url: str) -> None:
    async with limiter_on(redis_url) as limiter:
        with pytest.raises(UsageError, match="'urgent'"):
            await limiter.acquire(priority="urgent")  # type: ignore[arg-type]


async def test_several_clients_share_it_and_the_key_shows_nowhere_in_redis(redis_url: str) -> None:
    async with (
        Sandbox() as sandbox,
        RedisLimiter(redis_url, limit=600, expected_processes=1) as limiter,
        TelepathClient(sandbox.api_key, base_url=sandbox.base_url, limiter=limiter) as one,
        TelepathClient(sandbox.api_key, base_url=sandbox.base_url, limiter=limiter) as two,
    ):
        assert (await one.trunks.list().first(), await two.trunks.list().first()) != (None, None)
        key_id = sha256(sandbox.api_key.encode()).hexdigest()
        with redis.Redis.from_url(redis_url) as client:
            key = f"telepath:limiter:{sha256(key_id.encode()).hexdigest()[:32]}:60"
            assert 0 < client.ttl(key) < 2 * 3600
            assert sandbox.api_key.encode() not in client.get(key)


async def test_it_goes_on_after_a_script_flush_and_leaves_no_task_behind() -> None:
    with own_redis() as server:  # on a shared one, another test would load the script again
        async with quickly(server.url) as limiter:
            await limiter.acquire()
            with redis.Redis.from_url(server.url) as client:
                client.script_flush()
            await asyncio.gather(*(limiter.acquire() for _ in range(500)))
            assert limiter.state == "shared"
            assert sync_task() is not None
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_an_error_of_redis_is_an_outage_and_not_an_error_of_the_caller() -> None:
    with own_redis() as server:
        with redis.Redis.from_url(server.url) as client:
            client.config_set("requirepass", "hidden")
        async with limiter_on(server.url, limit=6000) as limiter:
            assert await limiter.acquire() > 1.0
            assert limiter.state == "local"


async def test_without_redis_it_warns_once_tells_its_state_and_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    states: list[str] = []

    def listener(state: str) -> None:
        states.append(state)
        raise RuntimeError("a listener's fault")

    url = NOBODY.replace("//", "//:s3cret@")
    async with limiter_on(url, limit=60_000, on_state=listener) as limiter:
        await asyncio.gather(*(limiter.acquire() for _ in range(50)))
        assert limiter.state == "local"
    assert states == ["local"]
    (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "Redis at 127.0.0.1:1 does not reply" in warning.getMessage()
    assert "on_state failed" in caplog.text
    assert "s3cret" not in caplog.text


async def test_closing_it_refuses_those_who_wait_and_says_why() -> None:
    limiter = await limiter_on(NOBODY).__aenter__()
    waiting = asyncio.ensure_future(limiter.acquire())
    await asyncio.sleep(0)
    await limiter.aclose()
    with pytest.raises(UsageError, match="closed while a call waited"):
        await waiting


# --- in made-up time ---

FIGURES: dict[str, Any] = {"limit": 300, "period": 6.0, "burst": 24, "expected_processes": 4}


async def opened(world: World, wants: int = 0, **figures: Any) -> Process:
    """Return a process that is under way, past its debt."""
    process = await Process(world, wants, **(figures or FIGURES)).start()
    await process.limiter.acquire()
    await asyncio.sleep(5)
    return process


@in_its_world
async def test_closing_it_says_goodbye_to_redis(world: World) -> None:
    process = await Process(world, 0).start()
    await process.limiter.acquire()
    await process.stop()
    assert [request["leaving"] for request in process.server.requests[-2:]] == [False, True]


@in_its_world
async def test_waiters_go_in_the_order_of_their_coming_and_interactive_before_bulk(
    world: World,
) -> None:
    process = await Process(world, 0, **FIGURES).start()
    order: list[str] = []

    async def go(name: str, priority: Any) -> None:
        await process.limiter.acquire(priority=priority)
        order.append(name)

    async with asyncio.TaskGroup() as group:
        for name in ("b1", "i1", "b2", "i2", "b3", "i3"):
            group.create_task(go(name, "bulk" if name[0] == "b" else "interactive"))
    assert order == ["i1", "i2", "i3", "b1", "b2", "b3"]


@in_its_world
async def test_a_cancelled_waiter_gives_its_place_to_the_next_at_once(world: World) -> None:
    process = await opened(world)
    first, second = (asyncio.ensure_future(process.limiter.acquire()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await second < 0.1
    with pytest.raises(asyncio.CancelledError):
        await first
    assert process.limiter.waiting == 0


@pytest.mark.parametrize("lonely", [False, True])
@in_its_world
async def test_one_who_is_cancelled_as_it_is_granted_gives_its_token_back(
    world: World, lonely: bool
) -> None:
    process = await opened(world)
    if lonely:
        process.server.cut = True
        await process.limiter.acquire()
    process.limiter.pause(1.0)  # at its end both are granted in one go

    async def first() -> None:
        await process.limiter.acquire()
        second.cancel()

    one, second = asyncio.ensure_future(first()), asyncio.ensure_future(process.limiter.acquire())
    await asyncio.wait([one, second])
    assert second.cancelled()
    at_once = 0
    while await process.limiter.acquire() == 0.0:
        at_once += 1
    assert at_once == (6 - 1 if lonely else 1)


@in_its_world
async def test_a_token_for_one_who_is_cancelled_already_goes_to_the_next(world: World) -> None:
    process = await opened(world)
    first = asyncio.ensure_future(process.limiter.acquire())
    await asyncio.sleep(0.0001)  # the request for one is under way
    second = asyncio.ensure_future(process.limiter.acquire())
    process.server.on_reply = first.cancel
    assert await second < 0.005
    assert first.cancelled()
    assert sync_task() is not None


@in_its_world
async def test_max_wait_is_held_to_the_moment_and_a_hopeless_one_is_told_at_once(
    world: World,
) -> None:
    process = await opened(world, 200, **FIGURES)
    began = world.loop.now
    with pytest.raises(ThrottledError, match=r"the next is in .* or more") as told:
        await process.limiter.acquire(max_wait=1.0)
    assert world.loop.now == began
    assert told.value.retry_after is not None
    assert told.value.retry_after > 1.0
    await process.rest()
    await asyncio.sleep(2)
    process.server.cut = True
    began = world.loop.now
    with pytest.raises(ThrottledError, match=r"no permit within 0\.3 s"):
        await process.limiter.acquire(max_wait=0.3)
    assert world.loop.now - began == pytest.approx(0.3, abs=0.01)
    assert await process.limiter.acquire(max_wait=math.inf) < 2.0
    await process.limiter.acquire(max_wait=5.0)
    with pytest.raises(ThrottledError):
        await process.limiter.acquire(max_wait=0.001)


@in_its_world
async def test_a_429_that_one_process_meets_stops_all_until_the_window_ends(world: World) -> None:
    processes = [await Process(world).start() for _ in range(3)]
    await asyncio.sleep(5)
    processes[0].limiter.observe(headers(0))
    learned = world.loop.now
    await asyncio.sleep(29)
    # What was in the others' hands may still go; what they ask for does not come.
    assert sum(moment > learned + 0.5 for moment in world.grants) == 0
    with pytest.raises(ThrottledError) as told:
        await processes[1].limiter.acquire(max_wait=0.5)
    assert told.value.retry_after == pytest.approx(1.0, abs=0.6)
    await asyncio.sleep(5)
    assert min(len([m for m in process.grants if m > learned + 29]) for process in processes) > 20


@in_its_world
async def test_a_pause_that_one_process_is_asked_for_holds_all_and_then_all_go_on(
    world: World,
) -> None:
    processes = [await Process(world).start() for _ in range(3)]
    await asyncio.sleep(5)
    processes[0].limiter.pause(10.0)
    paused = world.loop.now
    await asyncio.sleep(2)
    # An answer that was on its way, and says that much is left, does not end it.
    processes[0].limiter.observe(headers(4000))
    processes[1].limiter.observe(headers(4000))
    await asyncio.sleep(7.9)
    assert sum(moment > paused + 0.5 for moment in world.grants) == 0
    with pytest.raises(ThrottledError):
        await processes[1].limiter.acquire(max_wait=0.05)
    await asyncio.sleep(5)
    assert all(sum(m > paused + 10 for m in process.grants) > 20 for process in processes)
    assert most_in_a_window(world.grants, 1.0) <= 0.02 * 6000 + 100 + 2


@in_its_world
async def test_what_is_left_of_the_apis_window_is_divided_among_all(world: World) -> None:
    processes = [await Process(world).start() for _ in range(3)]
    await asyncio.sleep(5)
    for process, remaining in zip(processes, (300, 200, 250), strict=True):
        process.limiter.observe(headers(remaining))
    learned = world.loop.now
    await asyncio.sleep(28)
    assert 150 <= sum(moment > learned for moment in world.grants) <= 200 + 120


@in_its_world
async def test_a_lower_limit_in_the_headers_slows_all_and_a_higher_one_frees_all(
    world: World,
) -> None:
    one, two = [await Process(world, 50).start() for _ in range(2)]
    await asyncio.sleep(5)
    one.limiter.observe({"X-RateLimit-Limit": "600"})
    await asyncio.sleep(2)
    assert two.limiter.limit == 600
    before = len(world.grants)
    await asyncio.sleep(20)
    assert len(world.grants) - before <= 20 * 10
    two.limiter.observe({"X-RateLimit-Limit": "6000"})
    await asyncio.sleep(2)
    assert one.limiter.limit == 6000
    before = len(world.grants)
    await asyncio.sleep(20)
    assert len(world.grants) - before > 0.9 * 20 * 98


@in_its_world
async def test_a_limit_in_the_headers_counts_for_the_local_share_too(world: World) -> None:
    process = await Process(world, 50).start()
    world.down = True
    await asyncio.sleep(10)
    process.limiter.observe(headers(5000, limit=600))
    before = len(world.grants)
    await asyncio.sleep(20)
    assert 20 < len(world.grants) - before <= 20 * 600 / 60 / 4 + 3
    process.limiter.observe(headers(5000, limit=4))  # less than one for each process and period
    before = len(world.grants)
    await asyncio.sleep(60 * 4 + 1)
    assert len(world.grants) - before <= 2


@in_its_world
async def test_other_periods_ignore_the_limit_in_the_headers(world: World) -> None:
    process = await opened(world)
    process.limiter.observe({"X-RateLimit-Limit": "6"})
    process.limiter.observe({"X-Other": "6"})
    assert process.limiter.limit == 300


@in_its_world
async def test_the_limit_of_the_process_that_came_last_counts_for_all(world: World) -> None:
    old = await Process(world, 20, **FIGURES).start()
    await asyncio.sleep(5)
    await Process(world, 20, **{**FIGURES, "limit": 150}).start()
    await asyncio.sleep(8)
    assert old.limiter.limit == 150
    before = len(world.grants)
    await asyncio.sleep(12)
    assert len(world.grants) - before <= 2 * 150


@in_its_world
async def test_one_request_now_and_then_waits_for_nothing(world: World) -> None:
    process = await opened(world)
    for _ in range(20):
        assert await process.limiter.acquire() < 0.1
        await asyncio.sleep(world.chance.uniform(1.5, 90))


@in_its_world
async def test_a_state_that_is_older_than_one_that_was_seen_is_not_believed(world: World) -> None:
    await Process(world, 20, **FIGURES).start()
    await asyncio.sleep(1.5)
    dump = world.redis.get(world.key)
    for _ in range(6):
        await asyncio.sleep(1.7)
        world.redis.set(world.key, dump)
    assert most_in_a_window(world.grants, 6.0) <= 300


@in_its_world
async def test_a_request_after_a_long_outage_is_served_within_a_word_and_two_timeouts(
    world: World,
) -> None:
    process = await opened(world)
    world.going.clear()
    await process.limiter.acquire()
    await asyncio.sleep(60)
    assert sync_task() is None
    assert await process.limiter.acquire() < 2.5
    world.going.set()
    await asyncio.sleep(2)
    assert process.limiter.state == "shared"


# --- a Redis that is there, and does not do it ---


@in_its_world
async def test_a_redis_that_refuses_the_script_counts_as_one_that_is_away(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.redis.lpush(world.key, "not a bucket")
    process = await Process(world, 0).start()
    assert await process.limiter.acquire() < 2.0  # no timeout: it may fall back at once
    assert process.states == ["local"]
    assert "(ResponseError)" in caplog.text
    world.forget()
    await asyncio.sleep(2)
    await process.limiter.acquire()
    assert process.states == ["local", "shared"]


@in_its_world
async def test_a_redis_that_hears_but_never_answers_stops_nobody(world: World) -> None:
    process = await opened(world, 10)
    await asyncio.sleep(10)
    world.losing_answers = 1.0
    await asyncio.sleep(10)
    before = len(world.grants)
    await asyncio.sleep(60)
    assert len(world.grants) - before >= 500
    world.losing_answers = 0.0
    await asyncio.sleep(10)
    assert process.limiter.state == "shared"
    assert most_in_a_window(world.grants, 60.0) <= 6000


async def requests_after(
    world: World, *answers: dict[str, str], step: float = 0.0
) -> tuple[int, int]:
    """Return the requests of two busy processes in the 20 s after `answers`, and the limit then.

    `step`: by how many seconds Redis's clock is set forward at that moment.
    """
    figures = {"limit": 6000, "period": 60.0, "expected_processes": 4}
    first, second = await opened(world, 0, **figures), await opened(world, 0, **figures)
    for process in (first, second):
        process.want(20)
    await asyncio.sleep(2)
    before = len(world.grants)
    world.offset += step
    for answer in answers:
        first.limiter.observe(answer)
    await asyncio.sleep(20)
    return len(world.grants) - before, first.limiter.limit


LATE_OF_THE_LAST_WINDOW = headers(5) | {
    "X-RateLimit-Reset": str(int(EPOCH) - 60),
    "Date": formatdate(int(EPOCH) - 61, usegmt=True),
}


@pytest.mark.parametrize(
    "late", [headers(40), LATE_OF_THE_LAST_WINDOW], ids=["of this window", "of the last window"]
)
@in_its_world
async def test_an_answer_that_comes_late_does_not_end_a_pause(
    world: World, late: dict[str, str]
) -> None:
    assert (await requests_after(world, headers(0), late))[0] == 0


@pytest.mark.parametrize(
    ("answer", "most", "limit"), [(headers(0), 0, 6000), (headers(500, limit=600), 250, 600)]
)
@in_its_world
async def test_what_the_api_said_is_said_again_where_redis_came_too_late_to_hear_it(
    world: World, answer: dict[str, str], most: int, limit: int
) -> None:
    made, limit_then = await requests_after(world, answer, step=0.8)
    assert made <= most
    assert limit_then == limit


@in_its_world
async def test_tokens_that_are_given_back_do_not_end_a_pause(world: World) -> None:
    figures = {"limit": 6000, "period": 60.0, "expected_processes": 4}
    busy = await Process(world, 0, pause=0.5, **figures).start()
    holder = await Process(world, 0, pause=0.1, **figures).start()
    await asyncio.gather(busy.limiter.acquire(), holder.limiter.acquire())
    await asyncio.sleep(5)
    holder.want(4)
    await asyncio.sleep(3)
    while holder.limiter.in_hand < 8:
        await asyncio.sleep(0.01)
    await holder.rest()
    busy.limiter.observe(headers(0))
    before = len(world.grants)
    await asyncio.sleep(1)  # the other one gives back what it holds
    busy.want(2)
    await asyncio.sleep(20)
    assert len(world.grants) == before


async def test_at_a_limit_of_one_nobody_waits_longer_than_he_wants(redis_url: str) -> None:
    limiter = limiter_on(redis_url)
    async with limiter:
        waiting = asyncio.ensure_future(
            limiter.acquire(max_wait=0.3)
        )  # nothing comes in the first second
        await asyncio.sleep(0.1)
        limiter.observe({"X-RateLimit-Limit": "1"})
        with pytest.raises(ThrottledError):
            await asyncio.wait_for(waiting, 10)
        with pytest.raises(ThrottledError):
            await limiter.acquire(max_wait=5.0)


async def test_a_goodbye_that_is_not_answered_is_no_error(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Over TLS, redis-py waits for the answer to its goodbye, and raises where there is none.
    disconnect = redis.asyncio.ConnectionPool.disconnect

    async def unanswered(*arguments: Any, **options: Any) -> None:
        await disconnect(*arguments, **options)
        raise redis.exceptions.TimeoutError("Timed out closing connection")

    server = Server(Secret(redis_url))
    await server.time()
    monkeypatch.setattr(redis.asyncio.ConnectionPool, "disconnect", unanswered)
    await server.disconnect()
    await server.aclose()


@pytest.mark.parametrize("word", ["time", "sync"])
async def test_a_cancellation_that_the_library_takes_for_an_error_is_not_lost(
    redis_url: str, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(*_: object) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        raise redis.exceptions.ConnectionError

    async with limiter_on(redis_url) as limiter:
        with monkeypatch.context() as patch:
            patch.setattr(Server, word, hang)
            waiting = asyncio.ensure_future(limiter.acquire())
            await asyncio.sleep(0.02)
        task = sync_task()
        async with asyncio.timeout(5):
            await limiter.aclose()
        assert task is not None
        assert task.cancelled()
        with pytest.raises(UsageError, match="was closed while a call waited"):
            await waiting
