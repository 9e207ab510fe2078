"""Map errors to exit codes, and to the one line that describes them."""

from __future__ import annotations

from typing import Final

from telepath_async import (
    AuthenticationError,
    BadRequestError,
    ConflictError,
    NotFoundError,
    OutcomeUnknown,
    PermissionDeniedError,
    RateLimitError,
    TelepathError,
    ThrottledError,
    UsageError,
)

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
AUTH: Final = 3
NOT_FOUND: Final = 4
CONFLICT: Final = 5
THROTTLED: Final = 6
UNKNOWN: Final = 7
PARTLY: Final = 8
SIGNALLED: Final = 128  # and the number of the signal
INTERRUPTED: Final = SIGNALLED + 2
PIPE_CLOSED: Final = SIGNALLED + 13

MEANINGS: Final = {
    OK: "all is well; a server was stopped",
    FAILED: "another failure: the server, the network, a database, a file",
    USAGE: "refused before anything was sent: an option, a file, a spec",
    AUTH: "the API key, or the AI provider's key, is not accepted",
    NOT_FOUND: "no such trunk, call or number",
    CONFLICT: "the username is taken, or another run holds the database or the journal",
    THROTTLED: "the rate limit, after all waiting",
    UNKNOWN: "a create or a rotate was sent and its answer lost: look, or rotate again",
    PARTLY: "done in part: some of many failed, or rows or figures are missing",
    INTERRUPTED: "stopped by Ctrl-C (143: by SIGTERM; 141: the reader closed the pipe)",
}

_CODES: Final[dict[type[Exception], int]] = {
    UsageError: USAGE,
    ModuleNotFoundError: USAGE,  # an extra is missing
    AuthenticationError: AUTH,
    PermissionDeniedError: AUTH,
    NotFoundError: NOT_FOUND,
    ConflictError: CONFLICT,
    RateLimitError: THROTTLED,
    ThrottledError: THROTTLED,
    OutcomeUnknown: UNKNOWN,
}
_PERMANENT: Final = (
    UsageError, AuthenticationError, PermissionDeniedError, NotFoundError, BadRequestError,
)  # fmt: skip
# Of edges that are not imported before they are needed.
_BUSY: Final = ("SyncBusy", "JournalBusy", "StateBusy")


def code_of(error: Exception) -> int:
    """Return the exit code that an error gives."""
    if type(error).__name__ in _BUSY:
        return CONFLICT
    return next((code for kind, code in _CODES.items() if isinstance(error, kind)), FAILED)


def line_of(error: Exception) -> str:
    """Return the message of an error in one line, where it is not a list of faults.

    None of our own errors shows a secret.
    """
    if isinstance(error, TelepathError | ModuleNotFoundError):
        return str(error)
    original = getattr(error, "orig", None)  # what a database's driver raised
    cause = error if original is None else original.__cause__ or original
    first_line = next(iter(str(cause).splitlines()), "")
    where = "".join(f"{note}: " for note in getattr(error, "__notes__", ()))
    if isinstance(error, OSError) or where:
        return f"{where}{first_line or type(error).__name__}"
    return f"{type(error).__name__}: {first_line} (--debug shows where)"


def can_resume(error: BaseException) -> bool:
    """Return whether the same command, run again, may get further."""
    return not isinstance(error, (*_PERMANENT, ModuleNotFoundError))
