"""Test that what the SDK says is true, over 10,000 random steps under random faults.

Returned means done, refused means not done, and OutcomeUnknown means that the answer was lost. The
steps are create, create_many, rotate, update, list and find. See `truth.py`.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import pytest

from telepath_async import TelepathClient
from telepath_async.sandbox import Sandbox
from tests.promises.operations import no_limit
from tests.promises.truth import PATIENCE, POLICY, Driver, World

pytestmark = pytest.mark.long

STEPS, WORLDS = 10_000, 8


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


async def test_10_000_steps_under_faults_find_no_lie() -> None:
    said: Counter[str] = Counter()
    async with asyncio.TaskGroup() as group:
        worlds = [
            group.create_task(drive(seed, ("offset", "cursor")[seed % 2])) for seed in range(WORLDS)
        ]
    for world in worlds:
        said += world.result()
    often = {
        "create: returned",
        "create: OutcomeUnknown",
        "create: ConflictError",
        "rotate: returned",
        "rotate: OutcomeUnknown",
        "create_many: created",
        "create_many: unknown",
        "create_many: exists",
        "update: returned",
        "list: returned",
    }
    assert not [what for what in often if said[what] < 20], said
