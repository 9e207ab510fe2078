"""The checks of arguments, one of each kind.

Each returns the value, or raises a UsageError that names the argument and what to pass. What
may be a secret is never shown.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, TypeGuard, TypeVar

from .errors import UsageError
from .secret import Secret, SecretBytes, SecretNumber, type_name

if TYPE_CHECKING:
    from aiohttp import ClientSession

T = TypeVar("T")
Priority = Literal["interactive", "bulk"]

ACCOUNT_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

_LONGEST_SHOWN: Final = 100
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OUR_HEADERS: Final = frozenset(
    (
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "cookie",
        "host",
        "proxy-authorization",
        "transfer-encoding",
    )
)


# --- numbers and times ---


def whole_number(value: object, least: int, most: int | None = None) -> int | None:
    """Return a whole number from `least` to `most` as it is, and anything else as None."""
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if least <= value and (most is None or value <= most) else None


def check_whole(name: str, value: object, least: int = 1, most: int | None = None) -> int:
    """Return a whole number from `least` to `most`, both inclusive; None = no upper bound."""
    number = whole_number(value, least, most)
    if number is not None:
        return number
    upper = "" if most is None else f" to {most:,}"
    raise UsageError(f"{name} must be a whole number from {least}{upper}, not {shown(value)}")


def check_number(
    name: str,
    value: object,
    *,
    least: float = 0.0,
    exclusive: bool = False,
    most: float = math.inf,
    unit: str = "",
) -> float:
    """Return a finite number from `least` (`exclusive`: above it) to `most`."""
    number = _finite(value)
    if number is not None and least <= number <= most and not (exclusive and number == least):
        return number
    lower = f"{'above' if exclusive else 'from'} {least:g}"
    upper = "" if most == math.inf else f" to {most:,}"
    raise UsageError(f"{name} must be a number{unit} {lower}{upper}, not {shown(value)}")


def check_seconds(
    name: str,
    value: object,
    *,
    least: float = 0.0,
    exclusive: bool = False,
    most: float = math.inf,
) -> float:
    """Return a finite number of seconds from `least` (`exclusive`: above it) to `most`."""
    return check_number(
        name, value, least=least, exclusive=exclusive, most=most, unit=" of seconds"
    )


def check_timeout(name: str, value: object) -> float | None:
    """Return a number of seconds above 0, or None for no bound."""
    return None if value is None else check_seconds(name, value, exclusive=True)


def _finite(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        with suppress(OverflowError):  # an integer beyond all floats
            return float(value) if math.isfinite(value) else None
    return None


def shown(value: object) -> str:
    """Return the beginning of a value's repr, for a message; not of a secret."""
    try:
        return repr(value)[:_LONGEST_SHOWN]
    except ValueError:  # an integer of thousands of digits
        return f"a value of type {type(value).__name__}"


def check_timedelta(
    name: str, value: object, *, exclusive: bool = False, most: timedelta = timedelta.max
) -> timedelta:
    """Return a timedelta from 0 (`exclusive`: above it) to `most`."""
    zero = timedelta(0)
    if (
        isinstance(value, timedelta)
        and (zero < value if exclusive else zero <= value)
        and value <= most
    ):
        return value
    upper = "" if most == timedelta.max else f" to {most.days:,} days"
    raise UsageError(
        f"{name} must be a timedelta {'above' if exclusive else 'from'} 0{upper}, not "
        f"{shown(value)}"
    )


def check_time(name: str, value: object) -> datetime:
    """Return a time that has a time zone, and that UTC's calendar can hold."""
    if isinstance(value, datetime) and value.utcoffset() is not None:
        with suppress(OverflowError):
            value.astimezone(UTC)
            return value
        raise UsageError(
            f"{name} ({value}) lies outside the calendar in UTC; pass a time between the years 1 "
            "and 9999"
        )
    raise UsageError(
        f"{name} must be a datetime with a time zone, not {shown(value)}; add tzinfo=datetime.UTC"
    )


def check_time_range(since: object, until: object) -> tuple[datetime | None, datetime | None]:
    """Return both ends of a range, None where it is open."""
    first = None if since is None else check_time("since", since)
    last = None if until is None else check_time("until", until)
    if first is not None and last is not None and first > last:
        raise UsageError(f"since ({first}) is later than until ({last}); swap them")
    return first, last


# --- things of a kind ---


def check_type(name: str, value: object, kind: type[T]) -> T:
    """Return a value of the type."""
    if isinstance(value, kind):
        return value
    raise UsageError(f"{name} must be a {kind.__name__}, not {type(value).__name__}")


def check_function(name: str, value: Any, what: str) -> Callable[..., Any]:
    """Return what can be called; `what`: "function that takes an Event"."""
    if callable(value):
        return value  # type: ignore[no-any-return]
    raise UsageError(f"{name} must be a {what}, not {type(value).__name__}")


def check_path(name: str, value: Any) -> str:
    """Return the path of a file as text."""
    path = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(path, str) or not path:
        raise UsageError(f"{name} must be the path of a file as text or Path, not {shown(value)}")
    if "\0" in path:
        raise UsageError(
            f"{name} must be the path of a file, and this path holds a NUL character: {path!r}"
        )
    return path


def check_iterable(name: str, value: Any, what: str) -> Iterable[Any]:
    """Return what can be iterated; `what`: "TrunkSpecs or mappings of their fields"."""
    if isinstance(value, Iterable):
        return value
    raise UsageError(f"{name} must be an iterable of {what}, not {type(value).__name__}")


def check_priority(value: object) -> Priority:
    """Return the lane in the limiter."""
    if value == "interactive":
        return "interactive"
    if value == "bulk":
        return "bulk"
    raise UsageError(f"priority must be 'interactive' or 'bulk', not {shown(value)}")


def check_session(session: object) -> ClientSession | None:
    """Return the caller's own aiohttp session, or None."""
    from aiohttp import ClientSession  # here: `protocol` uses this module, and has no I/O

    if session is None:
        return None
    own = check_type("session", session, ClientSession)
    if own.auth is not None or own.trust_env:
        raise UsageError(
            "session must have neither auth nor trust_env; pass proxy or trust_env to "
            "TelepathClient instead"
        )
    return own


def check_account(account: object) -> str:
    """Return a name of an account, as in accounts.toml."""
    if isinstance(account, str) and ACCOUNT_NAME.fullmatch(account):
        return account
    raise UsageError(
        "account must be a name of 1 to 64 letters, digits, dots, hyphens and underscores, such as "
        "'acme', or None"
    )


# --- keys and headers ---


def check_key(name: str, value: Secret | None) -> Secret:
    """Return an API key without the white space around it."""
    if value is None:
        raise UsageError(
            f"{name} is missing: pass it, or set TELEPATH_API_KEY (Settings > API Keys in the "
            "dashboard)"
        )
    if not is_text(value):
        raise UsageError(f"{name} must be the key's text or a Secret, not {type_name(value)}")
    unusable = ""
    try:
        value.reveal()
    except ValueError as error:
        unusable = str(error)
    if unusable:  # out here: no context is shown
        raise UsageError(f"{name}: {unusable}")
    if not _fits(value, r"\s*[!-~]+\s*"):
        raise UsageError(
            f"{name} is blank, or holds characters that no key has (spaces, control characters, "
            "not ASCII); copy it again"
        )
    return Secret(value.reveal().strip())


def is_text(value: object) -> TypeGuard[Secret]:
    """Return whether a Secret holds text, not a number or bytes."""
    return isinstance(value, Secret) and not isinstance(value, SecretNumber | SecretBytes)


def _fits(secret: Secret, pattern: str) -> bool:
    try:
        return re.fullmatch(pattern, secret.reveal()) is not None
    except ValueError:  # out of a pickle
        return False


def check_headers(headers: object) -> dict[str, Secret]:
    """Return headers that may be sent besides our own; their values are Secrets already."""
    if not isinstance(headers, Mapping):
        raise UsageError(
            f"headers must be a mapping of names to text, not {type(headers).__name__}"
        )
    for name, value in headers.items():
        if not (isinstance(name, str) and _HEADER_NAME.fullmatch(name)):
            raise UsageError(f"headers must not hold {shown(name)}: it is not the name of a header")
        if name.lower() in _OUR_HEADERS:
            raise UsageError(f"headers must not hold {name!r}: it is set by the client")
        if not is_text(value) or not _fits(value, r"[ -~]*"):
            raise UsageError(f"the header {name} must be printable ASCII text")
    return dict(headers)
