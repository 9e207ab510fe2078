"""What is a credential, and how it is kept out of errors, logs, files and terminals.

One rule, `CREDENTIAL`, knows the names of credentials; `redact` hides their values in JSON,
`secret_values` finds them in a request, and a `Redactor` masks them in a text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from types import NoneType
from typing import Any, Final, overload
from urllib.parse import quote, unquote, urlsplit

from ..checks import shown
from ..errors import UsageError
from ..models.fields import Model
from ..secret import Secret, SecretBytes, SecretNumber
from .body import model_fields

CREDENTIAL: Final = re.compile(
    r"""\A
    # What only describes a credential is not one: a time, a count, a bound, a kind.
    (?!.*(?: [\W_] (?:at|in|on|count|days|length|limit|seconds|type|used|version)
           | (?-i:(?<=[a-z0-9]) (?:At|In|On|Count|Days|Length|Limit|Seconds|Type|Used|Version))
         )\Z)
    .*?
    (?: passw | passphrase | passcode | pwd | secret | credential
      | (?:api|access|private|signing|provider|openai|elevenlabs) [\W_]* key
      | (?:access|auth|bearer|refresh|session) [\W_]* token
      # Any other token where the name ends: `max_tokens` and `token_usage` are figures.
      | token (?:[\W_]* (?:hash|string|text|value|v?[0-9]+))? \Z
      | \A (?:(?:proxy|x) [\W_]*)? authorization (?:[\W_]* header)? \Z
    )""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
"""Found in the name of a field: a text or a number there is a secret, and all inside it is."""


@lru_cache(maxsize=1024)
def is_credential(name: str) -> bool:
    """Whether what stands after this name is a secret."""
    return CREDENTIAL.search(name) is not None


_LONGEST_ERROR: Final = 500
_SCALARS: Final = (str, int, float, NoneType)  # a union in `isinstance` takes three times as long


@overload
def as_secret(value: str | Secret) -> Secret: ...
@overload
def as_secret(value: str | Secret | None) -> Secret | None: ...
def as_secret(value: object) -> Any:
    """Return a credential as a Secret; a value of a wrong type, with all texts in it hidden."""
    return redact(value, "secret")


def redact(value: Any, name: str = "") -> Any:
    """Return JSON with every text, number and bytes after a credential's name made a Secret."""
    if isinstance(value, _SCALARS):
        return _hide(value) if is_credential(name) else value
    if isinstance(value, Model):
        value = model_fields(value)
    if isinstance(value, Mapping):
        below = name if is_credential(name) else ""
        return {
            key: redact(item, below or (key if isinstance(key, str) else shown(key)))
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [redact(item, name) for item in value]
    return _hide(value) if is_credential(name) else value


def redact_request(value: Any) -> Any:
    """Return what a caller wants to send, redacted.

    Raises UsageError where it is nested too deeply, or holds itself.
    """
    with suppress(RecursionError):
        return redact(value)
    raise UsageError("the body cannot be sent: it is nested too deeply, or holds itself")


def _hide(value: Any) -> Any:
    if isinstance(value, str):
        return Secret(value)
    if isinstance(value, bytes | bytearray):
        return SecretBytes(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return SecretNumber(value)
        except ValueError:  # thousands of digits: `write_json` refuses it
            return value
    return value


def secret_values(value: object) -> tuple[Secret, ...]:
    """Return every Secret inside a body to be sent, and every value after a credential's name."""
    return tuple(_secrets(redact(value)))


def _secrets(value: object) -> Iterator[Secret]:
    if isinstance(value, Secret):
        yield value
    parts = [*value.values()] if isinstance(value, dict) else value
    for part in parts if isinstance(parts, list) else ():
        yield from _secrets(part)


def url_secrets(url: Secret) -> tuple[Secret, ...]:
    """Return the password of a URL, and what its query holds after a credential's name.

    Of what is not a URL, all: half a password may look like a port.
    """
    try:
        parts = urlsplit(url.reveal())
    except ValueError:
        return (url,)
    fields = (field.partition("=") for field in parts.query.split("&"))
    written = {parts.password or "", *(text for name, _, text in fields if is_credential(name))}
    return tuple(Secret(form) for text in written - {""} for form in {text, unquote(text)})


class Redactor:
    """Masks known secrets in a text, however a server or a library spells them."""

    __slots__ = ("_spellings",)

    def __init__(self, secrets: Iterable[Secret] = ()) -> None:
        spellings = {text for secret in secrets for text in _spellings(secret.reveal()) if text}
        # The longest first: masking "abc" before "abcdef" would leave "def".
        self._spellings = sorted(spellings, key=lambda text: (-len(text), text))

    def text(self, text: str) -> str:
        """Return the text with `**********` in place of each secret."""
        for spelling in self._spellings:
            text = text.replace(spelling, str(Secret(spelling)))
        return text

    def bytes(self, text: bytes) -> bytes:
        """Return a text that was not decoded, masked likewise."""
        for spelling in self._spellings:
            text = text.replace(spelling.encode(), str(Secret(spelling)).encode())
        return text

    def error(self, error: BaseException) -> str:
        """Return an error's class, notes (of what it is: the database) and first line, masked and
        printable.
        """
        first_line = (str(error).splitlines() or [""])[0]
        parts = [type(error).__name__, *getattr(error, "__notes__", ()), first_line]
        text = sanitize(self.text(": ".join(parts)))
        return text[:_LONGEST_ERROR].rstrip(": ")


def _spellings(secret: str) -> set[str]:
    """Return how it may be echoed: as it is, out of our JSON, out of a URL, or by Python's repr."""
    return {
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        quote(secret),
        quote(secret, safe=""),
        repr(secret)[1:-1],
    }


def sanitize(text: str, substitute: str = " ") -> str:
    """Return a stranger's text as one line that can forge no other in a log or a terminal."""
    return "".join(character if character.isprintable() else substitute for character in text)
