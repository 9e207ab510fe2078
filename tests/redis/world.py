"""Make up the clock, wires and faults of a Redis that runs the real script.

The script runs on a real Redis.

Limiters live on one loop in whose time nothing takes long (`JumpLoop`), each as if in a process of
its own.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any
from uuid import uuid4

import pytest
import redis
import redis.exceptions

from telepath_async.redis import RedisLimiter
from telepath_async.redis.messages import SyncReply, read_reply
from telepath_async.redis.server import BODY
from telepath_async.redis.times import TIMEOUT
from tests.support.jumping import JumpLoop

EPOCH = 1_795_000_000.0


def timed_script(client: redis.Redis) -> redis.commands.core.Script:
    """Return the limiter's script, which takes the time as its second argument."""
    return client.register_script("local now = tonumber(ARGV[2])\n" + BODY)


class World:
    """`delay`: seconds on the wire, each way, drawn anew for each word."""

    def __init__(self, url: str, loop: JumpLoop, seed: int = 0) -> None:
        self.loop = loop
        self.redis = redis.Redis.from_url(url)
        self.script = timed_script(self.redis)
        self.offset = EPOCH - loop.now
        self.chance = random.Random(seed)
        self.delay: Callable[[], float] = lambda: self.chance.uniform(0.0002, 0.002)
        self.going = asyncio.Event()
        self.going.set()
        self.down = False
        self.losing_answers = 0.0
        self.key = f"test:{uuid4()}"
        self.words = 0
        self.grants: list[float] = []
        self.processes: list[Process] = []
        self._wires: set[asyncio.Task[None]] = set()

    def now(self) -> float:
        return self.offset + self.loop.now

    async def word(self, server: FakeServer, do: Callable[[], Any], *, lost: bool = False) -> Any:
        """Let Redis do it, whether or not somebody still waits for the answer."""
        answer: asyncio.Future[Any] = self.loop.create_future()
        if server.killed:
            raise redis.exceptions.ConnectionError("killed")
        wire = self.loop.create_task(self._carry(server, do, answer, lost=lost))
        self._wires.add(wire)
        wire.add_done_callback(self._wires.discard)
        self.words += 1
        async with asyncio.timeout(TIMEOUT):
            return await answer

    async def _carry(
        self, server: FakeServer, do: Callable[[], Any], answer: asyncio.Future[Any], *, lost: bool
    ) -> None:
        await asyncio.sleep(self.delay())
        if self.down:
            if not answer.done():
                answer.set_exception(redis.exceptions.ConnectionError("refused"))
            return
        if server.cut:
            return
        await self.going.wait()
        try:
            said = do()
        except redis.exceptions.ResponseError as refusal:
            answer.set_exception(refusal)
            return
        await asyncio.sleep(self.delay())
        if lost or answer.done() or server.cut or self.chance.random() < self.losing_answers:
            return
        answer.set_result(said)

    def forget(self) -> None:
        self.redis.delete(self.key)

    async def close(self) -> None:
        for process in self.processes:
            await process.stop()
        self.going.set()
        for wire in list(self._wires):
            wire.cancel()
        await asyncio.gather(*self._wires, return_exceptions=True)
        self.forget()
        self.redis.close()


class FakeServer:
    """One limiter's connection.

    `requests`: what it sent to the script; `on_reply`: called with each reply, before the limiter;
    `losing`: how many of the next requests the script runs, and their replies are lost.
    """

    address = "made-up:6379"

    def __init__(self, world: World) -> None:
        self.world = world
        self.cut = False
        self.killed = False
        self.losing = 0
        self.requests: list[dict[str, Any]] = []
        self.on_reply: Callable[[], object] = lambda: None

    async def time(self) -> float:
        now: float = await self.world.word(self, self.world.now)
        return now

    async def sync(self, key: str, request: str) -> SyncReply:
        def run() -> Any:
            return self.world.script(keys=[self.world.key], args=[request, self.world.now()])

        self.requests.append(json.loads(request))
        lost, self.losing = self.losing > 0, self.losing - 1
        reply = read_reply(await self.world.word(self, run, lost=lost))
        self.on_reply()
        return reply

    async def disconnect(self) -> None:
        pass

    async def aclose(self) -> None:
        pass


class Process:
    """Run a limiter as if in a process of its own.

    It has as many callers as `wants`, who want one permit after the other.
    """

    def __init__(
        self,
        world: World,
        wants: int = 10,
        *,
        priority: Any = "interactive",
        pause: float = 0.0,
        **figures: Any,
    ) -> None:
        self.world = world
        self.states: list[str] = []
        self.server = FakeServer(world)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("telepath_async.redis.limiter.Server", lambda _: self.server)
            self.limiter = RedisLimiter(
                "redis://made-up", on_state=self.states.append, clock=world.loop.time, **figures
            )
        self.limiter.bind("key")
        self.grants: list[float] = []
        self._wants, self._priority, self._pause = wants, priority, pause
        self._callers: list[asyncio.Task[None]] = []

    async def start(self) -> Process:
        self.world.processes.append(self)
        await self.limiter.__aenter__()
        return self.want()

    def want(self, wants: int | None = None) -> Process:
        self._wants = self._wants if wants is None else wants
        self._callers = [self.world.loop.create_task(self._call()) for _ in range(self._wants)]
        return self

    async def _call(self) -> None:
        while True:
            await self.limiter.acquire(priority=self._priority)
            self.grants.append(self.world.loop.now)
            self.world.grants.append(self.world.loop.now)
            await asyncio.sleep(self._pause * self.world.chance.uniform(0.5, 1.5))

    async def rest(self) -> None:
        """Want nothing more."""
        for caller in self._callers:
            caller.cancel()
        await asyncio.gather(*self._callers, return_exceptions=True)
        self._callers = []

    async def kill(self) -> None:
        """Say no goodbye, and take with it what it holds."""
        self.server.killed = True
        await self.stop()

    async def stop(self) -> None:
        await self.rest()
        await self.limiter.aclose()


@contextmanager
def made_up(url: str, seed: int = 0) -> Iterator[World]:
    """Make up a world, and stop in the end whatever was started in it."""
    with asyncio.Runner(loop_factory=JumpLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, JumpLoop)
        world = World(url, loop, seed)
        try:
            yield world
        finally:
            loop.run_until_complete(world.close())


def in_its_world(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run the test in the time of its `world`."""

    @wraps(test)
    def run(world: World, **given: Any) -> None:
        world.loop.run_until_complete(test(world, **given))

    return run
