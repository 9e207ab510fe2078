"""Whether to try again, and after how many seconds."""

from __future__ import annotations

import math
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from telepath_async.errors import (
    ConnectionFailed,
    ConnectionLost,
    RequestTimeout,
    TransportError,
    UsageError,
)
from telepath_async.protocol.messages import Request, Response
from telepath_async.protocol.retry import (
    RetryBudget,
    RetryPolicy,
    decide,
    retry_after,
    server_delay,
)

NOW = 1_741_603_200.0  # Mon, 10 Mar 2025 10:40:00 GMT
HOUR = 3600.0

GET = Request(method="GET", path="/calls", template="/calls")
POST = Request(method="POST", path="/trunks", template="/trunks", repeatable=False)
NO_RETRY_OF_OURS = RetryPolicy(backoff=0, backoff_cap=0)


def http(seconds: float) -> str:
    return formatdate(seconds, usegmt=True)


def answer(status: int = 503, **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status=status, headers=CIMultiDict(named), body=b"", endpoint="GET /calls")


def decided(
    outcome: Response | TransportError,
    *,
    policy: RetryPolicy = NO_RETRY_OF_OURS,
    request: Request = GET,
    **given: Any,
) -> float | None:
    options: dict[str, Any] = {
        "attempt": 1,
        "budget": RetryBudget(),
        "time_left": math.inf,
        "jitter": 0.5,
        "wall_clock": NOW,
    }
    return decide(policy, request, outcome, **(options | given))


LOST = ConnectionLost("lost")
FAILED = ConnectionFailed("failed")
REFUSED = ConnectionFailed("a bad certificate", permanent=True)
TIMEOUT_SENT = RequestTimeout("late", sent=True)
TIMEOUT_UNSENT = RequestTimeout("late", sent=False)


@pytest.mark.parametrize(
    ("outcome", "of_a_read", "of_a_create"),
    [
        (FAILED, True, True),
        (REFUSED, False, False),
        (TIMEOUT_UNSENT, True, True),
        (LOST, True, False),
        (TIMEOUT_SENT, True, False),
        (answer(429), True, True),
        *((answer(status), True, False) for status in (408, 500, 501, 502, 503, 504, 599)),
        *((answer(status), False, False) for status in (101, 302, 400, 401, 403, 404, 409)),
        *((answer(status), False, False) for status in (422, 425)),
    ],
    ids=lambda value: (
        getattr(value, "status", None)
        or (type(value).__name__ if isinstance(value, Exception) else None)
    ),
)
def test_what_is_worth_another_try(
    outcome: Response | TransportError, of_a_read: bool, of_a_create: bool
) -> None:
    assert (decided(outcome, request=GET) is not None) is of_a_read
    assert (decided(outcome, request=POST) is not None) is of_a_create


@pytest.mark.parametrize(
    ("outcome", "cost"),
    [
        (answer(429, Retry_After="2"), 0),
        (answer(429), 5),
        (answer(429, Retry_After="0"), 5),
        (answer(503, Retry_After="2"), 5),
    ],
)
def test_a_429_that_names_its_wait_spends_nothing_of_the_budget(
    outcome: Response, cost: float
) -> None:
    budget = RetryBudget()
    assert decided(outcome, budget=budget) is not None
    assert budget.spent == cost


def test_a_429_that_names_its_wait_is_repeated_though_the_budget_is_empty() -> None:
    empty = RetryBudget(spent=500)
    assert decided(answer(429, Retry_After="2"), budget=empty) == 2.0
    assert decided(answer(429), budget=empty) is None


def test_a_conflict_is_never_repeated_even_where_the_server_asks_for_it() -> None:
    assert decided(answer(409, Retry_After="1")) is None


IN_30_S = NOW + 30

RETRY_AFTER_FORMS = [
    # the header, the answer's Date, the seconds that it asks for
    ("30", None, 30.0),
    ("0", None, 0.0),
    ("007", None, 7.0),
    (" 5 ", None, 5.0),
    ("\t4", None, 4.0),
    ("86400", None, 86400.0),
    ("1.5", None, 1.5),
    ("1e1", None, 10.0),
    ("+3", None, 3.0),
    ("-0", None, 0.0),
    ("0.000001", None, 0.000001),
    *((text, None, None) for text in ("-1", "-0.1", "inf", "-inf", "infinity", "1e999", "nan")),
    *((text, None, None) for text in ("", "   ", "soon", "5 seconds", "1_000", "0x10")),
    *((text, None, None) for text in ("1,5", "10, 20", "9" * 5000)),
    ("٣", None, None),  # a digit, and no ASCII
    ("\udcff", None, None),  # how a byte that is no UTF-8 arrives
    ("99999999999", None, 99999999999.0),
    # the three forms of a date in RFC 9110, with the Date of the answer, with none, and
    # with a Date of no use
    ("Mon, 10 Mar 2025 10:40:30 GMT", http(NOW), 30.0),
    ("Monday, 10-Mar-25 10:40:30 GMT", http(NOW), 30.0),
    ("Mon Mar 10 10:40:30 2025", http(NOW), 30.0),
    ("Mon, 10 Mar 2025 11:40:30 +0100", http(NOW), 30.0),
    (http(IN_30_S), None, 30.0),
    (http(IN_30_S), "yesterday", 30.0),
    (http(IN_30_S), "", 30.0),
    (http(NOW), http(NOW), 0.0),
    (http(NOW - 1), http(NOW), None),
    (http(NOW - 1), None, None),
    # the server's clock is an hour fast, or slow: its own Date says so
    (http(IN_30_S + HOUR), http(NOW + HOUR), 30.0),
    (http(IN_30_S - HOUR), http(NOW - HOUR), 30.0),
    ("30", http(NOW + HOUR), 30.0),
    ("30", http(NOW - HOUR), 30.0),
    ("Mon, 99 Mar 2025 10:40:30 GMT", None, None),
    ("Mon, 10 Mar 99999 10:40:30 GMT", None, None),
]


@pytest.mark.parametrize(("text", "date", "seconds"), RETRY_AFTER_FORMS)
def test_every_form_of_retry_after_is_read_or_counts_as_absent_and_gives_a_bounded_wait(
    text: str, date: str | None, seconds: float | None
) -> None:
    headers = {"retry-after": text} | ({} if date is None else {"Date": date})
    assert retry_after(CIMultiDict(headers), wall_clock=NOW) == seconds
    for status in (429, 503):
        delay = decided(answer(status, **headers), policy=RetryPolicy(max_wait=60))
        if seconds is not None and seconds > 60:
            assert delay is None
        else:
            assert delay is not None
            assert max(seconds or 0, 0.05) <= delay <= 60


@pytest.mark.parametrize(
    ("reset", "date", "delay"),
    [
        (NOW + 20, NOW, 20.0),
        (NOW, NOW, 0.0),
        (NOW + 20 + HOUR, NOW + HOUR, 20.0),
        (NOW + 20 - HOUR, NOW - HOUR, 20.0),
        (NOW + HOUR, NOW, 60.0),  # never more than one window
        (NOW - 5, NOW, 0.0),
        (NOW + 20, None, 0.0),  # without a Date it says nothing
    ],
)
def test_a_429_without_retry_after_waits_for_the_reset_by_the_servers_own_clock(
    reset: float, date: float | None, delay: float
) -> None:
    headers = {"X_RateLimit_Reset": str(int(reset))} | (
        {} if date is None else {"Date": http(date)}
    )
    assert decided(answer(429, **headers)) == delay


def test_retry_after_goes_before_the_reset() -> None:
    assert (
        decided(answer(429, Retry_After="3", X_RateLimit_Reset=str(int(NOW + 20)), Date=http(NOW)))
        == 3
    )


def test_the_reset_of_an_answer_that_is_no_429_is_not_waited_for() -> None:
    assert decided(answer(503, X_RateLimit_Reset=str(int(NOW + 20)), Date=http(NOW))) == 0


def test_a_server_that_asks_for_more_than_max_wait_is_not_waited_for_and_nothing_is_paid() -> None:
    budget = RetryBudget()
    assert decided(answer(429, Retry_After="61"), budget=budget) is None
    assert budget.spent == 0
    assert decided(answer(429, Retry_After="60"), budget=budget) == 60


@pytest.mark.parametrize(
    ("time_left", "delay"),
    [(10.0, None), (10.1, 10.0), (0.0, None), (-1.0, None), (math.inf, 10.0)],
)
def test_a_wait_that_cannot_end_before_the_deadline_is_not_begun(
    time_left: float, delay: float | None
) -> None:
    budget = RetryBudget()
    assert decided(answer(503, Retry_After="10"), time_left=time_left, budget=budget) == delay
    assert budget.spent == (0 if delay is None else 5)


@pytest.mark.parametrize(
    ("attempt", "ceiling"), [(1, 0.5), (2, 1.0), (3, 2.0), (6, 16.0), (7, 20.0), (5000, 20.0)]
)
def test_the_backoff_doubles_up_to_its_cap(attempt: int, ceiling: float) -> None:
    policy = RetryPolicy(max_attempts=10_000)
    assert decided(LOST, policy=policy, attempt=attempt, jitter=1.0) == pytest.approx(ceiling)
    assert decided(LOST, policy=policy, attempt=attempt, jitter=0.0) == pytest.approx(ceiling / 10)


def test_the_last_attempt_is_the_last() -> None:
    assert decided(LOST, policy=RetryPolicy(max_attempts=3), attempt=2) is not None
    assert decided(LOST, policy=RetryPolicy(max_attempts=3), attempt=3) is None
    assert decided(LOST, policy=RetryPolicy(max_attempts=1)) is None


def test_the_servers_wish_is_the_least_wait_and_the_backoff_spreads_above_it() -> None:
    assert decided(answer(503, Retry_After="0"), policy=RetryPolicy()) == pytest.approx(0.275)
    assert decided(answer(503, Retry_After="2"), policy=RetryPolicy()) == 2


@given(
    policy=st.builds(
        RetryPolicy,
        max_attempts=st.integers(1, 20),
        backoff=st.floats(0.001, 100),
        backoff_cap=st.floats(0.001, 1000),
        max_wait=st.floats(0, 1000),
        budget=st.floats(0, 1000),
    ),
    request=st.sampled_from([GET, POST]),
    outcome=st.sampled_from([LOST, FAILED, TIMEOUT_SENT, TIMEOUT_UNSENT])
    | st.builds(
        answer,
        st.sampled_from([429, 500, 503, 408, 404]),
        Retry_After=st.floats(allow_nan=True).map(str)
        | st.integers().map(str)
        | st.floats(0, 5e9).map(http)
        | st.text(),
        X_RateLimit_Reset=st.integers(0, 10**12).map(str),
        Date=st.floats(0, 5e9).map(http) | st.text(),
    ),
    attempt=st.integers(1, 30),
    time_left=st.just(math.inf) | st.floats(-10, 1000),
    jitter=st.floats(0, 1),
    spent=st.floats(0, 1000),
)
def test_whatever_comes_a_delay_is_finite_above_zero_before_the_deadline_and_paid_for(
    policy: RetryPolicy,
    request: Request,
    outcome: Response | TransportError,
    attempt: int,
    time_left: float,
    jitter: float,
    spent: float,
) -> None:
    budget = RetryBudget(spent)
    delay = decide(
        policy,
        request,
        outcome,
        attempt=attempt,
        budget=budget,
        time_left=time_left,
        jitter=jitter,
        wall_clock=NOW,
    )
    if delay is None:
        assert budget.spent == spent
        return
    assert 0 < delay < math.inf
    assert delay <= max(policy.max_wait, policy.backoff_cap)
    assert delay < time_left
    assert attempt < policy.max_attempts
    cost = 10 if isinstance(outcome, RequestTimeout) else 5
    if isinstance(outcome, Response) and outcome.status == 429:
        cost = 0 if server_delay(outcome, wall_clock=NOW) else 5
    assert budget.spent - spent == pytest.approx(cost)
    assert budget.spent <= policy.budget or not cost


@pytest.mark.parametrize(("outcome", "most"), [(LOST, 100), (TIMEOUT_SENT, 50)])
def test_an_outage_is_paid_out_of_the_budget_until_it_is_empty_and_timeouts_cost_double(
    outcome: TransportError, most: int
) -> None:
    budget = RetryBudget()
    assert sum(decided(outcome, budget=budget) is not None for _ in range(300)) == most
    assert budget.spent == 500


def test_a_success_gives_one_token_back_and_never_more_than_there_were() -> None:
    budget, policy = RetryBudget(), RetryPolicy(budget=10)
    budget.give_back()
    assert budget.spent == 0
    assert budget.take(policy, 10)
    assert not budget.take(policy, 1)
    budget.give_back()
    assert budget.spent == 9
    assert budget.take(policy, 1)


def test_policies_that_differ_share_a_budget_and_each_keeps_to_its_own_figure() -> None:
    budget, small, large = RetryBudget(), RetryPolicy(budget=10), RetryPolicy(budget=100)
    assert budget.take(large, 6)
    assert not budget.take(small)
    assert budget.take(large, 94)
    assert not budget.take(large)
    assert not RetryBudget().take(RetryPolicy(budget=0))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"max_attempts": 0}, "max_attempts must be a whole number from 1, not 0"),
        ({"max_attempts": 1.5}, "max_attempts"),
        ({"max_attempts": True}, "max_attempts"),
        ({"max_attempts": None}, "max_attempts"),
        ({"backoff": -1}, "backoff must be a number of seconds from 0, not -1"),
        ({"backoff": math.nan}, "backoff"),
        ({"backoff_cap": math.inf}, "backoff_cap"),
        ({"max_wait": "60"}, "max_wait"),
        ({"max_wait": None}, "max_wait"),
        ({"budget": True}, "budget"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_by_name_and_value(
    options: dict[str, Any], named: str
) -> None:
    with pytest.raises(UsageError, match=named):
        RetryPolicy(**options)
