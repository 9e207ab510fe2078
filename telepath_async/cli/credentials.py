"""Read secrets from a file, the environment or a hidden prompt, and save a new one.

A secret is never an argument.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from getpass import getpass
from pathlib import Path
from typing import Any, Final, NoReturn

from attrs import frozen

from telepath_async import Secret, UsageError
from telepath_async.protocol.redaction import is_credential, url_secrets

from .output import echo

_OWNER_ONLY: Final = 0o600
_UNANSWERED: Final = b'{"state":"a rotation was sent, and its answer is not here: rotate again"}'


@frozen
class Source:
    """Describe how a secret may be given.

    `label`: what it is; `option`: which option names its file; `variable`: which environment
    variable holds it.
    """

    label: str
    option: str
    variable: str
    repeat: bool = False

    @property
    def is_key(self) -> bool:
        """Whether it is a key, which has no white space."""
        return not self.repeat


API_KEY: Final = Source("Telepath API key", "--api-key-file", "TELEPATH_API_KEY")
NUMBERS_API_KEY: Final = Source(
    "numbers API key", "--numbers-api-key-file", "TELEPATH_NUMBERS_API_KEY"
)
SIP_PASSWORD: Final = Source(
    "SIP password", "--sip-password-file", "TELEPATH_SIP_PASSWORD", repeat=True
)
OPENAI_API_KEY: Final = Source("OpenAI API key", "--openai-api-key-file", "OPENAI_API_KEY")
ELEVENLABS_API_KEY: Final = Source(
    "ElevenLabs API key", "--elevenlabs-api-key-file", "ELEVENLABS_API_KEY"
)


def read_secret(source: Source, file: str | None) -> Secret:
    """Return a secret from its file, the environment, or a hidden prompt, in this order.

    Raises UsageError.
    """
    found = given_secret(source, file)
    if found is not None:
        return found
    if not sys.stdin.isatty():
        raise UsageError(
            f"no {source.label}: set {source.variable}, or give {source.option} FILE (- for "
            "standard input)"
        )
    try:
        with _signals_raise():
            secret = Secret(getpass(f"{source.label}: "))
            if source.repeat and Secret(getpass(f"{source.label}, once more: ")) != secret:
                raise UsageError(f"the two {source.label}s differ; begin again")
    except EOFError:
        raise UsageError(f"no {source.label}: the input ended before it was typed") from None
    return _not_empty(secret, source, "what was typed")


def given_secret(source: Source, file: str | None) -> Secret | None:
    """Return a secret from its file or the environment, or None where neither is given.

    Raises UsageError.
    """
    if file is not None:
        found = _stripped(source, _first_line(source, file))
        return _not_empty(found, source, "standard input" if file == "-" else file)
    found = _stripped(source, Secret(os.environ.get(source.variable, "")))
    return found if found.reveal() else None


def _stripped(source: Source, secret: Secret) -> Secret:
    """Return a key without the white space around it, which a password may have meant."""
    return Secret(secret.reveal().strip()) if source.is_key else secret


def _first_line(source: Source, file: str) -> Secret:
    try:
        with _signals_raise():  # it may be a pipe to which nobody writes
            text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UsageError(f"{source.option}: {file} is not text in UTF-8") from None
    except OSError as error:
        raise UsageError(f"{source.option}: cannot read {file}: {error.strerror}") from None
    lines = text.removeprefix("\ufeff").split("\n")
    if any(line.strip() for line in lines[1:]):
        raise UsageError(
            f"{source.option}: {file} must hold the {source.label} in its first line, and "
            "nothing else"
        )
    return Secret(lines[0].removesuffix("\r"))


def _not_empty(secret: Secret, source: Source, where: str) -> Secret:
    if not secret.reveal():
        raise UsageError(f"{where} holds no {source.label}: it is empty")
    return secret


@contextmanager
def _signals_raise() -> Iterator[None]:
    """Let a signal end the command at once while somebody types; the terminal echoes again."""

    def leave(number: int, frame: object) -> NoReturn:
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

    before = [(number, signal.signal(number, leave)) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def warn_of_credential(option: str, name: str) -> None:
    """Warn of a secret among the arguments, where every process of the machine can read it."""
    if is_credential(name):
        echo(
            f"{option} {name}: other users of this machine can read the arguments of a command",
            kind="warning",
        )


def database_url(argument: str | None, variable: str = "TELEPATH_DATABASE_URL") -> Secret:
    """Return the URL of a database, with a warning when its password stands among the arguments.

    Raises UsageError.
    """
    if argument is None:
        from_environment = os.environ.get(variable, "").strip()
        if not from_environment:
            raise UsageError(
                f"no database: give its URL, such as sqlite:///calls.db, or set {variable}"
            )
        return Secret(from_environment)
    url = Secret(argument.strip())
    if url_secrets(url):
        echo(
            "the database's password stands among the arguments, where other users of this "
            f"machine can read it; set {variable} or PGPASSWORD, or use ~/.pgpass",
            kind="warning",
        )
    return url


class SecretFile:
    """A new file for its owner only (mode 0600), on the disk before its secret exists.

    Raises UsageError when it cannot be made, or is there already: nothing is overwritten.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
        except OSError as error:
            raise UsageError(
                f"--save: cannot make {path}: {error.strerror}; name a file that is not there yet"
            ) from None
        try:
            self.replace(_UNANSWERED.ljust(2048) + b"\n")
        except OSError as error:
            self.discard()
            raise UsageError(
                f"--save: cannot write {path}: {error.strerror}; nothing was sent"
            ) from None

    def replace(self, content: bytes) -> None:
        """Write this in place of all that the file holds, to the disk."""
        view: Any = memoryview(content)
        written = 0
        while written < len(view):
            written += os.pwrite(self._fd, view[written:], written)
        os.ftruncate(self._fd, written)
        os.fsync(self._fd)

    def close(self) -> None:
        """Close it, and keep it."""
        os.close(self._fd)

    def discard(self) -> None:
        """Remove it: no secret came."""
        self.close()
        os.unlink(self._path)
