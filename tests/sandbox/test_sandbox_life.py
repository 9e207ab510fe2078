"""The sandbox's calls look like life: rhythm, providers, an incident, an end in the present."""

from collections import Counter
from datetime import UTC, datetime
from statistics import median
from typing import Any

import pytest

from telepath_async.sandbox import Sandbox, timestamps

from .conftest import Start

FRIDAY = 1_770_393_600  # 2026-02-06 16:00 UTC
CALLS = 4000


def moment(call: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(call["start_time"])


@pytest.fixture(scope="module")
def calls() -> list[dict[str, Any]]:
    return list(Sandbox(calls=CALLS, now=FRIDAY).calls.values())


def test_days_are_busier_than_nights_and_weekends(calls: list[dict[str, Any]]) -> None:
    hours = Counter(moment(call).hour for call in calls)
    assert min(hours[hour] for hour in range(9, 16)) > 5 * max(hours[hour] for hour in range(4))
    weekdays = Counter(moment(call).weekday() for call in calls)
    assert min(weekdays[day] for day in range(5)) > 2 * max(weekdays[5], weekdays[6])


def test_three_trunks_have_most_of_the_calls(calls: list[dict[str, Any]]) -> None:
    shares = [count / CALLS for _, count in Counter(c["trunk_id"] for c in calls).most_common()]
    assert 0.7 < sum(shares[:3]) < 0.85
    assert len(shares) == 25
    assert max(shares[3:]) < 0.03


def test_providers_differ(calls: list[dict[str, Any]]) -> None:
    provider = {key: trunk["provider"] for key, trunk in Sandbox(now=FRIDAY).trunks.items()}
    latencies: dict[str, list[int]] = {}
    for call in calls:
        latencies.setdefault(provider[call["trunk_id"]], []).append(call["ai_latency_ms"])
    assert median(latencies["openai"]) + 15 < median(latencies["elevenlabs"])
    assert median(latencies["elevenlabs"]) + 15 < median(latencies["custom"])


def slow(calls: list[dict[str, Any]], trunk_id: str) -> list[dict[str, Any]]:
    return [
        call
        for call in calls
        if call["trunk_id"] == trunk_id
        and "2026-02-05T13:00:00Z" <= call["start_time"] < "2026-02-05T17:00:00Z"
    ]


def test_the_busiest_trunk_was_slow_for_four_hours_unless_it_is_left_out() -> None:
    hit, quiet = (
        list(Sandbox(calls=CALLS, now=FRIDAY, incident=incident).calls.values())
        for incident in (True, False)
    )
    busiest = Counter(call["trunk_id"] for call in hit).most_common(1)[0][0]
    changed = [(one, other) for one, other in zip(hit, quiet, strict=True) if one != other]
    assert [one for one, _ in changed] == slow(hit, busiest)
    assert len(changed) > 20
    assert all(one["ai_latency_ms"] == 2 * other["ai_latency_ms"] for one, other in changed)


@pytest.mark.parametrize("hour", [0, 7, 8, 23])
def test_the_incident_lies_in_the_last_two_days(hour: int) -> None:
    now = FRIDAY + 3600 * hour
    hit, quiet = (
        Sandbox(calls=CALLS, now=now, incident=incident).calls.values()
        for incident in (True, False)
    )
    ages = [
        now - timestamps.unix(one["start_time"])
        for one, other in zip(hit, quiet, strict=True)
        if one != other
    ]
    assert ages
    assert max(ages) < 2 * 86_400


@pytest.mark.parametrize("count", [1, 3, 20, 1000])
def test_the_newest_calls_are_seconds_old_and_have_ended(count: int) -> None:
    for seed in range(20):
        rows = list(Sandbox(calls=count, now=FRIDAY, seed=seed).calls.values())
        assert FRIDAY - timestamps.unix(rows[0]["start_time"]) < 20
        assert len(rows) == count
        assert all(timestamps.unix(row["end_time"]) <= FRIDAY for row in rows)
        assert all((row["duration_seconds"] == 0) == (row["status"] == "failed") for row in rows)


async def test_more_calls_come_while_a_live_sandbox_runs(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [FRIDAY]
    monkeypatch.setattr(timestamps, "now", lambda: clock[0])
    monkeypatch.setattr(timestamps.time, "time", lambda: float(clock[0]))
    live = await start(style="cursor", live=True, calls=1000)
    still = await start(style="cursor", calls=1000)
    assert await live.walk("/calls", limit=100) == await still.walk("/calls", limit=100)
    failed = await live.walk("/calls", limit=100, status="failed")
    clock[0] += 3600
    came = [
        call
        for call in await live.walk("/calls", limit=100)
        if call["id"] not in still.sandbox.calls
    ]
    assert 120 < len(came) < 250
    assert all(FRIDAY <= timestamps.unix(call["end_time"]) <= clock[0] for call in came)
    assert came == [call for call in live.sandbox.calls.values() if call in came]
    more = [call for call in came if call["status"] == "failed"]
    assert len(await live.walk("/calls", limit=100, status="failed")) == len(failed) + len(more)
    assert len(still.sandbox.calls) == 1000
    listed = (await live.get("/trunks")).json["data"]
    assert listed


async def test_a_live_sandbox_with_many_calls_is_as_busy_as_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [FRIDAY]
    monkeypatch.setattr(timestamps, "now", lambda: clock[0])
    sandbox = Sandbox(live=True, calls=100_000)
    clock[0] += 3600
    hour = len(sandbox.calls) - 100_000
    day = datetime.fromtimestamp(FRIDAY - 86_400 + 1, UTC)
    same = sum(
        moment(call).date() == day.date() and moment(call).hour == day.hour
        for call in sandbox.calls.values()
    )
    assert 0.7 * same < hour < 1.4 * same


def test_a_live_sandbox_has_no_now_of_its_own() -> None:
    with pytest.raises(ValueError, match="leave out now"):
        Sandbox(live=True, now=FRIDAY)


def test_the_same_seed_lets_the_same_calls_come(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [FRIDAY]
    monkeypatch.setattr(timestamps, "now", lambda: clock[0])
    one, same = Sandbox(live=True), Sandbox(live=True)
    clock[0] += 600
    assert dict(one.calls) == dict(same.calls)
    assert len(one.calls) > 1000
