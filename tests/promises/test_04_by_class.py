"""Promise 4: tell "not sent", "refused" and "outcome unknown" apart by exception class.

Beside these: tests/test_transport.py (which failures count as sent), test_03_never_twice.py (what
is reported is true).
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from telepath_async import LocalLimiter, RetryPolicy, TelepathClient
from telepath_async.errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ClientClosedError,
    ConflictError,
    ConnectionFailed,
    ConnectionLost,
    NotFoundError,
    OutcomeUnknown,
    PermissionDeniedError,
    RateLimitError,
    RequestTimeout,
    ResponseError,
    ServerError,
    TelepathError,
    ThrottledError,
    TransportError,
    UsageError,
)
from tests.support.hostile import (
    CLOSE,
    HANG,
    RESET,
    Hostile,
    Received,
    Step,
    answering,
    cut,
    raw,
    redirect,
    reply,
)
from tests.support.trunk_server import KEY, client_of, spec

# A create and a rotate can raise only these three groups, and no class stands in two of them.
NOT_SENT = (UsageError, ConnectionFailed, ThrottledError, RequestTimeout)
REFUSED = (APIError,)
UNKNOWN = (OutcomeUnknown,)

Call = Callable[[TelepathClient], Any]
OPERATIONS: dict[str, Call] = {
    "get": lambda client: client.calls.get("c"),
    "overview": lambda client: client.analytics.overview(),
    "list": lambda client: client.calls.list().collect(),
    "find": lambda client: client.trunks.find("u"),
    "update": lambda client: client.trunks.update("t", name="n"),
    "number": lambda client: client.numbers.update("+15550100001", label="l"),
    "create": lambda client: client.trunks.create(**spec("u")),
    "rotate": lambda client: client.trunks.rotate_sip_password("t"),
}
ONCE_ONLY = ("create", "rotate")

# What each fault, played for ever, makes of a read or an update, and of a create or a rotate.
FAULTS: dict[str, tuple[Step, type[TelepathError], type[TelepathError]]] = {
    **{
        str(status): (reply(status), error, error)
        for status, error in {
            400: BadRequestError, 401: AuthenticationError, 403: PermissionDeniedError,
            404: NotFoundError, 408: APIError, 409: ConflictError, 422: BadRequestError,
            429: RateLimitError,
        }.items()
    },
    "307": (redirect("https://example.com/"), APIError, APIError),
    **{
        str(status): (reply(status), ServerError, OutcomeUnknown)
        for status in (500, 502, 503, 504, 599)
    },
    "303": (redirect("https://example.com/", 303), APIError, OutcomeUnknown),
    "closed": (CLOSE, ConnectionLost, OutcomeUnknown),
    "reset": (RESET, ConnectionLost, OutcomeUnknown),
    "cut": (cut(reply(200, b"{}"), -1), ConnectionLost, OutcomeUnknown),
    "garbage": (raw(b"\x00\xff", "close"), ConnectionLost, OutcomeUnknown),
    "silence": (HANG, RequestTimeout, OutcomeUnknown),
    "a proxy's page": (reply(200, b"<html>"), ResponseError, OutcomeUnknown),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_the_class_says_what_became_of_it(operation: str, fault: str) -> None:
    step, of_others, of_once = FAULTS[fault]
    expected = of_once if operation in ONCE_ONLY else of_others
    if (operation, fault) == ("rotate", "a proxy's page"):
        expected = ResponseError  # it was carried out, and `raw` holds what came: promise 5
    hurry: dict[str, Any] = {"attempt_timeout": 0.5, "retry": 0} if step is HANG else {}
    async with Hostile([step]) as server, client_of(server, **hurry) as client:
        with pytest.raises(TelepathError) as caught:
            await OPERATIONS[operation](client)
    assert type(caught.value) is expected
    assert getattr(caught.value, "sent", True)
    assert server.requests


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_what_was_never_sent_has_a_class_that_says_so(operation: str) -> None:
    call = OPERATIONS[operation]
    once = RetryPolicy(max_attempts=1)
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        async with TelepathClient(
            KEY, base_url=f"http://127.0.0.1:{unheard.getsockname()[1]}", retry=once
        ) as client:
            with pytest.raises(ConnectionFailed) as failed:
                await call(client)
    async with Hostile([reply()]) as server:
        limiter = LocalLimiter(1, 60.0)
        await limiter.acquire()
        client = client_of(server, limiter=limiter, timeout=1.0)
        with pytest.raises(ThrottledError):
            await call(client)
        await client.aclose()
        with pytest.raises(ClientClosedError) as closed:
            await call(client)
        assert server.connections == []
    assert (failed.value.sent, closed.value.sent) == (False, False)


def test_no_class_says_two_things() -> None:
    for one, others in (
        (NOT_SENT, REFUSED + UNKNOWN),
        (REFUSED, NOT_SENT + UNKNOWN),
        (UNKNOWN, NOT_SENT + REFUSED),
    ):
        for kind in one:
            assert not issubclass(kind, others)
            assert not any(issubclass(other, kind) for other in others)


@pytest.mark.parametrize("operation", ["get", "update"])
@pytest.mark.parametrize("first", [RESET, HANG, reply(503)], ids=["reset", "silence", "503"])
async def test_what_was_sent_once_is_never_called_not_sent_because_the_next_attempt_was_not(
    operation: str, first: Step
) -> None:
    def last_words(_: Received) -> Step:
        server.stop_listening()
        return Step(
            first.data, "hang" if first.then == "hang" else "reset" if first is RESET else "close"
        )

    async with (
        Hostile([answering(last_words)]) as server,
        client_of(server, attempt_timeout=0.5 if first is HANG else 10.0) as client,
    ):
        with pytest.raises(TelepathError) as caught:
            await OPERATIONS[operation](client)
    assert type(caught.value) is {RESET: ConnectionLost, HANG: RequestTimeout}.get(
        first, ServerError
    )
    assert not isinstance(caught.value, TransportError) or caught.value.sent
