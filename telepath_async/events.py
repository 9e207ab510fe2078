"""What `on_event` is told: enough for logs, metrics, traces and progress bars, and never a secret.

A call is told in this order, in the task that makes it: CallStarted; for each attempt Throttled (if
it had to wait), RequestStarted, then ResponseReceived or RequestFailed, and RetryScheduled if
another one follows; CallEnded, whatever happened.
"""

from __future__ import annotations

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What all events have.

    `method` and `template` name the endpoint (`GET`, `/calls/{id}`; of `request()`, the path that
    was given); `call` is the number of the call in this process; `attempt` counts from 1, and is 0
    where none has begun.
    """

    method: str
    template: str
    call: int
    attempt: int


class CallStarted(Event, frozen=True, kw_only=True):
    """A call begins: one answer is wanted, in as many attempts as it takes.

    `base_url`: where it goes.
    """

    base_url: str


class RequestStarted(Event, frozen=True, kw_only=True):
    """An attempt is about to be sent."""


class ResponseReceived(Event, frozen=True, kw_only=True):
    """An answer has come, good or bad: its `status`, and the `seconds` that the attempt took.

    `remaining`: requests left in the server's window, as the answer says, or None.
    """

    status: int
    seconds: float
    remaining: int | None


class RequestFailed(Event, frozen=True, kw_only=True):
    """An attempt ended after `seconds` without an answer that can be used.

    `error`: the name of the exception.
    """

    seconds: float
    error: str


class RetryScheduled(Event, frozen=True, kw_only=True):
    """Attempt `attempt` failed, and another begins in `seconds`.

    `reason`: a status, or the name of an exception.
    """

    seconds: float
    reason: str


class Throttled(Event, frozen=True, kw_only=True):
    """The limiter made the attempt wait `seconds`."""

    seconds: float


class CallEnded(Event, frozen=True, kw_only=True):
    """A call has ended after `attempt` attempts and `seconds`, waits included.

    `error`: the name of the exception that it raised, such as `NotFoundError` or `CancelledError`,
    or None; `status`: that of the answer, or of the error, or None.
    """

    seconds: float
    status: int | None
    error: str | None
