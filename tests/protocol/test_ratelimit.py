"""Test the token bucket against a list of all its grants, and rate-limit headers."""

from __future__ import annotations

from bisect import bisect_left
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from telepath_async.protocol.ratelimit import MAX_LIMIT, RateLimit, read_rate_limit
from telepath_async.protocol.token_bucket import TokenBucket
from tests.support.windows import most_in_a_window

RESET = 1_741_603_260
RESET_AT = datetime.fromtimestamp(RESET, UTC)
LIMITS = st.one_of(st.integers(1, 300), st.sampled_from([600, 6000, 100_000]))
PERIODS = st.sampled_from([0.5, 1.0, 7.3, 60.0, 3600.0])
BURSTS = st.one_of(st.none(), st.integers(1, 300))
STARTS = st.one_of(st.sampled_from([0.0, 1e-9, 12345.678, 2.0**20 - 0.5, 1.0e8]), st.floats(0, 1e8))


def drain(bucket: TokenBucket, now: float, until: float, late: float = 0.0) -> list[float]:
    """Take every token as soon as it is there, or `late` seconds after."""
    grants: list[float] = []
    while now < until:
        if bucket.take(now):
            grants.append(now)
        else:
            now = max(bucket.next_at(now), now) + late
    return grants


def seen(
    limit: int | None = None,
    remaining: int | None = None,
    reset: float = RESET,
    resets_in: float | None = 30.0,
) -> RateLimit:
    return RateLimit(limit, remaining, datetime.fromtimestamp(reset, UTC), resets_in)


# --- the window ---
@given(
    limit=LIMITS,
    period=PERIODS,
    burst=BURSTS,
    start=STARTS,
    steps=st.lists(st.floats(0, 2), max_size=60),
)
def test_no_window_holds_more_than_the_limit(
    limit: int, period: float, burst: int | None, start: float, steps: list[float]
) -> None:
    bucket = TokenBucket(limit, period, burst and min(burst, limit))
    now = start
    grants: list[float] = []
    for step in steps or [0.0]:
        now += step * period / 4
        while bucket.take(now) and len(grants) < 5000:
            grants.append(now)
    assert most_in_a_window(grants, period) <= limit


@given(
    limit=st.sampled_from([1, 2, 3, 7, 49, 50, 99, 100, 199, 200, 6000]),
    period=PERIODS,
    start=STARTS,
)
def test_steady_demand_gets_nearly_the_whole_limit_and_never_more(
    limit: int, period: float, start: float
) -> None:
    grants = drain(TokenBucket(limit, period), start, start + 5 * period)
    assert most_in_a_window(grants, period) <= limit
    assert len(grants) >= 5 * limit * (0.98 if limit >= 50 else 0.995)


@pytest.mark.parametrize("limit", [50, 100, 200, 6000])
def test_steady_demand_with_late_timers_still_gets_98_percent(limit: int) -> None:
    grants = drain(TokenBucket(limit, 60.0), 1000.0, 1600.0, late=0.002)
    assert len(grants) >= 10 * limit * 0.98


@given(limit=LIMITS, period=PERIODS, start=STARTS)
def test_an_idle_bucket_never_saves_up_more_than_one_percent(
    limit: int, period: float, start: float
) -> None:
    bucket = TokenBucket(limit, period)
    bucket.take(start)
    later = start + 1000 * period
    assert sum(bucket.take(later) for _ in range(limit // 100 + 2)) == max(1, limit // 100)


@given(
    limit=LIMITS,
    start=st.floats(1000, 1e6),
    jumps=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=40),
)
def test_a_clock_that_goes_backwards_grants_nothing_extra(
    limit: int, start: float, jumps: list[tuple[float, float]]
) -> None:
    bucket, now = TokenBucket(limit, 60.0), start
    grants: list[float] = []
    for forward, back in jumps:
        now += forward * 60
        for moment in (now, now - back * 60, now):
            while bucket.take(moment) and len(grants) < 5000:
                grants.append(moment)
    assert most_in_a_window(grants, 60.0) <= limit


@given(limit=LIMITS, back=st.floats(0, 1e9), counted=st.booleans())
def test_a_clock_that_was_set_back_blocks_for_no_more_than_two_periods(
    limit: int, back: float, counted: bool
) -> None:
    bucket = TokenBucket(limit, 60.0)
    drain(bucket, 1e6, 1e6 + 1)
    if counted:
        bucket.learn(seen(remaining=0), 1e6 + 1)
    now = 1e6 - back
    assert not bucket.take(now)
    assert not bucket.take(now)  # the first has only bounded the wait
    assert bucket.next_at(now) <= now + 120.2
    assert bucket.take(now + 120.2)


@given(
    limit=LIMITS,
    ahead=st.integers(0, 400),
    start=st.floats(0, 1e6),
    left=st.none() | st.integers(0, 50),
)
def test_the_foretold_time_is_the_time_of_the_grant(
    limit: int, ahead: int, start: float, left: int | None
) -> None:
    bucket = TokenBucket(limit, 60.0)
    drain(bucket, start, start + 5)
    now = start + 5
    bucket.learn(seen(remaining=left), now)
    foretold = bucket.next_at(now, ahead)
    grants: list[float] = []
    while len(grants) <= ahead:
        now = bucket.next_at(now)
        if bucket.take(now):
            grants.append(now)
    assert grants[ahead] == pytest.approx(foretold, abs=1e-6)


def test_a_token_given_back_can_be_taken_again_at_once() -> None:
    bucket = TokenBucket(1, 60.0)
    assert bucket.take(5.0)
    bucket.give_back(5.0)
    assert bucket.take(5.0)
    assert not bucket.take(5.0)


def test_a_token_given_back_after_the_bucket_ran_over_is_gone() -> None:
    bucket = TokenBucket(3, 60.0, 2)
    assert bucket.take(0.0)
    later = drain(bucket, 100.0, 100.001)
    bucket.give_back(0.0)
    assert len(later + drain(bucket, 100.0, 160.0)) == 3


@given(
    limit=st.integers(1, 40),
    burst=st.integers(1, 40),
    steps=st.lists(st.tuples(st.floats(0, 0.6), st.lists(st.integers(0, 99)))),
)
def test_tokens_given_back_late_never_break_the_window(
    limit: int, burst: int, steps: list[tuple[float, list[int]]]
) -> None:
    bucket, now = TokenBucket(limit, 60.0, min(burst, limit)), 0.0
    grants: list[float] = []
    for step, returned in steps:
        while bucket.take(now):
            grants.append(now)
        now += step * 60
        for number in returned[: len(grants)]:
            bucket.give_back(grants.pop(number % len(grants)))
    assert most_in_a_window(grants, 60.0) <= limit


def test_a_token_given_back_counts_for_the_server_too() -> None:
    bucket = TokenBucket(6000, 60.0)
    bucket.learn(seen(remaining=1), 0.0)
    assert bucket.take(0.0)
    bucket.give_back(0.0)
    assert [bucket.take(0.0) for _ in range(2)] == [True, False]


@pytest.mark.parametrize(
    ("queued", "burst", "expected"),
    [(0, 60, 1), (99, 60, 1), (300, 60, 3), (10**6, 60, 30), (10**6, 1, 1), (10**6, 2, 1)],
)
def test_a_batch_is_a_hundredth_of_the_queue_and_at_most_half_the_burst(
    queued: int, burst: int, expected: int
) -> None:
    assert TokenBucket(6000, 60.0, burst).batch(queued) == expected


def test_a_batch_does_not_wait_for_tokens_that_the_server_will_not_honour() -> None:
    bucket = TokenBucket(6000, 60.0)
    bucket.learn(seen(remaining=2), 0.0)
    assert bucket.batch(10_000) == 2


def test_a_bucket_is_idle_when_its_window_the_servers_and_a_pause_are_over() -> None:
    bucket = TokenBucket(6000, 60.0)
    assert bucket.is_idle(0.0)
    bucket.take(0.0)
    assert not bucket.is_idle(59.0)
    assert bucket.is_idle(61.0)
    bucket.learn(seen(remaining=0), 61.0)
    assert not bucket.is_idle(90.0)
    assert bucket.is_idle(91.0)
    bucket.pause(30.0, 100.0)
    assert not bucket.is_idle(129.0)
    assert bucket.is_idle(130.0)


# --- pauses ---


def test_a_pause_grants_nothing_and_makes_no_burst() -> None:
    bucket = TokenBucket(6000, 60.0)
    drain(bucket, 0.0, 5.0)
    bucket.pause(7.0, 5.0)
    assert bucket.next_at(5.0) == 12.0
    assert bucket.next_at(5.0, 99) == pytest.approx(12.4, abs=0.02)
    grants = drain(bucket, 5.0, 20.0)
    assert grants[0] == 12.0
    assert most_in_a_window(grants, 1.0) <= 60 + 100


def test_neither_a_shorter_pause_nor_a_change_of_the_limit_ends_a_pause() -> None:
    bucket = TokenBucket(60, 60.0)
    bucket.pause(10.0, 0.0)
    bucket.learn(seen(limit=6000), 1.0)
    bucket.pause(1.0, 2.0)
    assert not bucket.take(9.9)
    assert bucket.take(10.0)


def test_no_pause_is_longer_than_a_minute_whatever_is_asked_and_whatever_the_clock_does() -> None:
    bucket = TokenBucket(6000, 60.0)
    bucket.pause(86_400.0, 1000.0)
    assert bucket.next_at(1000.0) == 1060.0
    assert not bucket.take(10.0)  # the clock was set back
    assert bucket.take(70.0)


# --- what the headers teach ---
@given(
    changes=st.lists(st.tuples(st.integers(1, 500), st.floats(0, 90)), min_size=1, max_size=12),
    start=STARTS,
)
def test_through_changes_of_the_limit_no_window_holds_more_than_the_highest_in_force(
    changes: list[tuple[int, float]], start: float
) -> None:
    bucket, now, grants, spans = TokenBucket(100, 60.0), start, [], [(start, 100)]
    for limit, seconds in changes:
        bucket.learn(seen(limit), now)
        spans.append((now, limit))
        grants += drain(bucket, now, now + seconds)
        now += seconds
    for i, t in enumerate(grants):
        before = max(j for j, (since, _) in enumerate(spans) if since <= t)
        in_force = [limit for since, limit in spans[before:] if since < t + 60]
        assert bisect_left(grants, t + 60, i) - i <= max(in_force)


@given(old=st.integers(1, 6000), new=st.integers(1, 600) | st.just(6000), busy=st.floats(0, 5))
def test_after_a_change_the_new_limit_is_used_in_full_and_not_overstepped(
    old: int, new: int, busy: float
) -> None:
    bucket = TokenBucket(old, 60.0)
    drain(bucket, 0.0, busy)
    bucket.learn(seen(new), busy)
    grants = drain(bucket, busy, busy + 240)
    assert most_in_a_window(grants, 60.0) <= new
    assert len([t for t in grants if t >= busy + 62]) >= 2.95 * new * 0.98 - 2


def test_a_burst_that_was_spent_under_a_higher_limit_is_owed_under_the_lower_one() -> None:
    bucket = TokenBucket(6000, 60.0)
    first = drain(bucket, 0.0, 0.001)
    bucket.learn(seen(600), 0.001)
    assert len(first) == 60
    assert len(first + drain(bucket, 0.001, 60.0)) <= 606


@pytest.mark.parametrize(
    ("period", "burst", "limit", "at_once"),
    [
        (60.0, None, 300, 3),
        (60.0, 2, 300, 2),
        (60.0, 50, 300, 50),
        (30.0, None, 300, 1),
        (60.0, 50, 3, 3),
    ],
)
def test_the_limit_header_counts_for_minutes_only_and_keeps_a_chosen_burst_below_it(
    period: float, burst: int | None, limit: int, at_once: int
) -> None:
    bucket = TokenBucket(100, period, burst)
    bucket.learn(seen(limit), 0.0)
    assert sum(bucket.take(1000.0) for _ in range(400)) == at_once


def test_nothing_is_granted_when_the_server_has_nothing_left_until_it_resets() -> None:
    bucket = TokenBucket(6000, 60.0)
    bucket.learn(seen(remaining=2, resets_in=30.0), 100.0)
    assert [bucket.take(100.0) for _ in range(3)] == [True, True, False]
    assert bucket.next_at(100.0) == 130.0
    assert not bucket.take(129.9)
    assert bucket.take(130.0)


def test_an_answer_of_the_same_window_can_lower_the_count_and_not_raise_it() -> None:
    bucket = TokenBucket(6000, 60.0)
    bucket.learn(seen(remaining=1), 0.0)
    bucket.learn(seen(remaining=50), 0.0)
    assert [bucket.take(0.0) for _ in range(2)] == [True, False]


def test_an_answer_of_a_newer_window_replaces_the_count() -> None:
    bucket = TokenBucket(6000, 60.0)
    bucket.learn(seen(remaining=0), 0.0)
    bucket.learn(seen(remaining=2, reset=RESET + 60, resets_in=60.0), 0.0)
    assert [bucket.take(0.0) for _ in range(3)] == [True, True, False]
    assert bucket.next_at(0.0) == 60.0


@pytest.mark.parametrize(("now", "reset", "ignored"), [(0.0, -60, True), (30.0, -3600, False)])
def test_an_answer_of_an_older_window_is_ignored_until_the_reset_of_the_known_one(
    now: float, reset: int, ignored: bool
) -> None:
    bucket = TokenBucket(6000, 60.0)
    bucket.learn(seen(remaining=5), 0.0)
    bucket.learn(seen(remaining=0, reset=RESET + reset), now)
    assert bucket.take(now) is ignored


@pytest.mark.parametrize(
    "answer",
    [
        RateLimit(None, 0, None, None),
        RateLimit(None, 0, RESET_AT, None),
        RateLimit(None, None, RESET_AT, 30.0),
        RateLimit(6000, None, None, None),
    ],
)
def test_a_count_without_a_usable_reset_teaches_nothing(answer: RateLimit) -> None:
    bucket = TokenBucket(6000, 60.0)
    bucket.learn(answer, 0.0)
    assert bucket.take(0.0)


def test_no_reset_is_further_than_a_period_away() -> None:
    bucket = TokenBucket(10, 2.0)
    bucket.learn(seen(remaining=0, resets_in=1e9), 0.0)
    assert bucket.next_at(0.0) == 2.0


@pytest.mark.parametrize("latency", [0.01, 0.3, 1.2])
@pytest.mark.parametrize("offset", [0.0, 0.25, 0.999, -3600.5])
@pytest.mark.parametrize("rounding", [int, lambda seconds: int(seconds + 0.999999)])
def test_a_fixed_window_server_that_rounds_its_clock_costs_less_than_three_percent(
    latency: float, offset: float, rounding: type[int]
) -> None:
    limit, windows, start = 600, 5, 10_007.3
    bucket, now, served, refused = TokenBucket(limit, 60.0), start, 0, 0
    answers: list[tuple[float, RateLimit]] = []
    count, window_end = 0, start + 60
    while now < start + 60 * windows:
        while answers and answers[0][0] <= now:
            bucket.learn(answers[0][1], answers.pop(0)[0])
        if not bucket.take(now):
            now = min([bucket.next_at(now), *(when for when, _ in answers[:1])])
            continue
        arrival = now + latency / 2
        if arrival >= window_end:
            count, window_end = 0, window_end + 60
        count += 1
        refused += count > limit
        served += count <= limit
        clock = arrival + offset + 1.7e9
        reset = rounding(window_end + offset + 1.7e9)
        answers.append(
            (now + latency, seen(limit, max(0, limit - count), reset, max(0.0, reset - int(clock))))
        )
    assert refused == 0
    assert served >= 0.97 * limit * windows


def test_two_processes_of_one_key_are_slowed_by_each_others_requests() -> None:
    buckets = [TokenBucket(600, 60.0), TokenBucket(600, 60.0)]
    refused = served = 0
    for tick in range(6000 * 3):
        now = tick / 100
        window, count = divmod(now, 60)[0], served
        for bucket in buckets:
            if bucket.take(now):
                count += 1
                served, refused = (count, refused) if count <= 600 else (600, refused + 1)
                reset = RESET + 60 * int(window)
                bucket.learn(seen(600, 600 - served, reset, 60 * (window + 1) - now), now)
        if (tick + 1) % 6000 == 0:
            assert served == 600
            served = 0
    assert refused <= 3


# --- the forms of the headers ---

DATE = format_datetime(datetime.fromtimestamp(RESET - 20, UTC), usegmt=True)
GOOD = {
    "X-RateLimit-Limit": "6000",
    "X-RateLimit-Remaining": "5987",
    "X-RateLimit-Reset": str(RESET),
    "Date": DATE,
}


def read(**changes: str) -> RateLimit:
    """Read the documented headers with some of them changed; `_` stands for `-`."""
    named = {name.replace("_", "-"): value for name, value in changes.items()}
    answer = read_rate_limit(GOOD | named)
    assert answer is not None
    return answer


def test_the_documented_headers_are_read() -> None:
    assert read() == RateLimit(limit=6000, remaining=5987, reset_at=RESET_AT, resets_in=20.0)


@pytest.mark.parametrize(
    "headers",
    [
        {name.lower(): value for name, value in GOOD.items()},
        {name.upper(): value for name, value in GOOD.items()},
        CIMultiDict(GOOD),
        CIMultiDictProxy(CIMultiDict({name.swapcase(): value for name, value in GOOD.items()})),
        {name: f" {value}\t" for name, value in GOOD.items()},
    ],
)
def test_names_are_read_in_any_case_from_any_mapping(headers: dict[str, str]) -> None:
    assert read_rate_limit(headers) == read()


@pytest.mark.parametrize(
    "headers", [{}, {"Date": DATE}, {"X-RateLimit-Limit": "many"}, {"Content-Type": "text/html"}]
)
def test_no_usable_header_is_no_rate_limit(headers: dict[str, str]) -> None:
    assert read_rate_limit(headers) is None


GARBAGE = [
    "", " ", "-1", "-5987", "+5", "5.5", "1e3", "1_000", "0x10", "NaN", "nan", "inf", "-inf",
    "Infinity", "unlimited", "6000, 6000", "6000;w=60", "60 00", "\u0666\u0660", "\u00b2", "9" * 16,
    "9" * 5000, "null", "\x00", "6000\n1",
]  # fmt: skip


@pytest.mark.parametrize("text", GARBAGE)
def test_garbage_in_a_count_is_no_count(text: str) -> None:
    limit, remaining = read(X_RateLimit_Limit=text), read(X_RateLimit_Remaining=text)
    assert (limit.limit, limit.remaining) == (None, 5987)
    assert (remaining.limit, remaining.remaining) == (6000, None)


@pytest.mark.parametrize("text", ["0", str(MAX_LIMIT + 1), "999999999999999"])
def test_an_absurd_limit_is_no_limit(text: str) -> None:
    assert read(X_RateLimit_Limit=text).limit is None


@pytest.mark.parametrize(
    "text",
    [*(text for text in GARBAGE if text != "5.5"), f"{RESET}000", f"{RESET}.", "100000000000"],
)
def test_garbage_in_the_reset_is_no_reset(text: str) -> None:
    answer = read(X_RateLimit_Reset=text)
    assert (answer.reset_at, answer.resets_in) == (None, None)


@pytest.mark.parametrize(
    "text",
    ["", "soon", ",", "0", "Mon, 99 Foo 2025", DATE.replace("GMT", f"+{'9' * 30}"), "Mon, 1 Jan"],
)
def test_without_a_readable_date_the_reset_is_known_and_its_distance_is_not(text: str) -> None:
    assert read(Date=text) == RateLimit(6000, 5987, RESET_AT, None)


@pytest.mark.parametrize("text", ["60", "0", str(RESET - 21)])
def test_a_reset_before_the_date_has_no_distance(text: str) -> None:
    assert read(X_RateLimit_Reset=text).resets_in is None


@pytest.mark.parametrize("skew", [-3600, -1, 0, 1, 3600, 10**9])
def test_a_servers_wrong_clock_does_not_change_the_distance(skew: int) -> None:
    date = format_datetime(datetime.fromtimestamp(RESET - 20 + skew, UTC), usegmt=True)
    assert read(Date=date, X_RateLimit_Reset=str(RESET + skew)).resets_in == 20.0


def test_a_reset_may_have_a_fraction() -> None:
    assert read(X_RateLimit_Reset=f"{RESET}.5").resets_in == 20.5


@given(
    st.dictionaries(
        st.sampled_from([*GOOD, "x-ratelimit-reset"]),
        st.one_of(
            st.text("0123456789.", max_size=20),
            st.text("0123456789 :,+-JanMoGT\u0660", max_size=45),
        ),
    )
)
def test_no_header_whatever_raises_or_blocks(headers: dict[str, str]) -> None:
    answer = read_rate_limit(headers)
    bucket = TokenBucket(6000, 60.0)
    if answer is not None:
        bucket.learn(answer, 1000.0)
    assert bucket.next_at(1000.0) <= 1060.1


@pytest.mark.parametrize(
    "limits", [[600], [6000, 600], [6000] * 10 + [600], [12000, 6000]], ids=str
)
def test_limits_that_alternate_cost_no_more_than_the_lowest_of_them(limits: list[int]) -> None:
    bucket, now, granted = TokenBucket(6000, 60.0), 1000.0, 0
    while now < 1300.0:
        now = max(bucket.next_at(now), now)
        if bucket.take(now):
            bucket.learn(RateLimit(limits[granted % len(limits)], None, None), now)
            granted += 1
        else:
            now += 0.01
    assert granted / 5 >= 0.97 * min(limits)


def test_a_token_from_before_the_servers_count_adds_nothing_to_it() -> None:
    bucket, now = TokenBucket(6000, 60.0), 1000.0
    assert all(bucket.take(now) for _ in range(30))
    bucket.learn(RateLimit(6000, 0, datetime(2026, 1, 1, tzinfo=UTC), 30.0), now + 0.0005)
    for _ in range(30):
        bucket.give_back(now)
    assert not bucket.take(now + 1)
