"""One limiter's side of the shared bucket, and its figures: by arithmetic alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telepath_async import RateLimit
from telepath_async.redis.member import Member
from telepath_async.redis.messages import SyncReply
from telepath_async.redis.shares import Shares, check
from telepath_async.redis.times import LEASE, TIMEOUT
from tests.support.windows import most_in_a_window

SERVER = 1_795_000_000.0


def reply(
    at: float, granted: int = 0, *, renewed: bool = True, pause: float = 0.0, limit: int = 6000
) -> SyncReply:
    return SyncReply(False, SERVER + at, 1, granted, renewed, 0.4, pause, limit)


def present(granted: int, at: float = 100.0) -> Member:
    """Return a member that has just been granted tokens."""
    member = Member("me", Shares(6000, 60.0, None, 4))
    member.link.note_time(SERVER + at, at)
    member.request(at, 0, granted)
    member.apply(reply(at, granted, renewed=False), at + 0.01)
    return member


def test_tokens_are_void_before_redis_takes_them_for_void() -> None:
    member = present(5)
    assert member.take(100.0 + 0.99 * LEASE)
    assert not member.take(100.0 + LEASE)


def test_tokens_of_a_lease_that_was_not_renewed_are_void_and_those_of_the_answer_are_not() -> None:
    member = present(5)
    member.take(100.1)
    member.request(100.4, 0, 0)
    member.apply(reply(100.4, 2, renewed=False), 100.41)
    assert [member.take(100.5) for _ in range(3)] == [True, True, False]


def test_a_word_is_refused_from_the_moment_on_at_which_nobody_waits_for_its_answer() -> None:
    said = json.loads(present(5).request(100.4, 1, 0))
    assert said["void_after"] <= SERVER + 100.4 + TIMEOUT


def test_a_token_that_redis_was_told_was_used_is_not_given_back() -> None:
    member = present(5)
    member.take(100.1)
    member.request(100.4, 0, 1)
    held = member.in_hand
    member.give_back(100.1, 100.5)
    assert member.in_hand == held


def test_tokens_in_hand_wait_for_the_end_of_a_pause() -> None:
    member = present(5)
    member.learn(RateLimit(None, 0, datetime.fromtimestamp(SERVER, UTC), 0.5), 100.1)
    assert member.next_at(100.2) == pytest.approx(100.6)
    assert not member.take(100.2)
    assert member.take(100.7)


def test_a_pause_is_told_at_once_and_until_it_is_over_and_no_answer_ends_it() -> None:
    member = present(5)
    member.pause(2.0, 100.1)
    assert not member.take(100.2)
    assert member.due(100.2, 0, 0) == 100.2
    assert json.loads(member.request(100.2, 1, 0))["pause"] == pytest.approx(1.9)
    member.pause(0.5, 100.21)  # a shorter one changes nothing
    member.apply(reply(100.2, 1, pause=1.9), 100.22)
    assert not member.take(100.9)
    assert json.loads(member.request(101.0, 1, 0))["pause"] == pytest.approx(1.1)
    assert "pause" not in json.loads(member.request(102.2, 1, 0))


def test_a_pause_holds_a_local_share_too() -> None:
    member = Member("me", Shares(6000, 60.0, None, 4))
    member.link.probe(100.0)
    member.fail(refused=False)
    member.link.probe(101.6)
    member.fail(refused=False)
    member.pause(86_400.0, 101.6)
    assert member.next_at(101.7) == inf
    for second in range(102, 161):
        member.link.probe(second)
        member.fail(refused=False)
        assert not member.take(second + 0.1)
    member.link.probe(162.0)
    member.fail(refused=False)
    assert not member.take(162.0)  # a local share begins empty
    assert member.take(162.5)


def test_what_was_learned_while_a_word_was_under_way_outlives_its_answer() -> None:
    member = present(5)
    member.take(100.1)
    member.request(100.4, 0, 1)
    member.learn(RateLimit(3000, 0, datetime.fromtimestamp(SERVER, UTC), 30.0), 100.41)
    member.apply(reply(100.4, 1), 100.42)
    assert not member.take(100.43)
    assert member.shares.limit == 3000
    assert member.due(100.43, 0, 0) == 100.43


def test_a_first_interactive_waiter_speaks_sooner_than_bulk_work_that_got_nothing() -> None:
    member = present(1)
    member.request(100.3, 0, 5)
    member.apply(reply(100.3), 100.31)
    assert member.due(100.32, 0, 6) == 100.3 + 0.4
    assert member.due(100.32, 1, 6) < 100.35


def test_it_goes_alone_only_when_nobody_can_have_heard_it_for_a_lease() -> None:
    member = present(0)
    member.request(100.4, 1, 0)
    member.fail(refused=False)
    assert not member.take(100.4 + TIMEOUT + 0.99 * LEASE)
    member.link.probe(101.0)
    member.fail(refused=False)
    assert member.next_at(101.2) >= 100.4 + TIMEOUT + LEASE
    assert not any(
        member.take(100.4 + TIMEOUT + LEASE) for _ in range(9)
    )  # a local share begins empty
    assert member.state == "local"
    assert member.take(102.5)
    member.learn(RateLimit(None, 1, datetime.fromtimestamp(SERVER, UTC), 30.0), 102.6)
    assert [member.take(102.9), member.take(102.9)] == [True, False]  # the API has only one left


def test_a_local_share_is_not_for_one_who_has_not_seen_redis_fail_lately() -> None:
    member = present(0)
    member.request(100.4, 1, 0)
    member.fail(refused=False)
    assert member.next_at(104.0) == inf
    assert not member.take(104.0)
    member.link.probe(200.0)
    member.fail(refused=False)
    assert not member.take(200.0 + TIMEOUT + 0.99 * LEASE)


def test_an_idle_one_says_goodbye_and_returns_what_it_holds() -> None:
    member = present(5)
    assert member.due(100.1, 0, 0) == pytest.approx(100.4)
    said = json.loads(member.request(100.4, 0, 0))
    assert (said["leaving"], *said["tokens"].values()) == (True, 0, 5)
    assert member.due(100.5, 0, 0) == inf


@st.composite
def figures(draw: st.DrawFn) -> Shares:
    expected = draw(st.integers(1, 50))
    limit = draw(st.integers(2 * expected, 20_000))
    burst = draw(st.none() | st.integers(expected, limit // 2))
    return Shares(limit, draw(st.floats(0.5, 3600)), burst, expected)


@given(figures())
def test_burst_and_rate_fit_into_the_limit_and_local_shares_into_both(shares: Shares) -> None:
    check(shares.limit, shares.period, shares.wanted_burst, shares.expected)
    assert shares.expected <= shares.burst
    assert shares.burst + shares.rate * shares.period <= shares.limit
    now, grants = 1000.0, []
    bucket = shares.local(now)
    for _ in range(min(shares.limit // shares.expected, 200) + 1):
        now = max(now, bucket.next_at(now))
        if bucket.take(now):
            grants.append(now)
    allowed = shares.burst / shares.expected + shares.rate / shares.expected * (grants[-1] - 1000.0)
    assert len(grants) <= allowed * (1 + 1e-6)  # together: within the flow, from nothing
    assert most_in_a_window(grants, shares.period) <= shares.limit / shares.expected


def test_what_a_lost_word_was_to_tell_is_told_again() -> None:
    member = present(1)
    member.learn(RateLimit(120, None, None), 100.1)
    assert json.loads(member.request(100.2, 1, 0))["new_limit"]
    member.fail(refused=False)
    member.link.note_time(SERVER + 103, 103.0)
    assert json.loads(member.request(103.0, 1, 0))["new_limit"]


def test_one_whose_word_was_refused_was_not_heard_and_goes_alone_all_the_same() -> None:
    member = Member("me", Shares(6000, 60.0, None, 4))
    member.link.probe(100.0)
    member.fail(refused=False)
    for tenths in range(0, 20, 5):
        member.link.note_time(SERVER + 101 + tenths / 10, 101 + tenths / 10)
        member.request(101 + tenths / 10, 1, 0)
        member.fail(refused=True)
    assert member.next_at(103.0) < inf


def test_a_token_of_a_lease_that_was_not_renewed_is_not_given_back() -> None:
    member = present(5)
    assert member.take(100.9)
    member.request(100.95, 0, 0)
    assert member.take(100.96)
    member.apply(reply(101.1, renewed=False), 101.15)
    member.give_back(100.96, 101.16)
    assert not member.take(101.2)


def test_a_limit_of_one_lets_one_through_in_two_periods() -> None:
    assert Shares(1, 60.0, None, 4).rate == pytest.approx(1 / 120, rel=0.01)
