"""What the fields of `accounts.toml` may be: a table is a class, a field's check stands beside it.

A check is the function in a field's `Annotated`. It returns the value, and the ValueError that it
raises is the fault. How fields depend on each other stands in `accounts_file.py`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NewType, get_args, get_origin

from attrs import NOTHING, fields, frozen, has
from croniter import croniter  # type: ignore[import-untyped]

from telepath_async import Secret, TelepathClient
from telepath_async.checks import check_path, whole_number
from telepath_async.jobs import Threshold
from telepath_async.protocol.strict import Hook, strict_converter
from telepath_async.spans import read_span
from telepath_async.sync.database import make_engine

if TYPE_CHECKING:
    from cattrs import Converter

_LOOPBACK: Final = "http://127.0.0.1"
CRON_NAMES: Final = (
    "@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually",
)  # fmt: skip
# Minutes, hours, days, months and weekdays alone: croniter takes seconds, years and chance too.
_CRON_FIELD: Final = re.compile(
    r"(?:(?:\*|(?:\d+|[a-z]{3})(?:-(?:\d+|[a-z]{3}))?)(?:/\d+)?(?:,(?!$)|$))+", re.IGNORECASE
)
_MOST_SECONDS: Final = 31 * 86_400


class Environment:
    """The process's environment, and the variables that secrets were taken from."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self.variables: set[str] = set()

    def secret(self, name: object) -> Secret:
        """Return the secret in a variable. Raises ValueError."""
        variable = _text(name)
        self.variables.add(variable)
        value = Secret(self._values.get(variable, "").strip())
        if not value.reveal():
            raise ValueError(f"the environment has no variable {variable}, or it is empty")
        return value


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("it must be a text that is not empty")
    return value


def _whole(most: int) -> Callable[[object], int]:
    def check(value: object) -> int:
        number = whole_number(value, 1, most)
        if number is None:
            raise ValueError(f"it must be a whole number from 1 to {most}")
        return number

    return check


def _cron(value: object) -> str:
    try:
        schedule = _text(value).strip()
        fields = schedule.split()
        if schedule not in CRON_NAMES and not (
            len(fields) == 5 and all(map(_CRON_FIELD.fullmatch, fields))
        ):
            raise ValueError
        croniter(schedule, datetime.now(UTC)).get_next(datetime)
    except (ValueError, KeyError):  # "0 0 30 2 *" is well formed, and never comes
        raise ValueError(
            "it must be a schedule in cron's five fields (UTC), such as '*/15 * * * *', or one of "
            f"{', '.join(CRON_NAMES)}"
        ) from None
    return schedule


def _moment(value: object) -> datetime:
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time(), UTC)
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError(
            "it must be a date (2026-01-01) or a time with its zone (2026-01-01T00:00:00Z), "
            "without quotes"
        )
    if value > datetime.now(UTC):
        raise ValueError("it is in the future")
    return value.astimezone(UTC)


def _span(value: object) -> timedelta:
    if isinstance(value, str):
        return read_span(value)
    raise ValueError('it must be a span of time in quotes, such as "90m", "6h" or "2d"')


def _command(value: object) -> tuple[str, ...]:
    words = value if isinstance(value, list) else []
    if not words or not all(isinstance(word, str) and word and "\0" not in word for word in words):
        raise ValueError(
            "it must be a list of the program and its arguments, such as "
            '["/usr/local/bin/page", "voice"]'
        )
    return tuple(words)


def _journal(value: object) -> str:
    if value is None:
        raise ValueError("name the file that keeps new passwords until their carriers have them")
    return check_path("journal", _text(value))


def _base_url(value: object) -> str:
    base_url = _text(value).strip()
    TelepathClient(Secret("any"), base_url=base_url)  # opens nothing before its first call
    return base_url


def _api_key(value: Secret) -> Secret:
    TelepathClient(value, base_url=_LOOPBACK)
    return value


def _api_key_in_file(value: object) -> Secret:
    path = _text(value)
    try:
        key = Secret(Path(path).read_text("utf-8-sig").strip())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise ValueError(f"{path} cannot be read: {reason}") from None
    if not key.reveal():
        raise ValueError(f"{path} is empty")
    return _api_key(key)


def _no_api_key(value: object) -> None:
    raise ValueError(
        "a secret does not belong into this file; write api_key_env or api_key_file, and change "
        "the key"
    )


def _database_url(value: object) -> Secret:
    url = value if isinstance(value, Secret) else Secret(str(value).strip())
    make_engine(url)
    return url


def _thresholds(value: object, converter: Converter) -> tuple[Threshold, ...]:
    if not isinstance(value, dict) or not value:
        raise ValueError(
            "there are none, such as thresholds = { avg_ai_latency_ms = 400, success_rate = 95 }"
        )
    tables = {
        metric: {"metric": metric, **(bound if isinstance(bound, dict) else {"limit": bound})}
        for metric, bound in value.items()
    }
    return tuple(converter.structure(tables, dict[str, Threshold]).values())


def _threshold(table: Mapping[str, Any]) -> Threshold:
    """Return `METRIC = limit`, or `METRIC = { limit = …, recovery = …, for_seconds = … }`."""
    known = dict(table)
    try:
        seconds = known.pop("for_seconds", 0)
        return Threshold(**known, for_at_least=timedelta(seconds=_seconds(seconds)))
    except TypeError:
        raise ValueError(
            "it must be a number, or a table of limit, recovery and for_seconds"
        ) from None


def _seconds(value: object) -> float:
    if (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and 0 <= value <= _MOST_SECONDS
    ):
        return value
    raise ValueError(f"for_seconds must be a number of seconds from 0 to {_MOST_SECONDS:,}")


Text = Annotated[str, _text]
Cron = Annotated[str, _cron]
Command = Annotated[tuple[str, ...], _command]
KeyInEnvironment = NewType("KeyInEnvironment", Secret)
DatabaseInEnvironment = NewType("DatabaseInEnvironment", Secret)
Thresholds = NewType("Thresholds", tuple[Threshold, ...])


@frozen(kw_only=True)
class SyncTable:
    cron: Cron
    since: Annotated[datetime, _moment] | None = None
    partitions: Annotated[int, _whole(1000)] = 1
    lookback: Annotated[timedelta, _span] = timedelta(hours=1)


@frozen(kw_only=True)
class WatchTable:
    cron: Cron
    thresholds: Thresholds
    command: Command
    window_minutes: Annotated[int, _whole(24 * 60)] = 15


@frozen(kw_only=True)
class RotateTable:
    cron: Cron
    journal: Annotated[str, _journal]
    command: Command


@frozen(kw_only=True)
class AccountTable:
    api_key: Annotated[None, _no_api_key] = None
    api_key_env: KeyInEnvironment | None = None
    api_key_file: Annotated[Secret, _api_key_in_file] | None = None
    base_url: Annotated[str, _base_url] | None = None
    database_url: Annotated[Secret, _database_url] | None = None
    database_url_env: DatabaseInEnvironment | None = None
    host: Text | None = None
    limit: Annotated[int, _whole(1_000_000)] = 6000
    sync: SyncTable | None = None
    watch: WatchTable | None = None
    rotate: RotateTable | None = None


def accounts_converter(environment: Environment) -> Converter:
    """Return a converter for the tables of a file, which takes secrets from this environment."""
    converter = strict_converter(forbid_extra_keys=True)
    register = converter.register_structure_hook_factory
    register(has, lambda kind: _of_table(kind, converter))
    register(_is_checked, _checked)
    for kind, hook in (
        (KeyInEnvironment, lambda value, _: _api_key(environment.secret(value))),
        (DatabaseInEnvironment, lambda value, _: _database_url(environment.secret(value))),
        (Thresholds, lambda value, _: _thresholds(value, converter)),
    ):
        converter.register_structure_hook(kind, hook)
    converter.register_structure_hook(Threshold, lambda value, _: _threshold(value))
    return converter


def _is_checked(kind: Any) -> bool:
    return get_origin(kind) is Annotated


def _checked(kind: Any) -> Hook:
    check = get_args(kind)[1]
    return lambda value, _: check(value)


def _of_table(kind: type[Any], converter: Converter) -> Hook:
    from cattrs.gen import make_dict_structure_fn

    make = make_dict_structure_fn(kind, converter)
    # The message of a check is better than that a field is missing.
    required = {field.name: None for field in fields(kind) if field.default is NOTHING}

    def structure(value: Any, _: Any) -> Any:
        if not isinstance(value, dict):
            raise TypeError("it must be a table")
        return make({**required, **value}, kind)

    return structure
