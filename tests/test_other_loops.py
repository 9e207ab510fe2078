"""The client on uvloop, which web servers use, and with tasks that begin at once (Python 3.12)."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

import pytest
import uvloop

from telepath_async import RequestTimeout, RetryPolicy, TelepathClient
from telepath_async.sandbox import Sandbox
from tests.support.hostile import HANG, Received, Step, answering, reply
from tests.support.keys import KEY
from tests.support.threads import server_in_a_thread

Run: TypeAlias = Callable[[Coroutine[Any, Any, None]], None]


def eager_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    loop.set_task_factory(asyncio.eager_task_factory)
    return loop


from_3_12 = pytest.mark.skipif(sys.version_info < (3, 12), reason="new in Python 3.12")


@pytest.fixture(
    params=[
        pytest.param(uvloop.new_event_loop, id="uvloop"),
        pytest.param(eager_loop, id="eager tasks", marks=from_3_12),
    ]
)
def run(request: pytest.FixtureRequest) -> Run:
    loop: asyncio.AbstractEventLoop = request.param()

    def to_the_end(work: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(work)

    return to_the_end


@pytest.mark.parametrize("style", ["offset", "cursor"])
def test_a_walk_hands_out_every_call_once_and_leaves_nothing_behind(run: Run, style: str) -> None:
    async def walk() -> None:
        async with (
            Sandbox(style=style, calls=450) as sandbox,  # type: ignore[arg-type]
            TelepathClient(sandbox.api_key, base_url=sandbox.base_url) as telepath,
        ):
            calls = [call.id async for call in telepath.calls.list(prefetch=3)]
            assert calls == list(sandbox.calls)
            async for _ in telepath.calls.list(prefetch=3):
                break
            await asyncio.sleep(0.01)
            sent = len(sandbox.requests)
            await asyncio.sleep(0.05)
            assert len(sandbox.requests) == sent

    run(walk())


def test_a_batch_creates_each_trunk_once(run: Run) -> None:
    rows = [
        {
            "name": f"Agent {n}",
            "ai_provider": "openai",
            "sip_username": f"agent-{n}",
            "sip_password": "s3cur3P@ssw0rd!",
            "openai_api_key": "sk-1",
        }
        for n in range(60)
    ]

    async def create() -> None:
        async with (
            Sandbox(trunks=0) as sandbox,
            TelepathClient(sandbox.api_key, base_url=sandbox.base_url) as telepath,
        ):
            states = [it.state async for it in telepath.trunks.create_many(rows, concurrency=7)]
            assert states == ["created"] * 60
            assert len(sandbox.trunks) == 60

    run(create())


def test_a_bound_is_a_timeout_and_the_callers_own_cancellation_is_his(run: Run) -> None:
    once = RetryPolicy(max_attempts=1)
    with server_in_a_thread(HANG) as server:

        async def wait() -> None:
            async with TelepathClient(
                KEY, base_url=server.url, attempt_timeout=0.05, retry=once
            ) as telepath:
                with pytest.raises(RequestTimeout):
                    await telepath.calls.get("call_1")
                task = asyncio.current_task()
                assert task is not None
                for _ in range(10):  # both fall into the same moment
                    with pytest.raises(TimeoutError):
                        async with asyncio.timeout(0.05):
                            await telepath.calls.get("call_1")
                    assert task.cancelling() == 0

        run(wait())


def test_a_connection_that_went_stale_while_the_loop_was_busy_is_not_used(run: Run) -> None:
    with server_in_a_thread(reply(200, b"a", then="close"), reply(200, b"b")) as server:

        async def call_twice() -> None:
            async with TelepathClient(KEY, base_url=server.url) as telepath:
                await telepath.request("GET", "/a")
                time.sleep(0.2)
                assert (await telepath.request("POST", "/b")).body == b"b"

        run(call_twice())
    assert [request.connection for request in server.requests] == [0, 1]


def test_an_answer_that_came_in_time_is_read_after_a_busy_loop(run: Run) -> None:
    is_busy = threading.Event()

    def wait_and_answer(_: Received) -> Step:
        is_busy.wait()
        return reply(200, b"a")

    with server_in_a_thread(answering(wait_and_answer)) as server:

        async def call() -> None:
            loop = asyncio.get_running_loop()
            once = RetryPolicy(max_attempts=1)
            async with TelepathClient(
                KEY, base_url=server.url, attempt_timeout=0.4, retry=once
            ) as telepath:

                def keep_busy() -> None:
                    is_busy.set()
                    time.sleep(1)

                loop.call_later(0.2, keep_busy)
                assert (await telepath.request("GET", "/a")).body == b"a"

        run(call())
