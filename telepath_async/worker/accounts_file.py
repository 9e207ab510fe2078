"""Read `accounts.toml`: the whole file is checked, and every fault has its account and field.

What a field may be stands in `accounts_fields.py`; how fields and accounts depend on each other,
here.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import asdict

from telepath_async import Secret, TelepathClient, UsageError
from telepath_async.checks import ACCOUNT_NAME
from telepath_async.protocol.strict import STRUCTURE_ERRORS, faults

from .accounts import Account, Accounts, Job, RotatePlan, SyncPlan, WatchPlan
from .accounts_fields import AccountTable, Environment, SyncTable, WatchTable, accounts_converter

if TYPE_CHECKING:
    from cattrs import Converter

_JOBS: Final = ("sync", "watch", "rotate")


def load_accounts(
    path: str | os.PathLike[str],
    *,
    distributed: bool = False,
    environment: Mapping[str, str] | None = None,
) -> Accounts:
    """Read and check the file, and the secrets that it names in the environment and in files.
    Nothing is sent or opened.

    `distributed`: several hosts share the jobs, so that what needs a file must name its `host`.
    `environment`: None is that of the process.

    Raises UsageError that lists every fault, with its account and field; none of them shows a
    secret.
    """
    found: list[str] = []
    secrets = Environment(os.environ if environment is None else environment)
    accounts = Accounts(accounts=())
    try:
        document = tomllib.loads(Path(path).read_text("utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        found.append(f"the file cannot be read: {reason}")
    except (ValueError, RecursionError) as error:  # tomllib's own, and of thousands of digits
        found.append(f"it is not TOML: {error}")
    else:
        read = _read(document, secrets, found)
        accounts = Accounts(accounts=tuple(read), secret_variables=frozenset(secrets.variables))
    found = found or _cross_checks(accounts, distributed)
    if found:
        count = "1 fault" if len(found) == 1 else f"{len(found)} faults"
        raise UsageError("\n".join([f"{os.fspath(path)} has {count}:", *found]))
    return accounts


def _cross_checks(accounts: Accounts, distributed: bool) -> list[str]:
    """Return the faults that no account has alone."""
    found: list[str] = []
    limits: dict[str, Account] = {}
    targets: dict[tuple[str, str], Account] = {}
    journals: dict[tuple[str, str | None], Account] = {}
    for account in accounts.accounts:
        path = f"accounts.{account.name}"
        first = limits.setdefault(account.key_id, account)
        if first.limit != account.limit:
            found.append(
                f"{path}.limit: the key of {first.name} is the same, and its limit is {first.limit}"
            )
        if account.sync is not None:
            target = (account.key_id, account.sync.database_url.reveal())
            first = targets.setdefault(target, account)
            if first is not account:
                found.append(f"{path}.sync: {first.name} has the same key and the same database")
        if account.rotate is not None:
            journal = (os.path.realpath(account.rotate.journal), account.host)
            first = journals.setdefault(journal, account)
            if first is not account:
                found.append(f"{path}.rotate.journal: it is the journal of {first.name}")
    if distributed:
        found += [_needs_host(job) for job in accounts.jobs if job.needs_host and job.host is None]
    return found


def _needs_host(job: Job) -> str:
    what = "the rotation's journal" if job.name == "rotate" else "a SQLite database"
    return (
        f"accounts.{job.account.name}.host: {what} is a file of one host; name it: host = "
        '"…" (the output of its `hostname`)'
    )


def _read(document: dict[str, Any], secrets: Environment, found: list[str]) -> list[Account]:
    """Return the accounts that have no fault, and add the faults of the others to `found`."""
    unknown = sorted(document.keys() - {"accounts"})
    found += [f"{name}: there is no such field here; there are accounts" for name in unknown]
    tables = document.get("accounts")
    if not isinstance(tables, dict) or not tables:
        found.append("accounts: there are none; begin with [accounts.NAME]")
        return []
    accounts: list[Account] = []
    converter = accounts_converter(secrets)
    for name, table in tables.items():
        if not ACCOUNT_NAME.fullmatch(name):
            found.append(
                f"accounts.{name!r}: a name is up to 64 letters, digits, dots, hyphens and "
                "underscores"
            )
            continue
        account = _account(name, table, converter)
        if isinstance(account, Account):
            accounts.append(account)
        else:
            found += [f"{path}: {text}" for path, text in account]
    return accounts


def _account(name: str, table: Any, converter: Converter) -> Account | list[tuple[str, str]]:
    """Return the account, or its faults."""
    path = f"accounts.{name}"
    found: list[tuple[str, str]] = []
    account = None
    try:
        account = converter.structure(table, AccountTable)
    except STRUCTURE_ERRORS as error:
        found += faults(error, path)
    if isinstance(table, dict):
        found += [(f"{path}.{field}", text) for field, text in _field_cross_checks(table)]
    if found or account is None:
        return found
    try:
        return _plan(name, account)
    except UsageError as error:  # of the process's own environment
        return [(f"{path}.base_url", str(error))]


def _field_cross_checks(table: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Give the faults of fields that are there, or not, beside others."""
    if ("api_key_env" in table) == ("api_key_file" in table):
        yield (
            "api_key_env",
            "give either api_key_env (a variable's name) or api_key_file (a path)",
        )
    databases = table.keys() & {"database_url", "database_url_env"}
    if len(databases) == 2:
        yield "database_url", "give database_url or database_url_env, and not both"
    sync = table.get("sync")
    if isinstance(sync, dict) and "since" not in sync and sync.get("partitions", 1) != 1:
        yield "sync.since", "partitions divide the time since then; set it"
    if sync is not None and not databases:
        yield "database_url", "sync needs a database_url or database_url_env"
    if not table.keys() & set(_JOBS):
        yield "sync", "there is nothing to do; add [accounts.NAME.sync], .watch or .rotate"


def _plan(name: str, table: AccountTable) -> Account:
    api_key = table.api_key_env or table.api_key_file
    database_url = table.database_url or table.database_url_env
    assert api_key is not None
    return Account(
        name=name,
        api_key=api_key,
        key_id=TelepathClient(api_key, base_url=table.base_url).key_id,
        base_url=table.base_url,
        limit=table.limit,
        host=table.host,
        sync=None if table.sync is None else _sync_plan(table.sync, database_url),
        watch=None if table.watch is None else _watch_plan(table.watch),
        rotate=None if table.rotate is None else RotatePlan(**asdict(table.rotate)),
    )


def _sync_plan(table: SyncTable, database_url: Secret | None) -> SyncPlan:
    assert database_url is not None
    return SyncPlan(**asdict(table), database_url=database_url)


def _watch_plan(table: WatchTable) -> WatchPlan:
    return WatchPlan(
        cron=table.cron,
        thresholds=table.thresholds,
        command=table.command,
        window=timedelta(minutes=table.window_minutes),
    )
