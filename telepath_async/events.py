"""What `on_event` is told: enough for logs, metrics, traces and progress bars, and never a secret.

`method` and `template` name the endpoint (`GET`, `/calls/{id}`); `attempt` counts from 1.
"""

from __future__ import annotations

from attrs import frozen


@frozen(kw_only=True)
class Event:
    """What all events have."""

    method: str
    template: str
    attempt: int


@frozen(kw_only=True)
class RequestStarted(Event):
    """An attempt is about to be sent."""


@frozen(kw_only=True)
class ResponseReceived(Event):
    """An answer has come, good or bad: its `status`, and the `seconds` that the attempt took."""

    status: int
    seconds: float


@frozen(kw_only=True)
class RetryScheduled(Event):
    """Attempt `attempt` failed, and another begins in `seconds`; `reason`: a status, or the name of an exception."""

    seconds: float
    reason: str


@frozen(kw_only=True)
class Throttled(Event):
    """The limiter made the attempt wait `seconds`."""

    seconds: float
