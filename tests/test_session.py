"""Test the request loop, in made-up time over a scripted transport, and on real sockets."""

from __future__ import annotations

import asyncio
import gc
import math
import random
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from copy import copy
from typing import Any

import aiohttp
import pytest
from attrs import define, field
from multidict import CIMultiDict

from telepath_async import LocalLimiter, RetryPolicy, TelepathClient, transport
from telepath_async.emitter import Emitter
from telepath_async.errors import (
    APIError,
    ClientClosedError,
    ConflictError,
    ConnectionFailed,
    ConnectionLost,
    NotFoundError,
    RateLimitError,
    RequestTimeout,
    ResponseError,
    ServerError,
    TelepathError,
    ThrottledError,
    UsageError,
)
from telepath_async.events import (
    CallEnded,
    CallStarted,
    Event,
    RequestFailed,
    RequestStarted,
    ResponseReceived,
    RetryScheduled,
    Throttled,
)
from telepath_async.key_state import KeyState
from telepath_async.protocol.messages import Request, Response
from telepath_async.protocol.retry import RetryBudget
from telepath_async.sandbox import Sandbox
from telepath_async.secret import Secret
from telepath_async.session import CallOptions, Session
from telepath_async.session_holder import SessionHolder
from tests.support.hostile import HANG, Hostile, reply
from tests.support.jumping import JumpLoop, jumping, now
from tests.support.keys import KEY
from tests.support.threads import bluntly, server_in_a_thread
from tests.support.wiring import session_of

GET = Request(method="GET", path="/calls/c1", template="/calls/{id}")
POST = Request(method="POST", path="/trunks", template="/trunks", repeatable=False)


def answer(status: int = 200, **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(
        status=status, headers=CIMultiDict(named), body=b"{}", endpoint="GET /calls/{id}"
    )


HANGING = object()
LOST = ConnectionLost("lost")


class Wire:
    """Play a script instead of a transport.

    A step is an answer, an error, a delay in seconds before the next, or HANGING until the timeout.
    """

    def __init__(self, *script: object) -> None:
        self.script = list(script)
        self.sent: list[tuple[float, float | None, dict[str, str]]] = []

    async def send(
        self,
        http: transport.Http,
        origin: transport.Origin,
        request: Request,
        *,
        headers: transport.Headers,
        timeout: float | None,
        until: float,
    ) -> Response:
        left = until - asyncio.get_running_loop().time()
        timeout = min(math.inf if timeout is None else timeout, left)
        timeout = None if timeout == math.inf else timeout
        self.sent.append((round(now(), 6), timeout, dict(headers)))
        turn = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if turn is HANGING:
            await asyncio.sleep(1e9 if timeout is None else timeout)
            raise RequestTimeout("late", sent=True)
        if isinstance(turn, float):
            await asyncio.sleep(turn)
            turn = self.script.pop(0)
        if isinstance(turn, Exception):
            raise turn
        assert isinstance(turn, Response)
        return turn

    @property
    def times(self) -> list[float]:
        return [moment for moment, _, _ in self.sent]


@define
class Gate:
    """Make each caller wait as long as the script says; an exception in it is raised."""

    waits: list[Any] = field(factory=list)
    asked: list[tuple[str, float | None]] = field(factory=list)
    observed: list[Mapping[str, str]] = field(factory=list)
    inside: int = 0

    async def acquire(
        self, *, priority: str = "interactive", max_wait: float | None = None
    ) -> float:
        self.asked.append((priority, max_wait))
        wait = self.waits.pop(0) if self.waits else 0.0
        if isinstance(wait, Exception):
            raise wait
        self.inside += 1
        try:
            await asyncio.sleep(wait)
        finally:
            self.inside -= 1
        return float(wait)

    def observe(self, headers: Mapping[str, str]) -> None:
        self.observed.append(headers)

    def bind(self, key_id: str) -> None:
        raise AssertionError


@define
class Rig:
    wire: Wire
    gate: Gate
    session: Session
    events: list[Event]
    budget: RetryBudget
    holder: SessionHolder


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Rig]:
    def make(*script: object, waits: list[Any] | None = None, **options: Any) -> Rig:
        wire, gate, events, budget, holder = (
            Wire(*script),
            Gate(list(waits or [])),
            [],
            RetryBudget(),
            SessionHolder(None),
        )
        monkeypatch.setattr(transport, "send", wire.send)
        monkeypatch.setattr(random, "random", lambda: 1.0)
        key = KeyState(
            base_url="http://127.0.0.1:1/v1",
            api_key=Secret(KEY),
            max_bytes=1000,
            limiter=gate,
            budget=budget,
        )
        chosen = CallOptions(
            **({"timeout": 30.0, "attempt_timeout": 10.0, "retry": RetryPolicy()} | options)
        )
        session = Session(holder=holder, key=key, options=chosen, emitter=Emitter(events.append))
        return Rig(wire, gate, session, events, budget, holder)

    return make


# The loop.


@jumping
async def test_a_good_answer_is_returned_and_gives_one_token_back(rig: Any) -> None:
    it = rig(answer(201))
    it.budget.spent = 100
    assert (await it.session.send(GET)).status == 201
    assert it.budget.spent == 99


@jumping
async def test_every_attempt_pays_the_limiter_and_every_answer_is_shown_to_it(rig: Any) -> None:
    it = rig(answer(503), LOST, answer(429), answer(200))
    await it.session.send(GET)
    assert len(it.gate.asked) == 4
    assert len(it.gate.observed) == 3


@jumping
async def test_retries_wait_longer_and_longer_and_are_paid_for(rig: Any) -> None:
    it = rig(LOST)
    with pytest.raises(ConnectionLost):
        await it.session.send(GET)
    assert it.wire.times == [0.0, 0.5, 1.5, 3.5]
    assert it.budget.spent == 15


@jumping
async def test_a_read_that_times_out_is_tried_again_for_twice_the_price(rig: Any) -> None:
    it = rig(HANGING, answer())
    await it.session.send(GET)
    assert it.wire.times == [0.0, 10.5]
    assert it.budget.spent == 9


@jumping
async def test_the_refusal_of_the_last_attempt_is_raised_without_the_key(rig: Any) -> None:
    it = rig(answer(503, X_Request_Id=f"echo {KEY}"))
    with pytest.raises(ServerError) as caught:
        await it.session.send(GET)
    assert len(it.wire.sent) == 4
    assert caught.value.request_id == "echo **********"


@pytest.mark.parametrize(
    ("outcome", "error"),
    [
        (answer(409), ConflictError),
        (answer(302), APIError),
        (answer(101), APIError),
        (ResponseError("large", status=200), ResponseError),
    ],
)
@jumping
async def test_what_is_not_worth_a_retry_is_raised_at_once(
    rig: Any, outcome: object, error: type[Exception]
) -> None:
    it = rig(outcome)
    with pytest.raises(error):
        await it.session.send(GET)
    assert len(it.wire.sent) == 1


@pytest.mark.parametrize(
    "outcome", [LOST, RequestTimeout("late", sent=True), answer(500), answer(503, Retry_After="0")]
)
@jumping
async def test_a_create_in_doubt_is_sent_once(rig: Any, outcome: object) -> None:
    it = rig(outcome, answer(201))
    with pytest.raises(TelepathError):
        await it.session.send(POST)
    assert len(it.wire.sent) == 1


@pytest.mark.parametrize(
    "outcome", [ConnectionFailed("no"), RequestTimeout("late", sent=False), answer(429)]
)
@jumping
async def test_a_create_that_did_not_happen_is_tried_again(rig: Any, outcome: object) -> None:
    it = rig(outcome, answer(201))
    assert (await it.session.send(POST)).status == 201


@jumping
async def test_an_empty_budget_ends_the_retries_of_all_calls(rig: Any) -> None:
    it = rig(LOST)
    for _ in range(300):
        with pytest.raises(ConnectionLost):
            await it.session.send(GET)
    assert len(it.wire.sent) == 400


# Time.


@jumping
async def test_an_attempt_is_given_its_own_time_and_never_more_than_the_call_has_left(
    rig: Any,
) -> None:
    it = rig(HANGING, timeout=15.0, retry=RetryPolicy(backoff=1))
    with pytest.raises(RequestTimeout):
        await it.session.send(GET)
    assert [timeout for _, timeout, _ in it.wire.sent] == [10.0, 4.0]
    assert now() == 15.0


@pytest.mark.parametrize(
    ("timeout", "attempt", "given"), [(None, None, None), (None, 7.0, 7.0), (5.0, None, 5.0)]
)
@jumping
async def test_none_is_no_bound(
    rig: Any, timeout: float | None, attempt: float | None, given: float | None
) -> None:
    it = rig(answer(), timeout=timeout, attempt_timeout=attempt)
    await it.session.send(GET)
    assert it.wire.sent[0][1] == given
    assert it.gate.asked == [("interactive", timeout)]


@jumping
async def test_a_wait_that_cannot_end_in_time_fails_at_once_with_what_the_server_asked_for(
    rig: Any,
) -> None:
    it = rig(answer(429, Retry_After="31"))
    with pytest.raises(RateLimitError) as caught:
        await it.session.send(GET)
    assert caught.value.retry_after == 31
    assert now() == 0


@jumping
async def test_time_in_the_limiter_counts_as_time_of_the_call(rig: Any) -> None:
    it = rig(HANGING, waits=[12.0, 4.0], timeout=30.0)
    with pytest.raises(RequestTimeout):
        await it.session.send(GET)
    assert it.gate.asked == [("interactive", 30.0), ("interactive", 7.5)]
    assert it.wire.sent[1][:2] == (26.5, 3.5)
    assert now() == 30.0


@jumping
async def test_a_limiter_that_would_take_too_long_is_an_error_at_once(rig: Any) -> None:
    it = rig(
        answer(), waits=[ThrottledError("no place", retry_after=9.0)], max_wait=1.0, priority="bulk"
    )
    with pytest.raises(ThrottledError) as caught:
        await it.session.send(GET)
    assert caught.value.retry_after == 9.0
    assert it.gate.asked == [("bulk", 1.0)]
    assert it.wire.sent == []


@jumping
async def test_an_attempt_that_was_not_sent_does_not_hide_an_earlier_one_that_was(rig: Any) -> None:
    it = rig(LOST, ConnectionFailed("refused"))
    with pytest.raises(ConnectionLost):
        await it.session.send(GET)
    assert len(it.wire.sent) == 4


@jumping
async def test_the_earlier_outcome_is_raised_when_the_limiter_has_no_place_for_a_retry(
    rig: Any,
) -> None:
    it = rig(answer(503), waits=[0.0, ThrottledError("no place", retry_after=9.0)])
    with pytest.raises(ServerError):
        await it.session.send(GET)
    assert len(it.wire.sent) == 1


# Events.


@jumping
async def test_events_tell_what_happens_in_order_and_name_no_id(rig: Any) -> None:
    it = rig(0.25, answer(503), 0.5, answer(200, X_RateLimit_Remaining="5987"), waits=[0.125, 0.0])
    await it.session.send(GET)
    of = {"method": "GET", "template": "/calls/{id}", "call": it.events[0].call}
    assert it.events == [
        CallStarted(**of, attempt=0, base_url="http://127.0.0.1:1/v1"),
        Throttled(**of, attempt=1, seconds=0.125),
        RequestStarted(**of, attempt=1),
        ResponseReceived(**of, attempt=1, status=503, seconds=0.25, remaining=None),
        RetryScheduled(**of, attempt=1, seconds=0.5, reason="503"),
        RequestStarted(**of, attempt=2),
        ResponseReceived(**of, attempt=2, status=200, seconds=0.5, remaining=5987),
        CallEnded(**of, attempt=2, seconds=1.375, status=200, error=None),
    ]


@jumping
async def test_an_attempt_without_an_answer_and_a_call_that_fails_name_the_class_of_the_error(
    rig: Any,
) -> None:
    it = rig(0.25, LOST, retry=RetryPolicy(max_attempts=1))
    with pytest.raises(ConnectionLost):
        await it.session.send(GET)
    of = {"method": "GET", "template": "/calls/{id}", "call": it.events[0].call, "attempt": 1}
    assert it.events[-2:] == [
        RequestFailed(**of, seconds=0.25, error="ConnectionLost"),
        CallEnded(**of, seconds=0.25, status=None, error="ConnectionLost"),
    ]


@jumping
async def test_a_call_that_the_server_refuses_ends_with_the_error_and_its_status(rig: Any) -> None:
    it = rig(answer(404))
    with pytest.raises(NotFoundError):
        await it.session.send(GET)
    last = it.events[-1]
    assert isinstance(last, CallEnded)
    assert (last.attempt, last.status, last.error) == (1, 404, "NotFoundError")


@jumping
async def test_a_cancelled_call_is_told_to_its_end(rig: Any) -> None:
    it = rig(HANGING)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(3.0):
            await it.session.send(GET)
    of = {"method": "GET", "template": "/calls/{id}", "call": it.events[0].call, "attempt": 1}
    assert it.events[-2:] == [
        RequestFailed(**of, seconds=3.0, error="CancelledError"),
        CallEnded(**of, seconds=3.0, status=None, error="CancelledError"),
    ]


@jumping
async def test_a_call_that_closing_cuts_off_ends_with_the_error_that_it_raises(rig: Any) -> None:
    it = rig(HANGING)
    call = asyncio.ensure_future(it.session.send(GET))
    await asyncio.sleep(1.0)
    await it.holder.aclose()
    with pytest.raises(ClientClosedError):
        await call
    assert [event.error for event in it.events if isinstance(event, RequestFailed | CallEnded)] == [
        "CancelledError",
        "ClientClosedError",
    ]


@jumping
async def test_a_call_that_never_got_a_place_ends_without_an_attempt(rig: Any) -> None:
    it = rig(answer(), waits=[ThrottledError("full", retry_after=9.0)])
    with pytest.raises(ThrottledError):
        await it.session.send(GET)
    assert [(type(event), event.attempt) for event in it.events] == [
        (CallStarted, 0),
        (CallEnded, 0),
    ]


@jumping
async def test_calls_at_the_same_time_are_told_apart_by_their_numbers(rig: Any) -> None:
    it = rig(answer(), waits=[0.5, 0.25])
    await asyncio.gather(it.session.send(copy(GET)), it.session.send(copy(GET)))
    first, second = dict.fromkeys(event.call for event in it.events)
    for number in (first, second):
        assert [type(event) for event in it.events if event.call == number] == [
            CallStarted, Throttled, RequestStarted, ResponseReceived, CallEnded,
        ]  # fmt: skip
    assert [event.call for event in it.events if isinstance(event, CallEnded)] == [second, first]


# Options.


@jumping
async def test_a_session_with_other_options_shares_pool_limiter_budget_and_rate_limit(
    rig: Any,
) -> None:
    it = rig(LOST, answer(X_RateLimit_Limit="60", X_RateLimit_Remaining="59"))
    other = it.session.with_options(
        priority="bulk", headers={"X-A": Secret("b")}, retry=RetryPolicy(budget=5)
    )
    await other.send(GET)
    assert it.budget.spent == 4
    assert it.gate.asked == [("bulk", 30.0), ("bulk", pytest.approx(29.5))]
    assert it.wire.sent[0][2]["X-A"] == "b"
    assert other.holder is it.holder
    assert it.session.key.rate_limit == other.key.rate_limit
    assert it.session.key.rate_limit.remaining == 59
    assert it.session.options.priority == "interactive"
    assert "'b'" not in repr(other.options)


@jumping
async def test_the_rate_limit_is_what_the_last_answer_that_spoke_of_it_said(rig: Any) -> None:
    it = rig(answer(X_RateLimit_Limit="60"), answer(X_RateLimit_Remaining="7"), answer())
    assert it.session.key.rate_limit is None
    await it.session.send(GET)
    assert it.session.key.rate_limit.limit == 60
    await it.session.send(GET)
    await it.session.send(GET)
    assert it.session.key.rate_limit.remaining == 7
    assert it.session.key.base_url == "http://127.0.0.1:1/v1"


# Cancellation and closing, in every phase.

PHASES = {
    "in the limiter": {"script": [answer()], "waits": [1000.0], "timeout": None},
    "in the backoff": {"script": [answer(503, Retry_After="50")], "timeout": None},
    "in the transport": {"script": [HANGING], "timeout": None, "attempt_timeout": None},
}
in_every_phase = pytest.mark.parametrize("phase", PHASES.values(), ids=PHASES)


def begun(rig: Any, phase: dict[str, Any]) -> tuple[Rig, asyncio.Task[Response]]:
    options = dict(phase)
    it = rig(*options.pop("script"), **options)
    return it, asyncio.ensure_future(it.session.send(GET))


@in_every_phase
@jumping
async def test_a_cancelled_call_leaves_at_once_and_the_cancellation_is_not_wrapped(
    rig: Any, phase: dict[str, Any]
) -> None:
    it, task = begun(rig, phase)
    await asyncio.sleep(1)
    task.cancel("by the caller")
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert type(caught.value) is asyncio.CancelledError
    assert now() == 1
    assert it.gate.inside == 0
    assert not it.holder.in_flight


@in_every_phase
@jumping
async def test_the_callers_own_timeout_wins(rig: Any, phase: dict[str, Any]) -> None:
    options = dict(phase)
    it = rig(*options.pop("script"), **options)
    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(2):
            await it.session.send(GET)
    assert not isinstance(caught.value, TelepathError)
    task = asyncio.current_task()
    assert task is not None
    assert (now(), task.cancelling()) == (2, 0)


@in_every_phase
@jumping
async def test_close_cuts_off_a_call_that_hangs(rig: Any, phase: dict[str, Any]) -> None:
    it, task = begun(rig, phase)
    await asyncio.sleep(1)
    await it.holder.aclose()
    with pytest.raises(ClientClosedError) as caught:
        await task
    assert caught.value.sent == bool(it.wire.sent)
    said = "whether it arrived is unknown" if caught.value.sent else "nothing was sent"
    assert said in str(caught.value)
    assert caught.value.__context__ is None
    assert (now(), it.gate.inside) == (1, 0)
    assert not it.holder.in_flight


@pytest.mark.parametrize(
    ("request_", "outcome", "sent"),
    [
        (POST, answer(429, Retry_After="5"), False),
        (POST, ConnectionFailed("no"), False),
        (GET, LOST, True),
        (GET, answer(503, Retry_After="5"), True),
    ],
)
@jumping
async def test_close_before_another_try_knows_whether_the_last_one_may_have_arrived(
    rig: Any, request_: Request, outcome: object, sent: bool
) -> None:
    it = rig(outcome, retry=RetryPolicy(backoff=20.0))
    task = asyncio.ensure_future(it.session.send(request_))
    await asyncio.sleep(1)
    await it.holder.aclose()
    with pytest.raises(ClientClosedError) as caught:
        await task
    assert (caught.value.sent, len(it.wire.sent)) == (sent, 1)
    assert ("whether it arrived is unknown" if sent else "not carried out") in str(caught.value)


@jumping
async def test_a_task_that_was_cut_off_can_go_on_and_be_timed_out_later(rig: Any) -> None:
    it = rig(HANGING, timeout=None, attempt_timeout=None)

    async def call_and_wait() -> int:
        with pytest.raises(ClientClosedError):
            await it.session.send(GET)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await asyncio.sleep(10)
        return 1

    task = asyncio.ensure_future(call_and_wait())
    await asyncio.sleep(1)
    await it.holder.aclose()
    assert await task == 1


@jumping
async def test_a_caller_who_cancels_in_the_moment_of_the_close_sees_the_cancellation(
    rig: Any,
) -> None:
    for first in ("close", "cancel"):
        it, task = begun(rig, PHASES["in the transport"])
        await asyncio.sleep(1)
        if first == "cancel":
            task.cancel()
        closing = asyncio.ensure_future(it.holder.aclose())
        await asyncio.sleep(0)  # now it has cut, and the task does not know yet
        if first == "close":
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await closing


@jumping
async def test_closing_twice_is_fine_and_cuts_off_once(rig: Any) -> None:
    it, task = begun(rig, PHASES["in the transport"])
    await asyncio.sleep(1)
    await asyncio.gather(it.holder.aclose(), it.holder.aclose())
    with pytest.raises(ClientClosedError):
        await task
    assert task.cancelling() == 0


@jumping
async def test_use_after_close_is_refused_and_takes_no_place(rig: Any) -> None:
    it = rig(answer())
    await it.holder.aclose()
    with pytest.raises(ClientClosedError, match="this client is closed; open a new one"):
        await it.session.send(GET)
    assert it.gate.asked == []


@jumping
async def test_a_call_whose_limiter_swallows_the_cut_opens_no_new_session(rig: Any) -> None:
    it = rig(answer())

    async def stubborn(**_: Any) -> float:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(5)
        return 0.0

    it.session.key.limiter = type("Stubborn", (), {"acquire": staticmethod(stubborn)})()
    task = asyncio.ensure_future(it.session.send(GET))
    await asyncio.sleep(1)
    await it.holder.aclose()
    with pytest.raises(ClientClosedError, match="was closed while a call was under way"):
        await task
    assert it.wire.sent == []


def test_a_call_outside_a_task_is_refused(rig: Any) -> None:
    it = rig(answer())
    loop = JumpLoop()
    failed: list[BaseException] = []

    def step() -> None:
        coroutine = it.session.send(GET)
        try:
            coroutine.send(None)
        except UsageError as error:
            failed.append(error)
        loop.stop()

    loop.call_soon(step)
    loop.run_forever()
    loop.close()
    assert "must be awaited inside a task" in str(failed[0])


# Loops.


def client_at(url: str, **options: Any) -> TelepathClient:
    return TelepathClient(KEY, base_url=url, limiter=LocalLimiter(), **options)


@pytest.mark.parametrize("run", [asyncio.run, bluntly])
def test_a_client_goes_from_one_closed_loop_to_the_next_without_a_word(
    run: Callable[[Any], Any],
) -> None:
    with server_in_a_thread(reply()) as server:
        client = client_at(server.url)
        for _ in range(3):
            assert run(client.request("GET", "/x")).status == 200
            gc.collect()  # a warning would fail the test
        run(client.aclose())
        assert len(server.connections) == 3
    gc.collect()


def test_a_client_that_was_refused_on_its_next_loop_closes_what_it_left_on_the_last_one() -> None:
    async def refused_and_closed() -> None:
        with pytest.raises(ThrottledError):
            await client.with_options(max_wait=0.0).request("GET", "/x")
        await client.aclose()

    with server_in_a_thread(reply()) as server:
        client = TelepathClient(KEY, base_url=server.url, limiter=LocalLimiter(limit=1))
        bluntly(client.request("GET", "/x"))
        asyncio.run(refused_and_closed())
        gc.collect()  # a warning would fail the test


def test_asyncio_run_closes_the_connections_of_a_client_that_nobody_closed() -> None:
    with server_in_a_thread(reply()) as server:
        client = client_at(server.url)
        asyncio.run(client.request("GET", "/x"))
        assert session_of(client).holder.http is None


@pytest.mark.parametrize("own_session", [False, True])
def test_a_client_whose_loop_was_closed_under_a_call_can_be_closed(own_session: bool) -> None:
    left: list[Any] = []

    async def leave(url: str) -> TelepathClient:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        own = aiohttp.ClientSession() if own_session else None
        client = client_at(url, session=own)
        left.extend([asyncio.ensure_future(client.request("GET", "/x")), own])
        while not server.requests:
            await asyncio.sleep(0.001)
        return client

    with server_in_a_thread(HANG) as server:
        client = bluntly(leave(server.url))
        asyncio.run(client.aclose())
        asyncio.run(client.aclose())
        assert "closed" in repr(client)
        with pytest.raises(ClientClosedError):
            asyncio.run(client.request("GET", "/x"))
    # What is left of the call and its session belongs to the one who closed the loop.
    if own_session:
        asyncio.run(transport.abandon(left[1]))
    left.clear()
    del client
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


async def test_a_second_loop_while_the_first_runs_is_refused_and_harms_nobody() -> None:
    async with Hostile([reply()]) as server, client_at(server.url) as client:
        await client.request("GET", "/x")
        for work in (lambda: client.request("GET", "/x"), client.aclose):
            with pytest.raises(
                UsageError, match="belongs to another event loop; make one for each loop"
            ):
                await asyncio.to_thread(lambda work=work: asyncio.run(work()))  # type: ignore[misc]
        assert (await client.request("GET", "/x")).status == 200
    assert len(server.requests) == 2


async def test_a_session_that_the_loop_closed_is_opened_anew() -> None:
    async with Hostile([reply()]) as server, client_at(server.url) as client:
        await client.request("GET", "/x")
        http = session_of(client).holder.http
        assert http is not None
        await http.session.close()
        await client.request("GET", "/x")
    assert len(server.connections) == 2


@pytest.mark.parametrize("turns", range(4))
def test_a_client_can_close_while_its_loop_shuts_down(turns: int) -> None:
    async def main(url: str) -> None:
        client = client_at(url)
        await client.request("GET", "/x")
        loop = asyncio.get_running_loop()
        shutting_down = asyncio.ensure_future(loop.shutdown_asyncgens())
        for _ in range(turns):
            await asyncio.sleep(0)
        await client.aclose()
        await shutting_down
        assert session_of(client).holder.http is None

    with server_in_a_thread(reply()) as server:
        asyncio.run(main(server.url))


def test_a_client_closed_by_a_generator_that_the_loop_shuts_down_goes_without_a_word() -> None:
    with server_in_a_thread(reply()) as server:

        async def dependency() -> Any:
            async with client_at(server.url) as client:
                await client.request("GET", "/x")
                yield client

        left = []

        async def main() -> None:
            left.append(dependency())
            await anext(left[-1])

        for _ in range(5):
            asyncio.run(main())


# A caller's own session.


async def test_a_callers_own_session_is_used_and_never_closed() -> None:
    async with Hostile([reply()]) as server, aiohttp.ClientSession() as own:
        async with client_at(server.url, session=own) as client:
            await client.request("GET", "/x")
            await client.request("GET", "/x")
        assert not own.closed
        async with own.get(server.url) as theirs:
            assert theirs.status == 200
    assert len(server.connections) == 1


async def test_a_callers_own_session_that_is_closed_is_named() -> None:
    own = aiohttp.ClientSession()
    await own.close()
    async with client_at("http://127.0.0.1:1", session=own) as client:
        with pytest.raises(UsageError, match="the aiohttp session that was passed in is closed"):
            await client.request("GET", "/x")


async def test_a_callers_own_session_of_another_loop_is_refused() -> None:
    async with aiohttp.ClientSession() as own:
        client = client_at("http://127.0.0.1:1", session=own)
        with pytest.raises(
            UsageError, match="the session passed in\\) belongs to another event loop"
        ):
            await asyncio.to_thread(lambda: asyncio.run(client.request("GET", "/x")))
        await client.aclose()


async def test_a_callers_own_session_is_refused_once_its_loop_is_closed() -> None:
    async def make() -> aiohttp.ClientSession:
        return aiohttp.ClientSession()

    own = await asyncio.to_thread(lambda: bluntly(make()))
    client = client_at("http://127.0.0.1:1", session=own)
    with pytest.raises(UsageError, match="belongs to another event loop"):
        await client.request("GET", "/x")
    await client.aclose()
    assert not own.closed
    await transport.abandon(own)


# On real sockets.


async def test_300_calls_at_once_stay_under_the_limit_and_all_succeed() -> None:
    async with (
        Sandbox(rate_limit=50, rate_period=1.0) as sandbox,
        TelepathClient(
            sandbox.api_key, base_url=sandbox.base_url, limiter=LocalLimiter(limit=50, period=1.0)
        ) as client,
    ):
        answers = await asyncio.gather(
            *(client.request("GET", "/trunks", params={"limit": 1}) for _ in range(300))
        )
    assert [response.status for response in answers] == [200] * 300
    assert sandbox.throttled <= 6


async def test_a_header_too_short_for_a_credential_masks_nothing() -> None:
    refusal = reply(400, b'{"error": {"message": "no 1"}}')
    async with Hostile([refusal]) as server, client_at(server.url) as client:
        with pytest.raises(APIError, match="no 1"):
            await client.with_options(headers={"X-Version": "1"}).request("GET", "/x")
