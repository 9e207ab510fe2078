"""Whether to try again, and after how many seconds: pure decisions, handed their clock and their
randomness.

To change the backoff, change `_backoff`; what is worth another try, `_worth_repeating`; what a
server may ask, `server_delay`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from attrs import define, frozen

from ..checks import check_number, check_seconds, check_whole
from ..errors import ConnectionFailed, RequestTimeout, TransportError
from .messages import Request, Response
from .url import http_date

_RETRY_COST: Final = 5.0
_TIMEOUT_COST: Final = 10.0
_WINDOW: Final = 60.0  # seconds; the limit is per minute, so that no reset is further away


@frozen(kw_only=True)
class RetryPolicy:
    """How often and how patiently a call is tried again.

    `max_attempts`: tries in all (1 = no retry); `backoff`, `backoff_cap`: seconds, the first and
    the longest wait of our own; `max_wait`: seconds, the longest single wait that a server may ask
    of us; `budget`: tokens that all clients of this process share for one key at one origin (a
    retry, or the look-up of a create in doubt, costs 5, a retry after a timeout 10, a success gives
    1 back): a call adds nothing where that would leave more than this unpaid. Raises UsageError on
    figures that make no sense.
    """

    max_attempts: int = 4
    backoff: float = 0.5
    backoff_cap: float = 20.0
    max_wait: float = 60.0
    budget: float = 500

    def __attrs_post_init__(self) -> None:
        check_whole("max_attempts", self.max_attempts)
        for name in ("backoff", "backoff_cap", "max_wait"):
            check_seconds(name, getattr(self, name))
        check_number("budget", self.budget)


@define
class RetryBudget:
    """What retries have cost and successes have not paid back yet, in tokens, so that an outage is
    never multiplied.

    It has no size of its own: clients that share it may have policies that differ, and each keeps
    to its own figure. It has no lock: two threads that meet here can lose a token, and nothing
    else.
    """

    spent: float = 0.0

    def take(self, policy: RetryPolicy, cost: float = _RETRY_COST) -> bool:
        """Spend `cost` tokens; return False and spend nothing where the policy has fewer."""
        if self.spent + cost > policy.budget:
            return False
        self.spent += cost
        return True

    def give_back(self) -> None:
        """A call has succeeded: one token comes back."""
        self.spent = max(0.0, self.spent - 1.0)


def decide(
    policy: RetryPolicy,
    request: Request,
    outcome: Response | TransportError,
    *,
    attempt: int,
    budget: RetryBudget,
    time_left: float,
    jitter: float,
    wall_clock: float,
) -> float | None:
    """Return the seconds to wait before the next attempt, or None to stop.

    A retry is paid for out of the budget, except after a 429 that names its wait.

    `attempt`: the number of the one that just ended, from 1; `time_left`: seconds until the call's
    deadline, infinite for no bound; `jitter`: uniform in [0, 1]; `wall_clock`: Unix seconds, for a
    Retry-After date in an answer without Date.
    """
    if attempt >= policy.max_attempts or not _worth_repeating(request, outcome):
        return None
    asked = (
        None
        if isinstance(outcome, TransportError)
        else server_delay(outcome, wall_clock=wall_clock)
    )
    if asked is not None and asked > policy.max_wait:
        return None
    delay = max(asked or 0.0, _backoff(policy, attempt, jitter))
    if delay >= time_left:
        return None
    if asked and isinstance(outcome, Response) and outcome.status == 429:
        return delay
    cost = _TIMEOUT_COST if isinstance(outcome, RequestTimeout) else _RETRY_COST
    return delay if budget.take(policy, cost) else None


def _worth_repeating(request: Request, outcome: Response | TransportError) -> bool:
    if isinstance(outcome, ConnectionFailed) and outcome.permanent:
        return False
    if isinstance(outcome, TransportError):
        return request.repeatable or not outcome.sent
    if outcome.status == 429:
        return True
    return request.repeatable and (outcome.status == 408 or outcome.status >= 500)


def server_delay(response: Response, *, wall_clock: float) -> float | None:
    """Return what the server asks: Retry-After, else (for a 429) the reset of its window."""
    asked = retry_after(response.headers, wall_clock=wall_clock)
    if asked is not None or response.status != 429:
        return asked
    seen = response.rate_limit
    return None if seen is None or seen.resets_in is None else min(seen.resets_in, _WINDOW)


def _backoff(policy: RetryPolicy, attempt: int, jitter: float) -> float:
    """Return a tenth to the whole of min(cap, backoff x 2^n): callers spread; never zero."""
    ceiling = min(policy.backoff_cap, policy.backoff * 2.0 ** min(attempt - 1, 60))
    return ceiling * (0.1 + 0.9 * jitter)


def retry_after(headers: Mapping[str, str], *, wall_clock: float) -> float | None:
    """Return the seconds that Retry-After asks for: a number, or an HTTP date minus the answer's
    own Date.

    Garbage, negative and infinite values count as absent (None).
    """
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    seconds = _number(text)
    if seconds is None:
        moment = http_date(text)
        date = http_date(headers.get("Date", ""))
        seconds = None if moment is None else moment - (wall_clock if date is None else date)
    return seconds if seconds is not None and 0 <= seconds < math.inf else None


def _number(text: str) -> float | None:
    try:
        return float(text) if text.isascii() and "_" not in text else None
    except ValueError:
        return None
