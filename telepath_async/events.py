"""What `on_event` gets: enough for logs, metrics, traces and progress bars, and never a secret.

The events of a call come in this order, in the task that makes it: CallStarted; for each attempt
Throttled (if it had to wait), RequestStarted, then ResponseReceived or RequestFailed, and
RetryScheduled if another one follows; CallEnded, whatever happened.
"""

from __future__ import annotations

from attrs import frozen


@frozen(kw_only=True)
class Event:
    """What all events have.

    `method` and `template` name the endpoint (`GET`, `/calls/{id}`; of `request()`, the path that
    was given); `call` is the number of the call in this process; `attempt` counts from 1, and is 0
    where none has begun.
    """

    method: str
    template: str
    call: int
    attempt: int


@frozen(kw_only=True)
class CallStarted(Event):
    """A call begins: one answer is wanted, in as many attempts as it takes.

    `base_url`: where it goes.
    """

    base_url: str


@frozen(kw_only=True)
class RequestStarted(Event):
    """An attempt is about to be sent."""


@frozen(kw_only=True)
class ResponseReceived(Event):
    """An answer has come, good or bad: its `status`, and the `seconds` that the attempt took.

    `remaining`: requests left in the server's window by the answer's headers, or None.
    `request_id`: what the vendor's support asks for, or None.
    """

    status: int
    seconds: float
    remaining: int | None
    request_id: str | None = None


@frozen(kw_only=True)
class RequestFailed(Event):
    """An attempt ended after `seconds` without an answer that can be used.

    `error`: the name of the exception.
    """

    seconds: float
    error: str


@frozen(kw_only=True)
class RetryScheduled(Event):
    """Attempt `attempt` failed, and another begins in `seconds`.

    `reason`: a status, or the name of an exception.
    """

    seconds: float
    reason: str


@frozen(kw_only=True)
class Throttled(Event):
    """The limiter made the attempt wait `seconds`."""

    seconds: float


@frozen(kw_only=True)
class CallEnded(Event):
    """A call has ended after `attempt` attempts and `seconds`, waits included.

    `error`: the name of the exception that it raised, such as `NotFoundError` or `CancelledError`,
    or None; `status`: that of the answer, or of the error, or None.
    """

    seconds: float
    status: int | None
    error: str | None
