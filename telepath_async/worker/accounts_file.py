"""Reading `accounts.toml`: the whole file is checked, and every fault is told with its account and field."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Final, cast

from attrs import define, field
from croniter import croniter  # type: ignore[import-untyped]

from telepath_async import Secret, TelepathClient, UsageError
from telepath_async.jobs import Threshold
from telepath_async.jobs.alerts import Metric
from telepath_async.sync.database import make_engine

from .accounts import Account, Accounts, Job, RotatePlan, SyncPlan, WatchPlan

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MOST_PARTITIONS: Final = 1000
_MOST_REQUESTS_A_MINUTE: Final = 1_000_000
_DEFAULT_LIMIT: Final = 6000
_DEFAULT_WINDOW_MINUTES: Final = 15
_JOBS: Final = ("sync", "watch", "rotate")


def load_accounts(
    path: str | os.PathLike[str],
    *,
    distributed: bool = False,
    environment: Mapping[str, str] | None = None,
) -> Accounts:
    """Read and check the file, and the secrets that it names in the environment and in files.
    Nothing is sent or opened.

    `distributed`: several hosts share the jobs, so that what needs a file must name its `host`. `environment`: None is
    that of the process.

    Raises UsageError that lists every fault, with its account and field; none of them shows a
    secret.
    """
    reader = _Reader(os.environ if environment is None else environment)
    try:
        document = tomllib.loads(Path(path).read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        document = {}
        reader.faults.append(f"the file cannot be read: {reason}")
    except tomllib.TOMLDecodeError as error:
        document = {}
        reader.faults.append(f"it is not TOML: {error}")
    else:
        reader.read(document)
    accounts = Accounts(
        accounts=tuple(reader.accounts), secret_variables=frozenset(reader.variables)
    )
    if not reader.faults:
        reader.faults += _together(accounts, distributed)
    if reader.faults:
        raise UsageError(
            "\n".join([f"{os.fspath(path)} has {len(reader.faults)} faults:", *reader.faults])
        )
    return accounts


def _together(accounts: Accounts, distributed: bool) -> list[str]:
    """Return the faults that no account has alone."""
    faults: list[str] = []
    limits: dict[str, Account] = {}
    targets: dict[tuple[str, str], Account] = {}
    journals: dict[str, Account] = {}
    for account in accounts.accounts:
        first = limits.setdefault(account.key_id, account)
        if first.limit != account.limit:
            faults.append(
                f"accounts.{account.name}.limit: the key of {first.name} is the same, and its "
                f"limit is {first.limit}"
            )
        if account.sync is not None:
            target = (account.key_id, account.sync.database_url.reveal())
            if targets.setdefault(target, account) is not account:
                faults.append(
                    f"accounts.{account.name}.sync: {targets[target].name} has the same key "
                    "and the "
                    "same database"
                )
        if account.rotate is not None:
            journal = os.path.realpath(account.rotate.journal)
            if (
                journals.setdefault(journal, account) is not account
                and journals[journal].host == account.host
            ):
                faults.append(
                    f"accounts.{account.name}.rotate.journal: it is the journal of "
                    f"{journals[journal].name}"
                )
    if distributed:
        faults += [_homeless(job) for job in accounts.jobs if job.needs_host and job.host is None]
    return faults


def _homeless(job: Job) -> str:
    what = "the rotation's journal" if job.name == "rotate" else "a SQLite database"
    return (
        f"accounts.{job.account.name}.host: {what} is a file of one host; name it: host = "
        '"…" (as its `hostname` says)'
    )


@define
class _Reader:
    """The accounts read so far, the variables that their secrets came from, and all faults."""

    environment: Mapping[str, str]
    accounts: list[Account] = field(factory=list)
    variables: set[str] = field(factory=set)
    faults: list[str] = field(factory=list)

    def read(self, document: dict[str, Any]) -> None:
        top = _Table(self, "", document)
        accounts = top.table("accounts")
        top.close()
        if accounts is None or not accounts.fields:
            self.faults.append("accounts: there are none; begin with [accounts.NAME]")
            return
        for name in list(accounts.fields):
            table = accounts.table(name)
            if not _NAME.fullmatch(name):
                self.faults.append(
                    f"accounts.{name!r}: a name is up to 64 letters, digits, dots, hyphens and "
                    "underscores"
                )
            elif table is not None:
                self._account(name, table)

    def _account(self, name: str, table: _Table) -> None:
        before = len(self.faults)
        api_key, database_url = self._secret(table, "api_key"), self._database_url(table)
        base_url, host = table.text("base_url"), table.text("host")
        limit = table.whole("limit", _DEFAULT_LIMIT, _MOST_REQUESTS_A_MINUTE)
        sync = self._sync(table.table("sync"), database_url, table)
        watch, rotate = self._watch(table.table("watch")), self._rotate(table.table("rotate"))
        if not table.fields_before.intersection(_JOBS):
            table.fault(
                "sync", "there is nothing to do; add [accounts.NAME.sync], .watch or .rotate"
            )
        table.close()
        key_id = self._key_id(table, api_key, base_url)
        if len(self.faults) > before or api_key is None or key_id is None:
            return
        self.accounts.append(
            Account(
                name=name,
                api_key=api_key,
                key_id=key_id,
                base_url=base_url,
                limit=limit,
                host=host,
                sync=sync,
                watch=watch,
                rotate=rotate,
            )
        )

    def _key_id(self, table: _Table, api_key: Secret | None, base_url: str | None) -> str | None:
        """Have the client check the key and the address: it opens nothing before its first call."""
        if api_key is None:
            return None
        try:
            return TelepathClient(api_key, base_url=base_url).key_id
        except UsageError as error:
            table.fault("base_url" if str(error).startswith("base_url") else "api_key", str(error))
        return None

    def _secret(self, table: _Table, name: str) -> Secret | None:
        """Return what `NAME_env` or `NAME_file` points to; the secret itself is refused."""
        if table.take(name) is not None:
            table.fault(
                name,
                f"a secret does not belong into this file; write {name}_env or {name}_file, and "
                "change the key",
            )
        variable, path = table.text(f"{name}_env"), table.text(f"{name}_file")
        if (variable is None) == (path is None):
            table.fault(
                f"{name}_env", f"give either {name}_env (a variable's name) or {name}_file (a path)"
            )
            return None
        return (
            self._from_environment(table, f"{name}_env", variable)
            if variable
            else _from_file(table, f"{name}_file", path)
        )

    def _from_environment(self, table: _Table, name: str, variable: str) -> Secret | None:
        self.variables.add(variable)
        value = Secret(self.environment.get(variable, ""))
        if not value.reveal():
            table.fault(name, f"the environment has no variable {variable}")
            return None
        return value

    def _database_url(self, table: _Table) -> Secret | None:
        variable, text = table.text("database_url_env"), table.take("database_url")
        if variable is not None and text is not None:
            table.fault("database_url", "give database_url or database_url_env, and not both")
        value = self._from_environment(table, "database_url_env", variable) if variable else None
        if text is not None:
            value = Secret(str(text))
        if value is None:
            return None
        try:
            make_engine(value.reveal())
        except UsageError as error:
            table.fault("database_url", str(error))
            return None
        return value

    def _sync(
        self, table: _Table | None, database_url: Secret | None, account: _Table
    ) -> SyncPlan | None:
        if table is None:
            return None
        cron, since = table.cron(), table.moment("since")
        partitions = table.whole("partitions", 1, _MOST_PARTITIONS)
        if partitions > 1 and since is None:
            table.fault("since", "partitions divide the time since then; say since when")
        if not account.fields_before.intersection(("database_url", "database_url_env")):
            account.fault("database_url", "sync needs a database_url or database_url_env")
        table.close()
        return SyncPlan(
            cron=cron, database_url=database_url or Secret(""), since=since, partitions=partitions
        )

    def _watch(self, table: _Table | None) -> WatchPlan | None:
        if table is None:
            return None
        cron, thresholds, command = table.cron(), _thresholds(table), table.command()
        window = table.whole("window_minutes", _DEFAULT_WINDOW_MINUTES, 24 * 60)
        table.close()
        return WatchPlan(
            cron=cron, thresholds=thresholds, command=command, window=timedelta(minutes=window)
        )

    def _rotate(self, table: _Table | None) -> RotatePlan | None:
        if table is None:
            return None
        cron, journal, command = table.cron(), table.text("journal"), table.command()
        if journal is None:
            table.fault(
                "journal", "name the file that keeps new passwords until their carriers have them"
            )
        table.close()
        return RotatePlan(cron=cron, journal=journal or "", command=command)


class _Table:
    """A table of the file: each field is asked for by its name and type, and what nobody asked for is a fault."""

    def __init__(self, reader: _Reader, path: str, fields: dict[str, Any]) -> None:
        self.reader = reader
        self.path = path
        self.fields = dict(fields)
        self.fields_before = frozenset(fields)
        self.asked: set[str] = set()

    def fault(self, name: str, what: str) -> None:
        self.reader.faults.append(f"{self.path}{name}: {what}")

    def take(self, name: str) -> Any:
        self.asked.add(name)
        return self.fields.pop(name, None)

    def close(self) -> None:
        for name in self.fields:
            self.fault(
                name, f"there is no such field here; there are {', '.join(sorted(self.asked))}"
            )

    def table(self, name: str) -> _Table | None:
        value = self.take(name)
        if value is None or isinstance(value, dict):
            return None if value is None else _Table(self.reader, f"{self.path}{name}.", value)
        self.fault(name, "it must be a table")
        return None

    def text(self, name: str) -> str | None:
        value = self.take(name)
        if value is None or (isinstance(value, str) and value.strip()):
            return value
        self.fault(name, "it must be a text that is not empty")
        return None

    def whole(self, name: str, default: int, most: int) -> int:
        value = self.take(name)
        if value is None:
            return default
        if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most:
            return value
        self.fault(name, f"it must be a whole number from 1 to {most}")
        return default

    def moment(self, name: str) -> datetime | None:
        value = self.take(name)
        if isinstance(value, date) and not isinstance(value, datetime):
            value = datetime.combine(value, time(), UTC)
        if value is None:
            return None
        if not isinstance(value, datetime) or value.tzinfo is None:
            self.fault(
                name,
                "it must be a date (2026-01-01) or a time with its zone (2026-01-01T00:00:00Z), "
                "without quotes",
            )
        elif value > datetime.now(UTC):
            self.fault(name, "it is in the future")
        else:
            return value.astimezone(UTC)
        return None

    def cron(self) -> str:
        value = self.text("cron")
        if value is None or not _ever_comes(value):
            self.fault(
                "cron", "it must be a schedule in cron's five fields (UTC), such as '*/15 * * * *'"
            )
        return value or ""

    def command(self) -> tuple[str, ...]:
        value = self.take("command")
        if (
            isinstance(value, list)
            and value
            and all(isinstance(word, str) and word and "\0" not in word for word in value)
        ):
            return tuple(value)
        self.fault(
            "command",
            "it must be a list of the program and its arguments, such as "
            '["/usr/local/bin/page", "voice"]',
        )
        return ()


def _ever_comes(cron: str) -> bool:
    try:
        croniter(cron, datetime.now(UTC)).get_next(datetime)
    except (ValueError, KeyError):  # "0 0 30 2 *" is well formed
        return False
    return True


def _from_file(table: _Table, name: str, path: str | None) -> Secret | None:
    try:
        value = Secret(Path(path or "").read_text("utf-8").strip())
    except (OSError, UnicodeDecodeError, ValueError) as error:
        table.fault(
            name, f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is not text'}"
        )
        return None
    if not value.reveal():
        table.fault(name, f"{path} is empty")
        return None
    return value


def _thresholds(table: _Table) -> tuple[Threshold, ...]:
    """Return the thresholds: `METRIC = limit`, or `METRIC = { limit = …, recovery = …, for_seconds = … }`."""
    thresholds = table.table("thresholds")
    if thresholds is None or not thresholds.fields:
        table.fault(
            "thresholds",
            "there are none, such as thresholds = { avg_ai_latency_ms = 400, success_rate = 95 }",
        )
        return ()
    found: list[Threshold] = []
    for metric, value in thresholds.fields.items():
        fields = dict(value) if isinstance(value, dict) else {"limit": value}
        seconds = fields.pop("for_seconds", 0)
        try:
            found.append(
                Threshold(cast(Metric, metric), **fields, for_at_least=timedelta(seconds=seconds))
            )
        except UsageError as error:
            thresholds.fault(metric, str(error))
        except (TypeError, OverflowError):
            thresholds.fault(
                metric, "it must be a number, or a table of limit, recovery and for_seconds"
            )
    return tuple(found)
