"""A runner on a sandbox, without a broker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from attrs import evolve

from telepath_async.protocol.redaction import Redactor
from telepath_async.sandbox import Sandbox
from telepath_async.worker import Account, Accounts, load_accounts
from telepath_async.worker.commands import Commands
from telepath_async.worker.file_store import FileStore
from telepath_async.worker.limits import Limiters
from telepath_async.worker.runner import Runner
from telepath_async.worker.stores import StatusStore


class Worker(Protocol):
    """Whatever serves until it is stopped."""

    async def serve(self, stop: asyncio.Event) -> None: ...


def accounts_of(
    folder: Path, sandbox: Sandbox, jobs: str, *, host: str | None = None, name: str = "acme"
) -> Accounts:
    """One account on the sandbox, with a SQLite database.

    A sync of every minute is due every second: nobody waits for that in a test.
    """
    path = folder / "accounts.toml"
    path.write_text(
        f'[accounts.{name}]\napi_key_env = "KEY"\nbase_url = "{sandbox.base_url}"\n'
        f'limit = 1000000\ndatabase_url = "sqlite:///{folder}/calls.db"\n'
        f"{f'host = {host!r}' if host else ''}\n{jobs}"
    )
    loaded = load_accounts(path, environment={"KEY": sandbox.api_key})
    return evolve(loaded, accounts=tuple(map(every_second, loaded.accounts)))


def every_second(account: Account) -> Account:
    """Return an account whose sync of every minute is due every second."""
    if account.sync is None or account.sync.cron != "* * * * *":
        return account
    return evolve(account, sync=evolve(account.sync, cron="* * * * * */1"))


def runner_of(accounts: Accounts, store: StatusStore, **options: Any) -> Runner:
    """A runner of all jobs."""
    defaults: Mapping[str, Any] = {
        "jobs": {job.key: job for job in accounts.jobs},
        "store": store,
        "limiters": Limiters(None, 1),
        "commands": Commands(),
        "redactor": Redactor(accounts.secrets()),
        "worker": "here:1",
    }
    return Runner(**{**defaults, **options})


def file_store(folder: Path) -> FileStore:
    return FileStore(str(folder / "state"))


RunnerOn = Callable[..., Runner]
SYNC = '[accounts.acme.sync]\ncron = "@hourly"\nsince = 2026-01-01\n'
WATCH = (
    '[accounts.acme.watch]\ncron = "@yearly"\n'
    'thresholds = { avg_ai_latency_ms = 1 }\ncommand = ["/bin/true"]\n'
)
OFTEN = '[accounts.acme.sync]\ncron = "* * * * *"\nsince = 2026-01-01\npartitions = 3\n'


async def until(true: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until a function gives something true, or something to await that is."""
    end = time.monotonic() + seconds
    while not await _awaited(true()):
        assert time.monotonic() < end, "it did not come to that"
        await asyncio.sleep(0.02)


async def _awaited(result: object) -> object:
    return await result if isinstance(result, Awaitable) else result


def jobs_running(runner: Runner) -> float:
    """Return how many jobs the metrics say are running."""
    (metric,) = runner.metrics.running.collect()
    return metric.samples[0].value


@asynccontextmanager
async def serving(worker: Worker) -> AsyncIterator[None]:
    """Run a worker, and stop it in the end."""
    stop = asyncio.Event()
    task = asyncio.create_task(worker.serve(stop))
    try:
        yield
    finally:
        stop.set()
        async with asyncio.timeout(10):
            await task
