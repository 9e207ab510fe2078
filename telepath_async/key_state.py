"""A key at its origin, and what the process knows of it: limit, retry budget, paging style."""

from __future__ import annotations

import time
from functools import lru_cache

from attrs import define

from .limiter import Limiter
from .protocol.checkpoint import Style
from .protocol.messages import Response
from .protocol.ratelimit import RateLimit
from .protocol.retry import RetryBudget, server_delay
from .transport import Origin


@define(eq=False, kw_only=True)
class KeyState(Origin):
    """A key at its origin, and what all sessions that use it share.

    `budget`: the process's one for this key; `rate_limit`: by the latest answer that names one;
    `paging_style`: how this server pages, once a list has shown it.
    """

    limiter: Limiter
    budget: RetryBudget
    rate_limit: RateLimit | None = None
    paging_style: Style | None = None

    def observe(self, response: Response) -> None:
        """Learn from an answer: its headers, and how long a 429 asks everybody to wait."""
        self.limiter.observe(response.headers)
        self.rate_limit = response.rate_limit or self.rate_limit
        if response.status == 429:
            wait = server_delay(response, wall_clock=time.time())
            pause = getattr(self.limiter, "pause", None)
            if wait and pause is not None:
                pause(wait)


@lru_cache(maxsize=1024)
def shared_budget(origin_and_key: str) -> RetryBudget:
    """Return the process's one retry budget of a key at an origin (by their hash).

    The latest 1,024 are kept.
    """
    return RetryBudget()
