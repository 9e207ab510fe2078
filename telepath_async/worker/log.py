"""What the workers log: one JSON object a line, through `logging`, and never a secret."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from attrs import field, frozen

from telepath_async.protocol.redaction import Redactor, sanitize

logger: Final = logging.getLogger("telepath_async.worker")

_SECONDS_BETWEEN_REPEATS: Final = 60.0
_STOPPED_BY_US: Final = "within the shutdown grace period"


class JobFailed(Exception):  # what SAQ's page shows reads "JobFailed: …"
    """What a job failed by, in words that may be shown: the broker keeps them.

    The worker has logged it already.
    """


@frozen
class LogEvent:
    """An event and its values; its text is a line of JSON."""

    event: str
    values: Mapping[str, object]
    at: datetime = field(factory=lambda: datetime.now(UTC))

    def __str__(self) -> str:
        return self.line(Redactor())

    def line(self, redactor: Redactor) -> str:
        """Return the line of JSON, with the secrets masked in each value."""
        values = {name: _clean(value, redactor) for name, value in self.values.items()}
        time = self.at.isoformat(timespec="milliseconds")
        return json.dumps({"time": time, "event": self.event, **values})


def _clean(value: object, redactor: Redactor) -> object:
    return sanitize(redactor.text(value)) if isinstance(value, str) else value


def log_event(event: str, *, level: int = logging.INFO, **values: object) -> None:
    """Log one line; what is None is left out."""
    known = {name: value for name, value in values.items() if value is not None}
    logger.log(level, LogEvent(event, known))


class JsonFormatter(logging.Formatter):
    """Formats our events, and the lines of libraries without their tracebacks, as JSON."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        message: Any = record.msg
        event = message if isinstance(message, LogEvent) else self._library_event(record)
        return event.line(self._redactor)

    def _library_event(self, record: logging.LogRecord) -> LogEvent:
        error = record.exc_info[1] if record.exc_info else None
        values = {
            "library": record.name,
            "level": record.levelname.lower(),
            "message": (record.getMessage().splitlines() or [""])[0],
            **({} if error is None else {"error": self._redactor.error(error)}),
        }
        return LogEvent("library", values, datetime.fromtimestamp(record.created, UTC))


class LogHandler(logging.StreamHandler[Any]):
    """Writes lines, and reports once that they cannot be written; the jobs go on."""

    _failed = False

    def handleError(  # noqa: N802  # its name in `logging`
        self, record: logging.LogRecord
    ) -> None:
        """Report why; not by `logging`'s own text, which shows the values unmasked."""
        if not self._failed:
            self._failed = True
            sys.stderr.write(f"error: the log cannot be written: {sys.exception()}\n")


class Duplicates(logging.Filter):
    """Drops what has been logged already.

    SAQ logs each job's failure once more, with its traceback; at every stop that the grace it was
    not given is over; and during an outage each of its failures, once a second.
    """

    def __init__(self) -> None:
        super().__init__()
        self._logged: dict[object, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is new."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, JobFailed) or _STOPPED_BY_US in str(record.msg):
            return False
        if error is None:
            return True
        kind = (record.name, record.msg, type(error))
        if record.created - self._logged.get(kind, float("-inf")) < _SECONDS_BETWEEN_REPEATS:
            return False
        self._logged[kind] = record.created
        return True
