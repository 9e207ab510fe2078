"""Kill the workers of a fleet at random, and compare the tables in the end.

The servers' calls change meanwhile.

    python -m tests.worker.killing --accounts 50 --workers 3 --kills 40 --calls 2000 [--broker
    redis|postgres] [--real-times]

The test has a small one of these. `--real-times`: the workers find each other dead in the times
that users get.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
from attrs import define, field

from telepath_async.sandbox import Sandbox
from tests.sync.tables import Rows, stored, truth
from tests.worker.processes import Workers, workers

_SECONDS_TO_COMPARE = 120.0
_SECONDS_TO_BEGIN = 5.0


@define(kw_only=True)
class Customer:
    """An account: its server, its key, and where its calls go."""

    name: str
    sandbox: Sandbox
    database_url: str
    partitions: int

    def section(self) -> str:
        since = datetime.now(UTC) - timedelta(days=31)
        return f"""
            [accounts.{self.name}]
            api_key_env = "KEY_OF_{self.name}"
            base_url = "{self.sandbox.base_url}"
            database_url = "{self.database_url}"
            host = "{socket.gethostname()}"
            limit = 1000000
            [accounts.{self.name}.sync]
            cron = "* * * * * */2"
            since = {since:%Y-%m-%dT%H:%M:%SZ}
            partitions = {self.partitions}
            """

    async def table(self) -> Rows:
        with contextlib.suppress(Exception):  # it is not there yet
            return await stored(self.database_url)
        return {}


@asynccontextmanager
async def customers(
    number: int, calls: int, folder: Path, postgres: str
) -> AsyncIterator[list[Customer]]:
    """Provide so many accounts, half of them in PostgreSQL schemas, half in SQLite."""
    prefix = f"killing_{uuid4().hex[:8]}"
    connection = await asyncpg.connect(postgres)
    async with AsyncExitStack() as stack:
        found: list[Customer] = []
        for index in range(number):
            url = f"sqlite:///{folder}/{index}.db"
            if index % 2:
                schema = f"{prefix}_{index}"
                await connection.execute(f"CREATE SCHEMA {schema}")
                stack.push_async_callback(connection.execute, f"DROP SCHEMA {schema} CASCADE")
                url = f"{postgres}{'&' if '?' in postgres else '?'}search_path={schema}"
            sandbox = Sandbox(
                style="cursor" if index % 3 == 2 else "offset", calls=calls, latency=0.05,
                seed=index, rate_limit=10_000_000, api_key=f"sk_live_key_of_account_{index}",
            )  # fmt: skip
            await stack.enter_async_context(sandbox)
            found.append(
                Customer(
                    name=f"a{index}", sandbox=sandbox, database_url=url, partitions=1 + index % 4
                )
            )
        stack.push_async_callback(asyncio.sleep, 0)
        yield found
    await connection.close()


@define(kw_only=True)
class Killing:
    """Run workers, and kill them at random: `kills` of them, while calls come and change.

    A few die a second, or one every few seconds.
    """

    broker_arguments: Sequence[str]
    number: int
    kills: int
    pause: tuple[float, float]
    dice: random.Random
    log: list[str] = field(factory=list)

    async def run(self, folder: Path, accounts: list[Customer], **environment: str) -> None:
        """Kill, let the fleet come to rest, and compare. Raises AssertionError."""
        path = folder / "accounts.toml"
        path.write_text("".join(account.section() for account in accounts))
        keys = {f"KEY_OF_{account.name}": account.sandbox.api_key for account in accounts}
        arguments = ["--accounts", str(path), *self.broker_arguments]
        async with workers(folder, arguments, **keys, **environment) as fleet:
            pids = [await fleet.start(number) for number in range(self.number)]
            for _ in range(self.kills):
                victim = self.dice.randrange(self.number)
                await self._at_work(fleet, pids[victim])
                await asyncio.sleep(self.dice.uniform(*self.pause))
                self._live(accounts)
                assert await fleet.end("kill", victim) == -signal.SIGKILL
                pids[victim] = await fleet.start(victim)
            await self._compare(accounts, fleet)
            for number in range(self.number):
                await fleet.say("stop", number)
            begun = time.monotonic()
            assert [await fleet.end("wait", number) for number in range(self.number)] == [
                0
            ] * self.number
            assert time.monotonic() - begun < 10 * self.number  # each within 10 s of its signal

    async def _at_work(self, fleet: Workers, pid: int) -> None:
        """Wait until a worker is in the middle of a job, or for long enough: there may be none."""
        end = time.monotonic() + _SECONDS_TO_BEGIN
        while not jobs_under_way(fleet.log)[pid] and time.monotonic() < end:
            await asyncio.sleep(0.02)

    def _live(self, accounts: list[Customer]) -> None:
        """Let calls begin, and recent ones change."""
        for account in self.dice.sample(accounts, max(1, len(accounts) // 4)):
            account.sandbox.add_call()
            newest = next(iter(account.sandbox.calls))
            account.sandbox.update_call(
                newest, status="failed", duration_seconds=self.dice.randrange(900)
            )

    async def _compare(self, accounts: list[Customer], fleet: Workers) -> None:
        left = list(accounts)
        end = time.monotonic() + _SECONDS_TO_COMPARE
        while left and time.monotonic() < end:
            await asyncio.sleep(0.5)
            left = [account for account in left if await account.table() != truth(account.sandbox)]
        assert [account.name for account in left] == [], fleet.log.read_text()[-4000:]


def _events(log: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for line in log.read_text().splitlines()
        if line.startswith("{") and line.endswith("}")
    ]


def jobs_under_way(log: Path) -> Counter[int]:
    """Return how many jobs each worker, by its pid, has begun and not ended."""
    events = _events(log)
    begun = Counter(event["pid"] for event in events if event["event"] == "begun")
    return begun - Counter(
        int(event["worker"].rpartition(":")[2]) for event in events if event["event"] == "job"
    )


def outcomes(log: Path) -> Counter[str]:
    """Return how the jobs that began have ended, or that their worker was killed."""
    ended = Counter(event["outcome"] for event in _events(log) if event["event"] == "job")
    return ended + Counter({"killed": jobs_under_way(log).total()})


async def main(options: argparse.Namespace) -> None:
    from redis import Redis

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.broker == "redis":
            Redis.from_url(options.url).flushdb()
        broker = [f"--{options.broker}", options.url]
        async with customers(options.accounts, options.calls, folder, options.postgres) as accounts:
            killing = Killing(
                broker_arguments=broker, number=options.workers, kills=options.kills,
                pause=(options.pause, options.pause * 2), dice=random.Random(options.seed),
            )  # fmt: skip
            begun = time.monotonic()
            environment = {"REAL_TIMES": "1"} if options.real_times else {}
            await killing.run(folder, accounts, **environment)
            rows = sum([len(await account.table()) for account in accounts])
            print(
                f"{options.accounts} accounts, {rows:,} rows, {options.kills} kills in "
                f"{time.monotonic() - begun:.0f} s: equal"
            )
            print(dict(outcomes(folder / "workers.log")))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name, number in (
        ("accounts", 50),
        ("workers", 3),
        ("kills", 30),
        ("calls", 2000),
        ("seed", 1),
    ):
        parser.add_argument(f"--{name}", type=int, default=number)
    parser.add_argument(
        "--pause",
        type=float,
        default=2.0,
        help="least seconds between two kills; twice as many at most",
    )
    parser.add_argument("--broker", choices=["redis", "postgres"], default="redis")
    parser.add_argument("--url", default="redis://127.0.0.1:6379/8")
    parser.add_argument(
        "--postgres",
        default=os.environ.get("DATABASE_URL", "postgresql://postgres@127.0.0.1:5432/test"),
    )
    parser.add_argument("--real-times", action="store_true")
    asyncio.run(main(parser.parse_args()))
