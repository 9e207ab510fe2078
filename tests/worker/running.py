"""A runner on a sandbox, without a broker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import evolve

from telepath_async.protocol.redaction import Redactor
from telepath_async.sandbox import Sandbox
from telepath_async.worker import Account, Accounts, load_accounts
from telepath_async.worker.commands import Commands
from telepath_async.worker.file_store import FileStore
from telepath_async.worker.limits import Limiters
from telepath_async.worker.runner import Runner
from telepath_async.worker.stores import StatusStore


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


OFTEN = '[accounts.acme.sync]\ncron = "* * * * *"\nsince = 2026-01-01\npartitions = 3\n'


async def until(true: object, seconds: float = 20.0) -> None:
    """Wait until a function gives something true."""
    end = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < end, "it did not come to that"
        await asyncio.sleep(0.02)
