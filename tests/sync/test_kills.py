"""Kill a sync at random moments, while the server's rows change.

In the end the table equals the server.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from attrs import define, field

from telepath_async.sandbox import Sandbox
from tests.sync.tables import stored, truth

pytestmark = pytest.mark.long

KILLS = 30
CALLS = 2_000
LOOKBACK_HOURS = 15 * 24


@define
class Life:
    """Change the server's calls as time goes by.

    New ones, late updates within the lookback, deletions of any age.
    """

    sandbox: Sandbox
    random: random.Random
    deleted: set[str] = field(factory=set)

    def go_on(self) -> None:
        for _ in range(self.random.randrange(4)):
            self.sandbox.add_call()
        recent = datetime.now(UTC) - timedelta(hours=LOOKBACK_HOURS - 1)
        calls = list(self.sandbox.calls)
        for call_id in self.random.sample(calls, 20):
            if datetime.fromisoformat(self.sandbox.calls[call_id]["start_time"]) > recent:
                self.sandbox.update_call(
                    call_id, status="failed", duration_seconds=self.random.randrange(900)
                )
        for call_id in self.random.sample(calls, self.random.randrange(3)):
            self.sandbox.remove_call(call_id)
            self.deleted.add(call_id)


@define
class Syncer:
    """Tells `syncing.py` what to do."""

    process: asyncio.subprocess.Process

    async def say(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n".encode())
        await self.process.stdin.drain()

    async def end(self, word: str) -> int:
        """Say `kill` or `wait`; return how the sync ended."""
        assert self.process.stdout is not None
        await self.say(word)
        return int(await asyncio.wait_for(self.process.stdout.readline(), 30))

    async def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        await self.process.wait()


async def syncer(sandbox: Sandbox, database_url: str) -> Syncer:
    arguments = [sandbox.base_url, sandbox.api_key, database_url, str(LOOKBACK_HOURS)]
    program = str(Path(__file__).with_name("syncing.py"))
    process = await asyncio.create_subprocess_exec(
        sys.executable, program, *arguments, stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    return Syncer(process)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
async def test_thirty_random_kills_lose_nothing_and_double_nothing(
    style: str, database_url: str
) -> None:
    dice = random.Random(f"{style} {database_url.partition(':')[0]}")
    async with Sandbox(style=style, calls=CALLS, latency=0.003, seed=3) as sandbox:  # type: ignore[arg-type]
        life = Life(sandbox, dice)
        syncing = await syncer(sandbox, database_url)
        kills = 0
        while kills < KILLS:
            await syncing.say("sync")
            await asyncio.sleep(dice.uniform(0.01, 0.2))
            life.go_on()
            ended = await syncing.end("kill")
            assert ended in (0, -signal.SIGKILL)
            kills += ended == -signal.SIGKILL
        await syncing.say("sync")
        assert await syncing.end("wait") == 0
        await syncing.close()
        table, server = await stored(database_url), truth(sandbox)
        assert {key: table.get(key) for key in server} == server
        assert set(table) - set(server) <= life.deleted
