"""A create or a rotate whose answer was lost: may it have happened, and is a trunk its result."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from ..errors import (
    APIError,
    ClientClosedError,
    ResponseError,
    ServerError,
    TelepathError,
    TransportError,
)
from ..models.trunks import Trunk
from .url import http_date

_GRACE: Final = timedelta(
    seconds=2
)  # a Date is cut to whole seconds, and two servers' clocks differ a little

_ELSEWHERE: Final = frozenset(
    (301, 302, 307, 308)
)  # "send it there": not done here; 303 is "done, look there"
_FAILED: Final = frozenset(
    (500, 501, 503)
)  # 502, 504 and the like are a gateway's, and the API behind it may work on


def in_doubt(error: TelepathError) -> bool:
    """Return whether a create or a rotate that ended like this may have been carried out."""
    if isinstance(error, TransportError | ClientClosedError):
        return error.sent
    if isinstance(error, APIError):
        return not 400 <= error.status < 500 and error.status not in _ELSEWHERE
    return isinstance(error, ResponseError)


def failed_for_sure(error: TelepathError) -> bool:
    """Return whether the API said that it failed: that is believed where no trunk is found."""
    return isinstance(error, ServerError) and error.status in _FAILED


def began_at_server(
    headers: Mapping[str, str], *, seconds_ago: float, wall_clock: float
) -> datetime:
    """Return when a call began by the server's clock: the Date of a later answer, less the seconds
    since.

    `wall_clock`: Unix seconds here, for an answer without a usable Date.
    """
    date = http_date(headers.get("Date", ""))
    return datetime.fromtimestamp((wall_clock if date is None else date) - seconds_ago, UTC)


def is_ours(found: Trunk, *, name: str, ai_provider: str, began: datetime) -> bool | None:
    """Return whether `found` was made by the call that began then; None: it bears no date."""
    if found.name != name or found.ai_provider not in (None, ai_provider):
        return False
    return None if found.created_at is None else found.created_at >= began - _GRACE
