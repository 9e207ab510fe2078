"""The content of `accounts.toml`: whose calls are synced, watched and rotated, when, and where the
secrets are. Nothing is sent.

How the file is read and checked stands in `accounts_file.py`.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final, Literal, TypeAlias

from attrs import frozen

from telepath_async import Secret
from telepath_async.jobs import Threshold
from telepath_async.protocol.redaction import Redactor, url_secrets

JobName: TypeAlias = Literal["sync", "watch", "rotate"]

# A run that takes longer is cut off. A sync goes on from there at once, and others get their turn
# in between.
SECONDS_OF_A_RUN: Final[dict[JobName, float]] = {"sync": 900.0, "watch": 120.0, "rotate": 3600.0}


@frozen(kw_only=True)
class SyncPlan:
    """Calls into a database, from `since` on.

    The first run divides the time from `since` to then into `partitions`. `lookback`: how long
    after its start a call may still appear or change.
    """

    cron: str
    database_url: Secret
    since: datetime | None = None
    partitions: int = 1
    lookback: timedelta = timedelta(hours=1)


@frozen(kw_only=True)
class WatchPlan:
    """Figures of the last `window` held against thresholds; `command` is run for each alert."""

    cron: str
    thresholds: tuple[Threshold, ...]
    command: tuple[str, ...]
    window: timedelta = timedelta(minutes=15)


@frozen(kw_only=True)
class RotatePlan:
    """New SIP passwords for all trunks.

    `command` gives each to the carrier; `journal` is a file of the account's host.
    """

    cron: str
    journal: str
    command: tuple[str, ...]


@frozen(kw_only=True)
class Account:
    """One account: its key, its limit in requests a minute, and what is done for it.

    `host`: where its files are.
    """

    name: str
    api_key: Secret
    key_id: str
    base_url: str | None = None
    limit: int = 6000
    host: str | None = None
    sync: SyncPlan | None = None
    watch: WatchPlan | None = None
    rotate: RotatePlan | None = None


@frozen(kw_only=True)
class Accounts:
    """All accounts of a file, and the environment's variables that hold their secrets."""

    accounts: tuple[Account, ...]
    secret_variables: frozenset[str] = frozenset()

    @property
    def jobs(self) -> tuple[Job, ...]:
        """Every job of every account."""
        return tuple(
            Job(account=account, name=name)
            for account in self.accounts
            for name in ("sync", "watch", "rotate")
            if getattr(account, name) is not None
        )

    def secrets(self) -> list[Secret]:
        """Return what must not be shown: keys, and the passwords of databases."""
        keys = [account.api_key for account in self.accounts]
        plans = [account.sync for account in self.accounts if account.sync is not None]
        return [*keys, *(secret for plan in plans for secret in url_secrets(plan.database_url))]


@frozen
class Job:
    """One job of an account.

    `key` names it everywhere; `plan` changes when what it does changes, and shows nothing.
    """

    account: Account
    name: JobName

    @property
    def key(self) -> str:
        return f"{self.account.name}:{self.name}"

    @property
    def cron(self) -> str:
        plan: SyncPlan | WatchPlan | RotatePlan = getattr(self.account, self.name)
        return plan.cron

    @property
    def host(self) -> str | None:
        """The one host that may run it; None: any.

        A journal is one host's file, and so is a SQLite database.
        """
        sync = self.account.sync
        local = self.name == "rotate" or (
            self.name == "sync" and sync is not None and is_sqlite(sync.database_url)
        )
        return self.account.host if local else None

    @property
    def needs_host(self) -> bool:
        """Whether it may run on one host alone."""
        sync = self.account.sync
        return self.name == "rotate" or (
            self.name == "sync" and sync is not None and is_sqlite(sync.database_url)
        )

    @property
    def plan(self) -> str:
        account = self.account
        parts: list[object] = [
            account.key_id,
            account.base_url,
            self.host,
            repr(getattr(account, self.name)),
        ]
        if self.name == "sync" and account.sync is not None:
            url = account.sync.database_url
            parts.append(Redactor(url_secrets(url)).text(url.reveal()))
        return sha256(json.dumps(parts).encode()).hexdigest()[:16]


def is_sqlite(database_url: Secret) -> bool:
    """Whether the database is a file."""
    return database_url.reveal().startswith("sqlite")
