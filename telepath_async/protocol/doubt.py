"""A create whose answer was lost: whether the trunk that is found afterwards is the one that we asked for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from ..models.trunks import Trunk
from .wire import http_date

_GRACE: Final = timedelta(seconds=2)  # a Date is cut to whole seconds, and two servers' clocks differ a little


def began_at_server(headers: Mapping[str, str], *, seconds_ago: float, wall_clock: float) -> datetime:
    """Return when a call began by the server's clock: the Date of a later answer, less the seconds since.

    `wall_clock`: Unix seconds here, for an answer without a usable Date.
    """
    date = http_date(headers.get("Date", ""))
    return datetime.fromtimestamp((wall_clock if date is None else date) - seconds_ago, UTC)


def is_ours(found: Trunk, *, name: str, ai_provider: str, began: datetime) -> bool | None:
    """Return whether `found` was made by the call that began then; None when it does not say when it was made."""
    if found.name != name or found.ai_provider not in (None, ai_provider):
        return False
    return None if found.created_at is None else found.created_at >= began - _GRACE
