"""Polls against a sandbox, and the loop around them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from telepath_async import (
    ClientClosedError,
    PermissionDeniedError,
    ServerError,
    TelepathClient,
    UsageError,
)
from telepath_async.jobs import (
    LatencyAlert,
    LatencyPoll,
    Threshold,
    latency,
    poll_latency,
    watch_latency,
)
from telepath_async.jobs.latency import next_due
from telepath_async.sandbox import Sandbox
from tests.support.cancelling import cancel
from tests.support.lanes import Lanes

AI = Threshold("avg_ai_latency_ms", 400)
CARRIER = Threshold("avg_carrier_lag_ms", 150)
SUCCESS = Threshold("success_rate", 95)


def slow(sandbox: Sandbox, *latencies: int, **fields: Any) -> list[str]:
    good = {"carrier_lag_ms": 50, "status": "connected"}
    return [
        sandbox.add_call(**{**good, "ai_latency_ms": latency, **fields})["id"]
        for latency in latencies
    ]


def paths(sandbox: Sandbox) -> list[str]:
    return [request.path.rpartition("/")[2] for request in sandbox.requests]


async def test_a_poll_tells_of_a_crossing_once_with_the_worst_calls_and_then_of_the_recovery(
    sandbox: Sandbox, telepath: TelepathClient
) -> None:
    thresholds = [AI, CARRIER, SUCCESS]
    calls = slow(sandbox, 300, 900, 500, 410)
    poll = await poll_latency(telepath, thresholds, worst=2)
    (alert,) = poll.alerts
    assert (alert.kind, alert.threshold, alert.value) == ("crossed", AI, 527.5)
    assert [call.id for call in alert.worst_calls] == [calls[1], calls[2]]
    assert poll.overview is not None
    assert poll.overview.total_calls == 4

    sandbox.requests.clear()
    poll = await poll_latency(telepath, thresholds, poll.state)
    assert (poll.alerts, poll.error) == ((), None)
    assert paths(sandbox) == ["overview"]  # no calls: they have nothing to explain

    for call in calls[1:3]:
        sandbox.remove_call(call)
    poll = await poll_latency(telepath, thresholds, poll.state)
    assert [(alert.kind, alert.worst_calls) for alert in poll.alerts] == [("recovered", ())]
    assert (await poll_latency(telepath, thresholds, poll.state)).alerts == ()


async def test_only_the_window_and_the_trunk_count(
    sandbox: Sandbox, telepath: TelepathClient
) -> None:
    first, second, _ = sandbox.trunks
    long_ago = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    slow(sandbox, 900, trunk_id=first)
    slow(sandbox, 900, trunk_id=second, start_time=long_ago.isoformat())
    slow(sandbox, 300, trunk_id=second)
    assert len((await poll_latency(telepath, [AI])).alerts) == 1
    assert len((await poll_latency(telepath, [AI], trunk_id=second)).alerts) == 0
    (alert,) = (
        await poll_latency(telepath, [AI], trunk_id=second, window=timedelta(hours=2))
    ).alerts
    assert [call.start_time for call in alert.worst_calls] == [long_ago]


async def test_no_more_calls_are_examined_than_allowed(
    sandbox: Sandbox, telepath: TelepathClient
) -> None:
    slow(sandbox, *[900] * 250)
    await telepath.calls.list().first()  # the client has learned how the server pages
    sandbox.requests.clear()
    await poll_latency(telepath, [AI], calls_to_examine=150)
    assert paths(sandbox) == ["overview", "calls", "calls"]


async def test_polls_wait_behind_everything_interactive(sandbox: Sandbox) -> None:
    lanes = Lanes()
    slow(sandbox, 900)
    async with TelepathClient(
        sandbox.api_key, base_url=sandbox.base_url, limiter=lanes
    ) as telepath:
        await poll_latency(telepath, [AI])
    assert len(lanes.seen) > 1
    assert set(lanes.seen) == {"bulk"}


async def test_a_poll_that_fails_says_so_and_leaves_the_state(
    sandbox: Sandbox, telepath: TelepathClient
) -> None:
    slow(sandbox, 900)
    state = (await poll_latency(telepath, [AI])).state
    sandbox.fail_next(status=500)
    poll = await poll_latency(telepath, [AI], state)
    assert (poll.state, poll.alerts, poll.overview) == (state, (), None)
    assert isinstance(poll.error, ServerError)


async def test_calls_that_cannot_be_listed_do_not_hold_an_alert_back(
    sandbox: Sandbox, telepath: TelepathClient
) -> None:
    slow(sandbox, *[900] * 150)
    await telepath.calls.list().first()  # the client has learned how the server pages
    sandbox.fail_next(delay=0.001, path="/calls")  # the first page comes
    sandbox.fail_next(status=403, path="/calls")
    poll = await poll_latency(telepath, [AI], worst=500)
    assert (len(poll.alerts[0].worst_calls), type(poll.error)) == (100, PermissionDeniedError)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"thresholds": []}, "thresholds must be"),
        ({"state": "5"}, "state must be"),
        ({"window": timedelta(0)}, "window must be a timedelta above 0"),
        ({"calls_to_examine": -1}, "max_items"),
    ],
)
async def test_bad_options_of_a_poll_are_refused(
    options: dict[str, Any], named: str, sandbox: Sandbox, telepath: TelepathClient
) -> None:
    with pytest.raises(UsageError, match=named):
        await poll_latency(telepath, **{"thresholds": [AI], **options})
    assert sandbox.requests == []


async def test_a_client_that_is_closed_is_no_failing_poll(telepath: TelepathClient) -> None:
    await telepath.aclose()
    with pytest.raises(ClientClosedError):
        await poll_latency(telepath, [AI])


@define
class Watch:
    """Watches for so many polls; the pager is down for the first `failing` alerts."""

    telepath: TelepathClient
    polls: list[LatencyPoll] = field(factory=list)
    alerts: list[LatencyAlert] = field(factory=list)
    failing: int = 0

    async def on_alert(self, alert: LatencyAlert) -> None:
        if self.failing:
            self.failing -= 1
            raise ConnectionError("the pager is down")
        self.alerts.append(alert)

    async def run(self, polls: int, **options: Any) -> None:
        watching = asyncio.ensure_future(
            watch_latency(
                self.telepath, [AI], self.on_alert, 0.01, on_poll=self.polls.append, **options
            )
        )
        while len(self.polls) < polls and not watching.done():
            await asyncio.sleep(0.001)
        await cancel(watching)


@pytest.fixture
def watch(telepath: TelepathClient, monkeypatch: pytest.MonkeyPatch) -> Watch:
    monkeypatch.setattr(latency, "_SHORTEST_INTERVAL_SECONDS", 0.001)
    return Watch(telepath)


async def test_the_watch_tells_each_alert_once_and_stops_when_cancelled(
    sandbox: Sandbox, watch: Watch
) -> None:
    slow(sandbox, 900)
    await watch.run(polls=4)
    assert [alert.kind for alert in watch.alerts] == ["crossed"]
    sent = len(sandbox.requests)
    await asyncio.sleep(0.03)
    assert len(sandbox.requests) == sent


async def test_a_watch_needs_no_more_than_somebody_to_tell(
    sandbox: Sandbox, telepath: TelepathClient
) -> None:
    slow(sandbox, 900)
    told: asyncio.Queue[LatencyAlert] = asyncio.Queue()
    watching = asyncio.ensure_future(watch_latency(telepath, [AI], told.put))
    assert (await told.get()).kind == "crossed"
    watching.cancel()
    await asyncio.wait([watching])
    assert watching.cancelled()


async def test_the_watch_goes_on_where_a_state_says(sandbox: Sandbox, watch: Watch) -> None:
    slow(sandbox, 900)
    await watch.run(polls=1)
    watch.polls, state = [], watch.polls[0].state
    await watch.run(polls=2, state=state)
    assert len(watch.alerts) == 1


async def test_a_failing_poll_is_logged_and_the_watch_goes_on(
    sandbox: Sandbox, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    slow(sandbox, 900)
    sandbox.fail_next(status=500, times=2)
    await watch.run(polls=3)
    assert [type(poll.error) for poll in watch.polls[:3]] == [ServerError, ServerError, type(None)]
    assert caplog.text.count("a poll of the latency failed: 500") == 2
    assert len(watch.alerts) == 1


async def test_an_alert_that_could_not_be_passed_on_is_told_again(
    sandbox: Sandbox, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    calls = slow(sandbox, 900)
    watch.failing = 2
    await watch.run(polls=4)
    assert [alert.kind for alert in watch.alerts] == ["crossed"]
    assert caplog.text.count("on_alert failed for avg_ai_latency_ms") == 2

    sandbox.update_call(calls[0], ai_latency_ms=100)
    watch.failing, watch.polls, state = 1, [], watch.polls[-1].state
    await watch.run(polls=3, state=state)
    assert [alert.kind for alert in watch.alerts] == ["crossed", "recovered"]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"on_alert": None}, "on_alert must be a coroutine function"),
        ({"interval": 0.5}, "interval must be a number of seconds from 1, not 0.5"),
        ({"interval": float("nan")}, "interval must be"),
        ({"thresholds": [AI, AI]}, "each metric once"),
    ],
)
async def test_bad_options_of_a_watch_are_refused(
    options: dict[str, Any], named: str, telepath: TelepathClient
) -> None:
    async def on_alert(alert: LatencyAlert) -> None: ...

    with pytest.raises(UsageError, match=named):
        await watch_latency(telepath, **{"thresholds": [AI], "on_alert": on_alert, **options})


@pytest.mark.parametrize(
    ("now", "due"),
    [(100, 160), (100.1, 160), (159.9, 160), (160, 160), (160.1, 220), (400, 400), (401, 460)],
)
def test_polls_keep_to_their_times_and_those_that_were_overrun_are_left_out(
    now: float, due: float
) -> None:
    assert next_due(100, 60, now) == due


@given(st.lists(st.integers(0, 600), max_size=50), st.integers(1, 100))
def test_the_times_of_polls_never_drift(durations: list[int], interval: int) -> None:
    now = due = 1000
    for duration in durations:
        now = max(now, due) + duration
        due = int(next_due(due, interval, now))
        assert (due - 1000) % interval == 0
        assert now <= due < now + interval or duration == 0
