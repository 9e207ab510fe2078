"""Test the script at times that the test names: the rules that limiter.py's proof rests on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
import redis

from telepath_async.redis.messages import SyncReply, read_reply
from telepath_async.redis.times import LEASE, SETTLE
from tests.redis.world import timed_script

T = 1_795_000_000.0
BURST, RATE = 24, 46.0
TERMS = {
    "config": "300 24", "expected": 4, "limit": 300, "burst": BURST, "rate": RATE, "period": 6.0,
    "lease": LEASE, "settle": SETTLE, "max_pause": 60.0, "forget": 60.0, "keep": 60_000,
    "batch": 12,
}  # fmt: skip


class Bucket:
    """Four limiters are expected; 24 tokens at once, 46 a second."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self.key = f"test:{uuid4()}"
        self.seen: dict[str, int] = {}
        self._script = timed_script(client)

    def say(self, at: float, name: str = "a", **said: Any) -> SyncReply:
        """Let a limiter speak `at` seconds after T."""
        request: dict[str, Any] = {
            "id": name,
            "void_after": T + at + 0.5,
            "known": {
                "number": self.seen.get(name, 0), "peers": 0, "enrolled": False, "idle": 0,
            },
            "tokens": {"held": 0, "returned": 0},
            "demand": {"interactive": 0, "bulk": 0, "spare": 0},
            "terms": TERMS,
            "leaving": False,
            "new_limit": False,
        }  # fmt: skip
        for part in ("known", "tokens", "demand"):
            given = {field: said.pop(field) for field in request[part] if field in said}
            request[part] = request[part] | given
        arguments = [json.dumps(request | said), T + at]
        answer = read_reply(self._script(keys=[self.key], args=arguments))
        if not answer.late:
            self.seen[name] = answer.number
        return answer

    def attend(self, since: float, until: float, *names: str) -> None:
        """Let limiters be heard, wanting nothing."""
        for step in range(int((until - since) / 0.4) + 1):
            for name in names:
                self.say(since + step * 0.4, name)


@pytest.fixture
def bucket(redis_url: str) -> Iterator[Bucket]:
    with redis.Redis.from_url(redis_url) as client:
        fresh = Bucket(client)
        yield fresh
        client.delete(fresh.key)


def test_a_fresh_bucket_has_nothing_until_the_leases_of_a_lost_one_are_void(bucket: Bucket) -> None:
    assert bucket.say(0, interactive=99).granted == 0
    assert bucket.say(LEASE, interactive=99).granted == 0


def test_a_fresh_bucket_hands_out_the_shares_of_those_that_came_until_all_had_time_to_come(
    bucket: Bucket,
) -> None:
    bucket.attend(0, 0.8, "a")
    assert bucket.say(LEASE + 0.2, interactive=99).granted == int(0.2 * RATE / 4)
    bucket.say(LEASE + 0.3, "b")
    bucket.attend(LEASE + 0.5, SETTLE, "a", "b")
    assert bucket.say(SETTLE - 0.01, interactive=99).granted <= BURST / 2
    bucket.attend(SETTLE + 0.1, SETTLE + 2, "a", "b")
    assert bucket.say(SETTLE + 2, interactive=99).granted > BURST / 2


def settled(bucket: Bucket, *names: str) -> float:
    """Return a time at which the bucket is full, and only those are there."""
    bucket.attend(0, 6, *names)
    return 6.0


def test_what_is_ready_and_what_is_out_are_never_more_than_the_burst(bucket: Bucket) -> None:
    at = settled(bucket, "a", "b")
    assert bucket.say(at, "a", interactive=20).granted == 20
    for step in range(1, 5):
        assert bucket.say(at + step * 0.4, "a", held=20).renewed
        granted = bucket.say(
            at + step * 0.4, "b", interactive=99, held=4 if step > 1 else 0
        ).granted
        assert granted == (BURST - 20 if step == 1 else 0)


def test_tokens_that_are_given_back_are_there_for_the_next(bucket: Bucket) -> None:
    at = settled(bucket, "a", "b")
    assert bucket.say(at, "a", interactive=BURST).granted == BURST
    bucket.say(at + 0.001, "a", returned=10, leaving=True)
    assert bucket.say(at + 0.001, "b", interactive=99).granted == 10


def test_what_a_dead_limiter_held_is_void_after_a_lease_and_its_share_is_kept_for_it(
    bucket: Bucket,
) -> None:
    at = settled(bucket, "a", "b")
    bucket.say(at, "a", interactive=BURST)
    bucket.attend(at + 0.4, at + LEASE - 0.1, "b")
    assert bucket.say(at + LEASE - 0.1, "b", interactive=99).granted == 0
    bucket.attend(at + LEASE, at + LEASE + 3, "b")
    assert bucket.say(at + LEASE + 3, "b", interactive=99).granted == BURST * 3 // 4


def test_a_lease_that_is_void_is_not_renewed(bucket: Bucket) -> None:
    at = settled(bucket, "a", "b")
    bucket.say(at, "a", interactive=5)
    bucket.attend(at + 0.4, at + 1.2, "b")
    assert not bucket.say(at + LEASE + 0.01, "a", held=5).renewed


def test_a_word_that_comes_too_late_is_refused_and_its_sender_not_heard(bucket: Bucket) -> None:
    at = settled(bucket, "a", "b")
    bucket.say(at, "b")
    assert bucket.say(at + 0.1, "late", void_after=T + at, interactive=9).late
    assert bucket.say(at + 0.1, "a").peers == 2


def test_a_late_word_after_a_silence_shows_an_outage_and_no_token_is_believed(
    bucket: Bucket,
) -> None:
    at = settled(bucket, "a", "b") + 10
    assert bucket.say(at, "a", void_after=T + at - 5, interactive=9).late
    assert bucket.say(at + 0.1, "b", interactive=99).granted == 0
    bucket.attend(at + 0.4, at + SETTLE - 0.2, "b")
    assert bucket.say(at + SETTLE - 0.1, "b", interactive=99).granted <= BURST / 4


def test_after_a_silence_only_the_shares_of_those_that_are_heard_are_handed_out(
    bucket: Bucket,
) -> None:
    at = settled(bucket, "a", "b")
    bucket.say(at, "a", leaving=True)
    bucket.say(at, "b", leaving=True)
    assert bucket.say(at + 100, "new", interactive=99).granted == 0
    at += 200
    assert (
        bucket.say(at, "b", idle=100, interactive=99).granted == BURST / 4
    )  # its own, which it says it did not use
    bucket.attend(at + 0.4, at + SETTLE - 0.2, "b")
    assert bucket.say(at + SETTLE - 0.1, "b", interactive=99).granted == BURST / 4
    bucket.attend(at + SETTLE + 0.2, at + SETTLE + 2, "b")
    assert bucket.say(at + SETTLE + 2, "b", interactive=99).granted == BURST


def test_a_share_that_comes_back_brings_no_tokens_with_it(bucket: Bucket) -> None:
    at = settled(bucket, "a", "b")
    bucket.attend(at, at + 2, "b")  # a is silent, and on its local share
    at += 2.1
    assert (
        bucket.say(at, "a", interactive=99).granted + bucket.say(at, "b", interactive=99).granted
        <= BURST * 3 / 4
    )


def test_a_state_older_than_what_a_limiter_has_seen_counts_for_nothing(bucket: Bucket) -> None:
    at = settled(bucket, "a", "b")
    old = bucket.client.get(bucket.key)
    bucket.say(at, "a", interactive=BURST)
    bucket.client.set(bucket.key, old)
    bucket.client.set(bucket.key, old)
    assert bucket.say(at + 0.2, "a", interactive=99).granted == 0
    assert bucket.say(at + LEASE, "a", interactive=99).granted == 0


def test_a_lost_state_that_a_limiter_remembers_leaves_room_for_those_who_do_not_come_back(
    bucket: Bucket,
) -> None:
    at = settled(bucket, "a", "b", "c")
    assert bucket.say(at, "a").peers == 3
    bucket.client.delete(bucket.key)
    assert bucket.say(at + 0.1, "a", peers=3, enrolled=True).peers == 3
    assert bucket.say(at + 0.1, "b", peers=3, enrolled=True).peers == 3
    bucket.say(at + 0.2, "b", leaving=True)
    assert bucket.say(at + 0.2, "b").peers == 3  # it had only rested
    bucket.attend(at + 0.4, at + 8, "a", "b")
    assert bucket.say(at + 8, "a", interactive=99).granted == BURST * 3 // 4  # c may be alone
    bucket.attend(at + 8.4, at + 62, "a", "b")
    assert bucket.say(at + 62, "a", interactive=99).granted == BURST


@pytest.mark.parametrize("step", [-5000.0, -0.5])
def test_a_clock_that_is_set_back_makes_no_token_and_holds_nobody_up(
    bucket: Bucket, step: float
) -> None:
    at = settled(bucket, "a", "b")
    bucket.say(at, "a", interactive=BURST)
    assert bucket.say(at + step, "b", interactive=99).granted == 0
    bucket.attend(at + step + 0.4, at + step + 6, "a", "b")
    assert bucket.say(at + step + 6, "b", interactive=99).granted == BURST


def test_a_pause_gives_nobody_a_token_and_is_told_to_all(bucket: Bucket) -> None:
    at = settled(bucket, "a", "b")
    assert bucket.say(at, "a", pause=2.0).pause == pytest.approx(2.0)
    answer = bucket.say(at + 0.5, "b", interactive=9)
    assert (answer.granted, answer.pause) == (0, pytest.approx(1.5))
    bucket.say(at + 0.6, "b", pause=0.1)  # a shorter one does not end it
    bucket.attend(at + 0.7, at + 1.9, "a", "b")
    assert bucket.say(at + 1.9, "b", interactive=9).granted == 0
    assert bucket.say(at + 2.0, "b", interactive=9).granted == 9


def test_a_clock_that_is_set_back_holds_nobody_up_for_more_than_a_minute(bucket: Bucket) -> None:
    at = settled(bucket, "a") + 3600
    bucket.say(at, "a", pause=60.0)
    assert bucket.say(at - 3000, "a", interactive=9).pause == pytest.approx(60.0)


def test_every_key_expires(bucket: Bucket) -> None:
    bucket.say(0)
    assert 0 < bucket.client.pttl(bucket.key) <= 60_000
