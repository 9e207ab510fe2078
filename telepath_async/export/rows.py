"""What every format has in common: the columns, and what a writer of rows can do.

No format is known here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Final, Protocol

from telepath_async import Call, Secret

COLUMNS: Final = (
    "id", "trunk_id", "from_number", "to_number", "direction", "status", "duration_seconds",
    "start_time", "end_time",
    "carrier_lag_ms", "ai_latency_ms", "gateway_processing_ms", "extra",
)  # fmt: skip

values_of: Final = attrgetter(*COLUMNS)


class Rows(Protocol):
    """Writes calls into an open file. Its methods may run in threads, one at a time."""

    def write(self, calls: Sequence[Call]) -> None:
        """Add a row for each call."""
        ...

    def finish(self) -> None:
        """Write what belongs at the end; nothing comes after it."""
        ...

    def abandon(self) -> None:
        """Let go of the file, which will be thrown away."""
        ...


def iso_time(moment: datetime) -> str:
    """Return ISO 8601 text in UTC, as the API writes it.

    A time that UTC's calendar cannot hold keeps its own zone.
    """
    try:
        return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
    except OverflowError:
        return moment.isoformat()


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return iso_time(value)
    assert isinstance(value, Secret)
    return str(value)  # masked


write_json: Final = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":"), default=_plain
).encode
