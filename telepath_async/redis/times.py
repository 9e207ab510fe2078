"""The times that the proof in limiter.py rests on, in seconds."""

from __future__ import annotations

from typing import Final

TIMEOUT: Final = 0.5
"""How long a request to Redis may take."""

LEASE: Final = 1.0
"""After this long, tokens in hand are void, and a limiter that sent no request counts as degraded.
"""

SETTLE: Final = 3.0
"""How long after an outage Redis holds back the shares of the limiters that have sent it nothing:
more than RECENT.
"""

RECENT: Final = 2.0
"""A local share is for those who saw Redis fail no longer ago than this."""

HEARTBEAT: Final = 0.4
"""An idle limiter returns what it holds by then; well within LEASE."""
