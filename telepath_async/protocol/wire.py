"""The values that cross the wire, `Request` and `Response`, and the text inside them: paths,
queries, JSON.

No I/O, no clock. What a JSON object means is decided in `shapes.py`; what a refusal means, in
`refusals.py`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote

import msgspec

from ..errors import ResponseError, UsageError
from ..models.fields import EXTRA, Model
from ..secret import Secret
from ..unset import UNSET

Query = tuple[tuple[str, str], ...]

CREDENTIAL: Final = re.compile(
    r"passw|secret|token$|api_?key|credential|private_?key|^authorization$", re.IGNORECASE
)
"""Found in the name of a field: what stands there is a secret."""

_LONGEST_SEGMENT: Final = 256
_UNRESERVED: Final = re.compile(r"[A-Za-z0-9_.~-]*")


class Request(msgspec.Struct, kw_only=True, gc=False):
    """One call of an endpoint.

    `path` is encoded and begins with a slash; `template` is the same path with the names of its
    parameters, fit for logs. `repeatable`: whether sending it twice does no harm. `secrets`: what
    an error must not show if the server echoes it. `call`: its number in this process, where
    somebody listens; `attempts`: how many there have been.
    """

    method: str
    path: str
    template: str
    query: Query = ()
    body: bytes | None = None
    repeatable: bool = True
    secrets: tuple[Secret, ...] = ()
    call: int = 0
    attempts: int = 0

    def __repr__(self) -> str:
        return f"<Request {self.endpoint}>"  # path, query and body may hold what no log should

    @property
    def endpoint(self) -> str:
        """`GET /calls/{id}`: for messages and events."""
        return f"{self.method} {self.template}"

    @property
    def target(self) -> str:
        """Path and query, encoded."""
        return f"{self.path}?{query_text(self.query)}" if self.query else self.path


class Response(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An answer: `status`, `headers` (names in any case), `body` (bytes, decompressed), and the `endpoint` that gave it."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    endpoint: str

    def __repr__(self) -> str:
        # headers and body may hold what no log should
        return f"<Response {self.status} of {self.endpoint}>"

    @property
    def request_id(self) -> str | None:
        """What the vendor's support asks for, or None."""
        return self.headers.get("X-Request-Id")

    def or_if_empty(self, known: Mapping[str, Any]) -> Response:
        """Return this answer, or, where it has no body (204), one with what is known of its object."""
        if self.body.strip():
            return self
        return Response(
            status=self.status,
            headers=self.headers,
            body=write_json(known),
            endpoint=self.endpoint,
        )

    def json(self) -> Any:
        """Return the body's JSON. Raises ResponseError when it is none."""
        return read_json(self)


def path_segment(name: str, value: object) -> str:
    """Return `value` encoded as one segment of a path. Raises UsageError when it cannot be one."""
    if not isinstance(value, str):
        raise UsageError(f"{name} must be a string, not {type(value).__name__}")
    if (
        not value.strip()
        or value in {".", ".."}
        or len(value) > _LONGEST_SEGMENT
        or not value.isprintable()
    ):
        raise UsageError(
            f"{name} {value[:40]!r} cannot be part of a URL; pass the id as the API gave it "
            f"(1 to {_LONGEST_SEGMENT} "
            "printable characters, neither '.' nor '..')"
        )
    return _quoted(_encodable(name, value))


def query_of(**parameters: str | int | bool | datetime | Enum | None) -> Query:
    """Return the parameters that are not None, as text.

    Raises UsageError on text that cannot be encoded.
    """
    return tuple(
        (name, _query_value(name, value)) for name, value in parameters.items() if value is not None
    )


def query_text(query: Iterable[tuple[str, str]]) -> str:
    """Return the query encoded: `+` as `%2B`, a space as `%20`."""
    return "&".join([f"{_quoted(name)}={_quoted(value)}" for name, value in query])


def _quoted(text: str) -> str:
    return (
        text if _UNRESERVED.fullmatch(text) else quote(text, safe="")
    )  # a sixth of what `quote` costs


def _query_value(name: str, value: str | int | bool | datetime | Enum) -> str:
    if isinstance(value, datetime):
        return time_text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        return _encodable(name, value)
    raise UsageError(
        f"{name} must be a string, a whole number, a boolean or a time, not {type(value).__name__}"
    )


def _encodable(name: str, text: str) -> str:
    if text.isascii() or all(not "\ud800" <= character <= "\udfff" for character in text):
        return text
    raise UsageError(
        f"{name} holds half a character (a lone surrogate); pass text that UTF-8 can encode"
    )


def time_text(moment: datetime) -> str:
    """Return `2024-03-10T12:00:00Z`, with microseconds where it has some (seed 003).

    Raises UsageError on a naive time.
    """
    if moment.utcoffset() is None:
        raise UsageError(f"{moment!r} has no time zone; add tzinfo=datetime.UTC")
    try:
        return moment.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"
    except OverflowError:
        pass
    raise UsageError(
        f"{moment} lies outside the calendar in UTC; pass a time between the years 1 and 9999"
    )


@lru_cache(maxsize=64)  # the answers of one second carry one Date
def http_date(text: str) -> float | None:
    """Return the Unix seconds of an HTTP date in any of its three forms, or None."""
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def read_json(response: Response) -> Any:
    """Decode the body.

    Raises ResponseError in every way that JSON can fail: text, depth, numbers, syntax.
    """
    try:
        return msgspec.json.decode(response.body)
    except (
        msgspec.DecodeError,
        UnicodeDecodeError,
        RecursionError,
        ValueError,
        OverflowError,
    ) as error:
        why = str(error) or type(error).__name__
    raise unreadable(response, why)


def one_line(text: str) -> str:
    """Return text of somebody else's as one line that can forge no other in a log."""
    return "".join(character if character.isprintable() else " " for character in text).strip()


def unreadable(response: Response, why: str) -> ResponseError:
    """Return the error for an answer that makes no sense."""
    return ResponseError(
        f"{response.endpoint} answered {response.status} with something that makes no "
        f"sense: {why}; "
        "`.raw` holds what came; if it is not a proxy's page, please report it",
        status=response.status,
        raw=response.body,
    )


def write_json(value: Mapping[str, Any]) -> bytes:
    """Encode a request's body; secrets are revealed here and nowhere else.

    Raises UsageError on what JSON cannot hold.
    """
    try:
        return msgspec.json.encode(_plain(value))
    except RecursionError:
        why = "it is nested too deeply, or holds itself"
    except UnicodeEncodeError:
        why = "it holds half a character (a lone surrogate)"
    except UsageError:
        raise
    except ValueError as error:  # a Secret out of a pickle; an integer of thousands of digits
        why = str(error)
    raise UsageError(f"the body cannot be sent as JSON: {why}")


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Secret):
        return _plain(value.reveal())
    if isinstance(value, Enum):
        return _plain(value.value)
    if isinstance(value, str):  # msgspec takes no subclasses of str, int and float, such as numpy's
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if isinstance(value, datetime):
        return time_text(value)
    if isinstance(value, Mapping):
        return {_key(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Model):
        return _plain(model_fields(value))
    raise UsageError(
        f"the body cannot be sent as JSON: {_shown(value)} in it; pass strings, finite "
        "numbers, booleans, None, lists and dicts"
    )


def _shown(value: object) -> str:
    return str(value) if isinstance(value, float) else f"an object of type {type(value).__name__}"


def _key(key: object) -> str:
    if isinstance(key, str):
        return key
    raise UsageError(
        f"the body cannot be sent as JSON: a key of type {type(key).__name__}; keys are strings"
    )


def model_fields(model: Model) -> dict[str, Any]:
    """Return what a model says, under the names of the wire: fields that are None stay out, `extra` goes in."""
    fields = {
        field.encode_name: getattr(model, field.name) for field in msgspec.structs.fields(model)
    }
    extra: dict[str, Any] = fields.pop(EXTRA)
    return {name: value for name, value in fields.items() if value is not None} | extra


def given(**fields: Any) -> dict[str, Any]:
    """Return the fields that are not UNSET."""
    return {name: value for name, value in fields.items() if value is not UNSET}


def concealed(value: Any, name: str = "") -> Any:
    """Return the JSON of a request or an answer with every text behind a credential's name made a Secret."""
    if isinstance(value, Model):
        value = model_fields(value)
    if isinstance(value, Mapping):
        below = name if CREDENTIAL.search(name) else ""
        return {key: concealed(item, below or str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [concealed(item, name) for item in value]
    return Secret(value) if isinstance(value, str) and CREDENTIAL.search(name) else value


def secrets_in(value: object, name: str = "") -> tuple[Secret, ...]:
    """Return every Secret inside a body that is about to be sent, and every text behind a credential's name."""
    if isinstance(value, Secret):
        return (value,)
    if isinstance(value, str):
        return (Secret(value),) if CREDENTIAL.search(name) else ()
    if isinstance(value, Model):
        value = model_fields(value)
    if isinstance(value, Mapping):
        below = name if CREDENTIAL.search(name) else ""
        return tuple(
            secret for key, part in value.items() for secret in secrets_in(part, below or str(key))
        )
    parts = value if isinstance(value, list | tuple) else ()
    return tuple(secret for part in parts for secret in secrets_in(part, name))
