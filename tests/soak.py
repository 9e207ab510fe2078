"""Run a long mixed load under faults against sandboxes in a process of their own.

`nox -s soak`, `-- --seconds 30`. Prints which promises held, and how memory, tasks and file
descriptors went. Its exit status is 1 when a promise broke.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import multiprocessing
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from multiprocessing.connection import Connection
from typing import Any

from attrs import define, field, frozen

from telepath_async import TelepathClient, TelepathError
from telepath_async.sandbox import Sandbox
from tests.support.operations import no_limit
from tests.support.truth import PATIENCE, POLICY, Driver, World

CALLS = 500
LARGEST_GROWTH = 1.15  # of the memory at the first sample after the start
SAMPLES = 10


# The process of the servers.


def serve(wire: Connection, worlds: int) -> None:
    """Serve sandboxes, and answer questions about them, until the other end hangs up."""
    asyncio.run(_serve(wire, worlds))


async def _serve(wire: Connection, count: int) -> None:
    async with AsyncExitStack() as stack:
        sandboxes = [
            await stack.enter_async_context(
                Sandbox(style=style, trunks=10, calls=CALLS, seed=seed, rate_limit=10**7)
            )
            for seed, style in zip(range(count), itertools.cycle(("offset", "cursor")))  # type: ignore[arg-type]
        ]
        worlds = [World(sandbox) for sandbox in sandboxes]
        wire.send([(sandbox.base_url, sandbox.api_key) for sandbox in sandboxes])
        over = asyncio.Event()

        def answer() -> None:
            try:
                number, place, what, arguments, options = wire.recv()
                wire.send((number, getattr(worlds[place], what)(*arguments, **options)))
            except (EOFError, OSError):
                asyncio.get_running_loop().remove_reader(wire.fileno())
                over.set()

        asyncio.get_running_loop().add_reader(wire.fileno(), answer)
        await over.wait()


# The process of the client.


@define
class Wire:
    """Asks the other process; answers come in any order."""

    wire: Connection
    _numbers: Any = field(factory=itertools.count)
    _waiting: dict[int, asyncio.Future[Any]] = field(factory=dict)

    def listen(self) -> None:
        asyncio.get_running_loop().add_reader(self.wire.fileno(), self._answered)

    def _answered(self) -> None:
        number, value = self.wire.recv()
        waiting = self._waiting.pop(number)
        if not waiting.done():
            waiting.set_result(value)

    def of(self, place: int) -> Callable[..., Awaitable[Any]]:
        async def ask(what: str, *arguments: Any, **options: Any) -> Any:
            number = next(self._numbers)
            self._waiting[number] = asyncio.get_running_loop().create_future()
            self.wire.send((number, place, what, arguments, options))
            return await self._waiting[number]

        return ask


@frozen
class Sample:
    """What was seen `seconds` after the start."""

    seconds: float
    steps: int
    memory_mib: float
    tasks: int
    files: int


@define
class Soak:
    """The run: what held, what broke, and what was seen on the way."""

    held: Counter[str] = field(factory=Counter)
    broken: dict[str, str] = field(factory=dict)
    samples: list[Sample] = field(factory=list)
    said: Counter[str] = field(factory=Counter)

    def breaks(self, promise: str, why: object) -> None:
        self.broken.setdefault(promise, f"{why}")

    async def drive(self, driver: Driver, until: float) -> None:
        while time.monotonic() < until:
            try:
                await driver.step()
            except AssertionError as lie:
                self.breaks("what the SDK says is true", lie)
            except Exception as error:  # noqa: BLE001
                self.breaks("only our errors come out", repr(error))
            self.held["what the SDK says is true"] += 1
            self.held["only our errors come out"] += 1
        self.said += driver.said

    async def read(self, client: TelepathClient, how: random.Random, until: float) -> None:
        """Walk the calls; leave early, now and then."""
        while time.monotonic() < until:
            await asyncio.sleep(0.3)  # or the servers would do nothing else
            calls = client.calls.list(
                page_size=how.choice((20, 100)), prefetch=how.choice((0, 2, 8))
            )
            most = how.choice((CALLS, CALLS, 30))
            got: list[str] = []
            try:
                async with asyncio.timeout(how.choice((None, None, 0.05))):
                    async for call in calls:
                        got.append(call.id)
                        if len(got) == most:
                            break
                    else:
                        most = CALLS
            except TimeoutError:
                self.held["a cancelled walk leaves at once"] += 1
                continue
            except TelepathError:
                got += [call.id for call in await self._rest(client, calls.checkpoint)]
                most = CALLS
            if len(set(got)) != len(got) or len(got) != most:
                self.breaks(
                    "a list is whole, or an error that its checkpoint makes good",
                    f"{len(got)} of {most} calls",
                )
            self.held["a list is whole, or an error that its checkpoint makes good"] += 1
            try:
                await client.analytics.overview()
                await client.calls.get(got[0])
            except TelepathError:
                continue

    async def _rest(self, client: TelepathClient, checkpoint: str) -> list[Any]:
        while True:
            try:
                return await client.calls.list(resume=checkpoint).collect()
            except TelepathError:
                continue

    async def watch(self, began: float, until: float) -> None:
        pause = (until - began) / SAMPLES
        while time.monotonic() < until - pause / 2:
            await asyncio.sleep(pause)
            gc.collect()
            self.sample(began)

    def sample(self, began: float) -> None:
        steps = self.held["what the SDK says is true"]
        tasks = len(asyncio.all_tasks())
        self.samples.append(
            Sample(
                time.monotonic() - began,
                steps,
                memory_mib(),
                tasks,
                len(os.listdir("/proc/self/fd")),
            )
        )

    def judge_leaks(self) -> None:
        first, *_, last, after = self.samples
        self.held |= Counter({"memory stays flat": 1, "no task and no file is left open": 1})
        if (
            max(sample.memory_mib for sample in self.samples[-4:])
            > first.memory_mib * LARGEST_GROWTH
        ):
            self.breaks("memory stays flat", f"{first.memory_mib:.1f} -> {last.memory_mib:.1f} MiB")
        if after.tasks > 1 or after.files > self.samples[0].files:
            self.breaks(
                "no task and no file is left open",
                f"{after.tasks} tasks, {after.files} files at the end",
            )


def memory_mib() -> float:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


async def run(wire: Connection, seconds: float, seed: int) -> Soak:
    """Load all sandboxes for so many seconds."""
    soak, line = Soak(), Wire(wire)
    places = wire.recv()
    line.listen()
    began = time.monotonic()
    until = began + seconds
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        group.create_task(soak.watch(began, until))
        for number, (url, key) in enumerate(places):
            client = TelepathClient(
                key,
                base_url=url,
                limiter=no_limit(),
                retry=POLICY,
                timeout=3.0,
                attempt_timeout=PATIENCE,
            )
            await stack.enter_async_context(client)
            how = random.Random(f"{seed} {number}")
            group.create_task(soak.drive(Driver(client, line.of(number), how), until))
            group.create_task(soak.read(client, random.Random(f"{seed} reader {number}"), until))
        await asyncio.sleep(seconds)
    await asyncio.sleep(0.1)
    gc.collect()
    soak.sample(began)
    asyncio.get_running_loop().remove_reader(wire.fileno())
    return soak


def report(soak: Soak) -> None:
    print(f"{'promise':<64} {'checks':>9}  held")
    for promise, checks in soak.held.items():
        why = soak.broken.get(promise)
        print(f"{promise:<64} {checks:>9,}  {'yes' if why is None else f'NO: {why}'}")
    print(f"\n{'seconds':>8} {'steps':>9} {'MiB':>8} {'tasks':>6} {'files':>6}")
    for sample in soak.samples:
        print(
            f"{sample.seconds:>8.0f} {sample.steps:>9,} {sample.memory_mib:>8.1f} "
            f"{sample.tasks:>6} {sample.files:>6}"
        )
    print(
        "\nwhat was said: "
        + ", ".join(f"{count} {what}" for what, count in sorted(soak.said.items()))
    )


def main() -> int:
    """Run, print, and return the exit status."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=600.0)
    options.add_argument(
        "--worlds", type=int, default=8, help="how many sandboxes, each with a client of its own"
    )
    options.add_argument("--seed", type=int, default=0)
    chosen = options.parse_args()
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=serve, args=(theirs, chosen.worlds), daemon=True
    )
    process.start()
    theirs.close()
    soak = asyncio.run(run(ours, chosen.seconds, chosen.seed))
    ours.close()
    process.join(10)
    soak.judge_leaks()
    report(soak)
    return 1 if soak.broken else 0


if __name__ == "__main__":
    sys.exit(main())
