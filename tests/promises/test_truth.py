"""Test that what the SDK says is true, over 10,000 random steps under random faults.

Returned means done, refused means not done, and OutcomeUnknown means that the answer was lost. The
steps are create, create_many, rotate, update, list and find. See `truth.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from telepath_async import OutcomeUnknown, TelepathClient
from telepath_async.events import Event, RequestStarted
from telepath_async.sandbox import Sandbox
from tests.support.operations import no_limit
from tests.support.truth import PATIENCE, POLICY, Driver, World

STEPS, WORLDS = 10_000, 8


def stalling(depth: int) -> Callable[[Event], None]:
    """Return a listener that stalls the loop once, so many steps of it after a request began.

    So the attempt times out while its request is written, and the server has not read it.
    """
    begun: list[Event] = []

    def stall(steps: int) -> None:
        if steps:
            asyncio.get_running_loop().call_soon(stall, steps - 1)
        else:
            time.sleep(1.2 * PATIENCE)

    def listener(event: Event) -> None:
        if isinstance(event, RequestStarted) and not begun:
            begun.append(event)
            stall(depth)

    return listener


async def test_a_request_that_the_server_reads_late_counts_for_the_step_that_sent_it() -> None:
    late = 0
    for depth in range(1, 8):
        async with (
            Sandbox(trunks=1, calls=0) as sandbox,
            TelepathClient(
                sandbox.api_key,
                base_url=sandbox.base_url,
                limiter=no_limit(),
                retry=POLICY,
                attempt_timeout=PATIENCE,
                on_event=stalling(depth),
            ) as client,
        ):
            (trunk_id,) = sandbox.trunks
            driver, world = Driver(client, _no_answer, random.Random(0)), World(sandbox)
            with contextlib.suppress(OutcomeUnknown):
                await client.trunks.rotate_sip_password(trunk_id)
            before = world.statuses("POST", trunk_id)
            await driver.settle()
            assert len(world.statuses("POST", trunk_id)) == 1
            late += not before
    assert late  # the server had read nothing when the caller gave up


async def _no_answer(what: str, *arguments: Any, **options: Any) -> Any:
    raise AssertionError(what)


async def drive(seed: int, style: Any) -> Counter[str]:
    async with (
        Sandbox(style=style, trunks=10, calls=0, seed=seed, rate_limit=10**7) as sandbox,
        TelepathClient(
            sandbox.api_key,
            base_url=sandbox.base_url,
            limiter=no_limit(),
            retry=POLICY,
            timeout=1.5,
            attempt_timeout=PATIENCE,
        ) as client,
    ):
        world = World(sandbox)

        async def ask(what: str, *arguments: Any, **options: Any) -> Any:
            return getattr(world, what)(*arguments, **options)

        driver = Driver(client, ask, random.Random(seed))
        for number in range(STEPS // WORLDS):
            try:
                await driver.step()
            except AssertionError as lie:
                lie.add_note(f"in step {number} of seed {seed}")
                raise
    return driver.said


@pytest.mark.long
async def test_10_000_steps_under_faults_find_no_lie() -> None:
    said: Counter[str] = Counter()
    async with asyncio.TaskGroup() as group:
        worlds = [
            group.create_task(drive(seed, ("offset", "cursor")[seed % 2])) for seed in range(WORLDS)
        ]
    for world in worlds:
        said += world.result()
    often = {
        "create: returned", "create: OutcomeUnknown", "create: ConflictError", "rotate: returned",
        "rotate: OutcomeUnknown", "create_many: created", "create_many: unknown",
        "create_many: exists", "update: returned", "list: returned",
    }  # fmt: skip
    assert not [what for what in often if said[what] < 20], said
