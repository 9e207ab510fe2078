"""What the workers say: one JSON object a line, through `logging`, and never a secret."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from attrs import frozen

from telepath_async import Secret, TelepathError

_LONGEST_ERROR: Final = 500

logger: Final = logging.getLogger("telepath_async.worker")


class JobFailed(Exception):  # what SAQ's page shows reads "JobFailed: …"
    """What a job failed by, in words that may be shown: the broker keeps them.

    The worker has logged it already.
    """


@frozen(repr=False)
class Mask:
    """Takes the known secrets out of a text."""

    secrets: tuple[str, ...] = ()

    @classmethod
    def of(cls, secrets: Iterable[str]) -> Mask:
        """Return one for these secrets, the longest first: another may be a part of it."""
        return cls(tuple(sorted({secret for secret in secrets if secret}, key=len, reverse=True)))

    def text(self, text: str) -> str:
        """Return the text with `**********` in the place of each secret."""
        for secret in self.secrets:
            text = text.replace(secret, str(Secret(secret)))
        return text

    def error(self, error: BaseException) -> str:
        """Return what may be told of an error: its class, and the first line of what it says."""
        first_line = (str(error).splitlines() or [""])[0]
        said = first_line if isinstance(error, TelepathError | JobFailed) else ""
        return self.text(f"{type(error).__name__}: {said or first_line}")[:_LONGEST_ERROR].rstrip(
            ": "
        )


def log_event(event: str, *, level: int = logging.INFO, **fields: object) -> None:
    """Log one line; what is None is left out."""
    told = {name: value for name, value in fields.items() if value is not None}
    logger.log(
        level,
        json.dumps(
            {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **told}
        ),
    )


class JsonFormatter(logging.Formatter):
    """Formats our lines as they are, and those of libraries as JSON, without their tracebacks."""

    def __init__(self, mask: Mask) -> None:
        super().__init__()
        self._mask = mask

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        if record.name == logger.name:
            return self._mask.text(record.getMessage())
        error = record.exc_info[1] if record.exc_info else None
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "event": "library",
            "library": record.name,
            "level": record.levelname.lower(),
            "message": self._mask.text((record.getMessage().splitlines() or [""])[0]),
            **({} if error is None else {"error": self._mask.error(error)}),
        }
        return json.dumps(line)


def is_news(record: logging.LogRecord) -> bool:
    """Whether a line says what we have not said.

    SAQ logs each job's failure once more, with its traceback; and at every stop that the grace it
    was not given is over.
    """
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, JobFailed) and "within the shutdown grace period" not in str(
        record.msg
    )
