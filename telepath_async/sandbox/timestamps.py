"""ISO 8601 in UTC, as the API writes and reads it, against Unix seconds."""

import time
from datetime import UTC, datetime


def now() -> int:
    """Return the present in whole Unix seconds."""
    return int(time.time())


def iso(seconds: int) -> str:
    """Write Unix seconds as `2024-03-10T12:00:00Z`."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def unix(text: str) -> float:
    """Read an ISO 8601 time as Unix seconds; a time without a zone is UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
