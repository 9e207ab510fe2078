"""When an alert fires and when it has recovered, by a clock that is handed in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telepath_async import AnalyticsOverview, Call, CallStatus, UsageError
from telepath_async.jobs.alerts import (
    LatencyAlert,
    Standing,
    Threshold,
    checked_thresholds,
    decide,
    explained,
    figure_of,
    next_standing,
    read_state,
    write_state,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
SLOW = Threshold("avg_ai_latency_ms", 400, recovery=350, for_at_least=timedelta(minutes=5))
FAILING = Threshold("success_rate", 95, recovery=97)


def at(minute: float) -> datetime:
    return START + timedelta(minutes=minute)


def changes(
    threshold: Threshold, figures: list[tuple[float, float | None]]
) -> list[tuple[float, str]]:
    """Return at which of the minutes what was told."""
    standings: dict[str, Standing] = {}
    told = []
    for minute, value in figures:
        overview = AnalyticsOverview(**{threshold.metric: value})
        standings, alerts = decide(
            [threshold], standings, overview, since=at(minute - 15), now=at(minute)
        )
        standings = read_state(write_state(standings))
        told += [(minute, alert.kind) for alert in alerts]
    return told


@pytest.mark.parametrize(
    ("figures", "told"),
    [
        ([(0, 401), (4, 401), (5, 401), (6, 401)], [(5, "crossed")]),  # once, after five minutes
        (
            [(0, 401), (4, 400), (5, 401), (9, 401), (10, 401)],
            [(10, "crossed")],
        ),  # at the limit is not above it
        ([(0, 401), (5, 401), (6, 350), (11, 350), (12, 350)], [(5, "crossed"), (11, "recovered")]),
        (
            [(0, 401), (5, 401), (6, 351), (60, 400)],
            [(5, "crossed")],
        ),  # below the limit, and not yet well
        ([(0, 401), (5, 401), (6, 300), (8, 351), (9, 300), (13, 300)], [(5, "crossed")]),
        ([(0, 401), (3, None), (5, 401)], [(3, "no_figure"), (5, "crossed")]),
        ([(0, None), (9, None), (10, 300), (11, None)], [(0, "no_figure"), (11, "no_figure")]),
        (
            [(0, 401), (5, 401), (6, None), (11, None), (12, 300), (17, 300)],
            [(5, "crossed"), (6, "no_figure"), (17, "recovered")],
        ),
        ([(10, 401), (0, 401), (4, 401), (5, 401)], [(5, "crossed")]),  # a clock set back
    ],
)
def test_an_alert_fires_once_and_recovers_once(
    figures: list[tuple[float, float | None]], told: list[tuple[float, str]]
) -> None:
    assert changes(SLOW, figures) == told


@pytest.mark.parametrize(
    ("fields", "figure"),
    [
        ({"avg_ai_latency_ms": 900}, 900),
        ({"extra": {"avg_ai_latency_ms": "900"}}, 900),
        ({"extra": {"average_ai_latency_ms": " 900.5 "}}, 900.5),
        ({"extra": {"avg_ai_latency_ms": "900 ms"}}, None),
        ({"extra": {"avg_ai_latency_ms": "nan"}}, None),
        ({"extra": {"avg_ai_latency_ms": {"value": 900}}}, None),
        ({"extra": {"latency": {"avg_ai_latency_ms": 900}}}, None),
    ],
)
def test_a_figure_is_read_where_it_is_a_number_in_quotes_too(
    fields: dict[str, Any], figure: float | None
) -> None:
    assert figure_of(AnalyticsOverview(**fields), "avg_ai_latency_ms") == figure


@pytest.mark.parametrize("figures", [{"success_rate": 0.0, "avg_ai_latency_ms": 0}, {}])
def test_an_overview_of_no_calls_changes_nothing(figures: dict[str, float]) -> None:
    standings = {"avg_ai_latency_ms": Standing(firing=True), "success_rate": Standing()}
    nothing = AnalyticsOverview(total_calls=0, **figures)  # type: ignore[arg-type]
    assert decide([SLOW, FAILING], standings, nothing, since=at(0), now=at(90)) == (standings, [])


def test_a_success_rate_is_bad_when_it_is_low() -> None:
    told = changes(FAILING, [(0, 95), (1, 94.9), (2, 96.9), (3, 97)])
    assert told == [(1, "crossed"), (3, "recovered")]


@given(st.lists(st.tuples(st.floats(0.1, 10), st.none() | st.floats(300, 450)), max_size=40))
def test_a_change_is_told_exactly_when_the_figures_have_been_against_the_standing_for_long_enough(
    steps: list[tuple[float, float | None]],
) -> None:
    minute, figures = 0.0, []
    for wait, value in steps:
        minute += wait
        figures.append((minute, value))
    expected, firing, since = [], False, None
    for minute, value in figures:
        if value is None:
            continue
        against = value <= 350 if firing else value > 400
        since = (minute if since is None else since) if against else None
        if since is not None and at(minute) - at(since) >= SLOW.for_at_least:
            firing, since = not firing, None
            expected.append((minute, "crossed" if firing else "recovered"))
    told = [one for one in changes(SLOW, figures) if one[1] != "no_figure"]
    assert told == expected
    assert [kind for _, kind in told] == (["crossed", "recovered"] * len(told))[: len(told)]


def test_each_threshold_stands_for_itself_and_one_that_is_gone_is_forgotten() -> None:
    before = {"avg_carrier_lag_ms": Standing(firing=True)}
    overview = AnalyticsOverview(success_rate=90.0, avg_ai_latency_ms=900)
    standings, (alert,) = decide([FAILING, SLOW], before, overview, since=at(0), now=at(15))
    assert (alert.kind, alert.threshold, alert.value) == ("crossed", FAILING, 90.0)
    assert (alert.since, alert.at) == (at(0), at(15))
    assert standings == {
        "success_rate": Standing(firing=True),
        "avg_ai_latency_ms": Standing(since=at(15)),
    }


@pytest.mark.parametrize(
    ("threshold", "recovers_at"),
    [
        (Threshold("avg_ai_latency_ms", 400), 360),
        (Threshold("success_rate", 95), 95.5),
        (Threshold("success_rate", 100), 100),
    ],
)
def test_without_a_recovery_it_is_a_tenth_better_than_the_limit(
    threshold: Threshold, recovers_at: float
) -> None:
    assert threshold.recovers_at == pytest.approx(recovers_at)


def test_a_threshold_of_zero_can_recover() -> None:
    threshold = Threshold("avg_carrier_lag_ms", 0)
    assert not next_standing(threshold, Standing(firing=True), 0, START).firing


LATENCY, RATE = "avg_ai_latency_ms", "success_rate"


@pytest.mark.parametrize(
    ("metric", "limit", "recovery", "named"),
    [
        ("latency", 5, None, "metric must be one of avg_ai_latency_ms, "),
        (["success_rate"], 5, None, r"metric must be one of .*, not \['success_rate'\]"),
        (RATE, "95", None, "limit must be a number from 0 to 100.0, not '95'"),
        (RATE, True, None, "limit must be a number from 0 to 100.0, not True"),
        (RATE, 0.95, None, "percent, not a fraction: 95 instead of 0.95"),
        (RATE, 95, 1, "recovery of success_rate must be"),
        (RATE, 101, None, "limit must be a number from 0 to 100"),
        (RATE, -1, None, "limit must be a number from 0 to 100.0, not -1"),
        (LATENCY, float("nan"), None, "limit must be a number from 0, not nan"),
        (LATENCY, float("inf"), None, "limit must be a number from 0, not inf"),
        (LATENCY, 5, "4", "recovery must be a number from 0, not '4'"),
        (LATENCY, 5, 6, r"recovery \(6\) must be at or on the good side"),
        (RATE, 95, 94, r"recovery \(94\) must be at or on the good side"),
    ],
)
def test_a_threshold_that_makes_no_sense_is_refused(
    metric: Any, limit: Any, recovery: Any, named: str
) -> None:
    with pytest.raises(UsageError, match=named):
        Threshold(metric, limit, recovery=recovery)


@pytest.mark.parametrize(
    ("thresholds", "named"),
    [
        (5, "thresholds must be an iterable of Thresholds, not int"),
        ([], "thresholds must be some Thresholds"),
        ([5], "thresholds must be some Thresholds"),
        ([FAILING, Threshold("success_rate", 90)], "each metric once"),
    ],
)
def test_thresholds_that_make_no_sense_together_are_refused(thresholds: Any, named: str) -> None:
    with pytest.raises(UsageError, match=named):
        checked_thresholds(thresholds)


@pytest.mark.parametrize(
    "text",
    [
        "", "5", "null", "[]", "[" * 100_000, '{"success_rate": 5}',
        '{"success_rate": {"frng": true}}', '{"success_rate": {"firing": 1, "since": null}}',
        '{"success_rate": {"firing": true, "since": 5}}',
        '{"success_rate": {"firing": true, "since": "yesterday"}}',
    ],
)  # fmt: skip
def test_a_text_that_is_no_state_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="state must be the `state` of an earlier poll"):
        read_state(text)


def test_all_faults_of_a_state_are_named() -> None:
    with pytest.raises(UsageError) as refused:
        read_state('{"a": {"firing": 1, "since": 5}, "b": 7}')
    assert str(refused.value).partition(" (")[2] == (
        "$.a.firing: expected bool, got int; $.a.since: expected datetime, got int; "
        "$.b: expected object, got int)"
    )


def call(number: int, **fields: Any) -> Call:
    return Call(id=str(number), start_time=at(number), **fields)


def crossed(threshold: Threshold) -> LatencyAlert:
    return LatencyAlert(
        kind="crossed", threshold=threshold, value=0, since=START, at=START,
        overview=AnalyticsOverview(),
    )  # fmt: skip


def ids(alert: LatencyAlert) -> list[str]:
    return [call.id for call in alert.worst_calls]


def test_the_worst_calls_are_the_slowest_above_the_limit() -> None:
    calls = [
        call(n, ai_latency_ms=latency) for n, latency in enumerate([500, None, 400, 900.5, 401, 0])
    ]
    assert ids(explained(crossed(SLOW), calls, 2)) == ["3", "0"]
    assert ids(explained(crossed(SLOW), calls, 10)) == ["3", "0", "4"]


def test_the_worst_calls_of_a_success_rate_are_the_latest_that_failed() -> None:
    statuses = ["failed", "completed", "connected", "disconnected", None, "odd"]
    calls = [call(n, status=status and CallStatus(status)) for n, status in enumerate(statuses)]
    calls.append(Call(id="without a time", status=CallStatus.FAILED))
    assert ids(explained(crossed(FAILING), calls, 10)) == ["5", "3", "0", "without a time"]
