"""A create or a rotate whose answer was lost: may it have happened, and is a trunk its result."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, TypeAlias

from attrs import frozen

from ..errors import (
    APIError,
    ClientClosedError,
    ResponseError,
    ServerError,
    TelepathError,
    TransportError,
)
from ..models.trunks import Trunk

Verdict: TypeAlias = Literal["ours", "older", "unclear"]

_GRACE: Final = timedelta(seconds=10)
"""How far a server's `created_at` and its Date may be apart: two hosts, and whole seconds."""

_CERTAIN: Final = timedelta(days=1)
"""A trunk that is older than the call by this much is older, whatever the server's clock and its
time zone: some servers write local times without one."""

_CUT_OFF: Final = ".…\ufffd"
"""What a server may put at the end of a text that it cuts: dots, or half a character."""

# "send it there": not done here; 303 is "done, look there"
_ELSEWHERE: Final = frozenset((301, 302, 307, 308))
# 502, 504 and the like are a gateway's, and the API may work on.
_FAILED: Final = frozenset((500, 501, 503))


def in_doubt(error: TelepathError) -> bool:
    """Return whether a create or a rotate that ended like this may have been carried out."""
    if isinstance(error, TransportError | ClientClosedError):
        return error.sent
    if isinstance(error, APIError):
        return not 400 <= error.status < 500 and error.status not in _ELSEWHERE
    return isinstance(error, ResponseError)


def failed_for_sure(error: TelepathError) -> bool:
    """Return whether the API reported that it failed: that is believed where no trunk is found."""
    return isinstance(error, ServerError) and error.status in _FAILED


def normalize(text: str) -> str:
    """Return what is left of a text when a server folds its case, and its space and its accents
    are written in another way."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    seen = "".join(char for char in folded if char.isprintable() and char != " ")
    return unicodedata.normalize("NFKD", seen)  # what stood between two accents is gone


@frozen(kw_only=True)
class LostCreate:
    """A create whose answer was lost.

    `began` and `answered`: by the server's clock, when the call began and when the list was read.
    """

    name: str
    ai_provider: str
    began: datetime
    answered: datetime

    def judge(self, found: Trunk) -> Verdict:
        """Return whether a trunk with the username of the create is its result.

        `older`: it certainly was there before; `unclear`: neither can be proven.
        """
        made = found.created_at
        if made is None:
            return "unclear"
        if made < self.began - _CERTAIN:
            return "older"
        is_new = self.began - _GRACE <= made <= self.answered + _GRACE
        return "ours" if is_new and self._describes(found) else "unclear"

    def _describes(self, found: Trunk) -> bool:
        provider = found.ai_provider
        if provider is not None and normalize(provider.value) != normalize(self.ai_provider):
            return False
        # A server may cut a name. An answer without one proves nothing.
        return normalize(self.name).startswith(normalize(found.name.rstrip(_CUT_OFF)))


def server_times(
    date: float | None, *, seconds_ago: float, wall_clock: float
) -> tuple[datetime, datetime]:
    """Return by the server's clock when a call began that many seconds before an answer, and when
    the answer was given.

    `date`: that of the answer, in Unix seconds; `wall_clock`: the same here, for an answer without
    a usable one.
    """
    answered = datetime.fromtimestamp(wall_clock if date is None else date, UTC)
    return answered - timedelta(seconds=seconds_ago), answered
