"""One call drawn: bars that add up, turns where they belong, and nothing that is not known."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telepath_async import CallDetails, CallMetrics, CallStatus, Speaker, TimelineEvent, Turn
from telepath_async.cli.call_view import (
    call_renderables,
    latency_parts,
    shares,
    smooth_bar,
    timeline,
)
from telepath_async.cli.output import render

milliseconds = (
    st.none()
    | st.integers(min_value=0, max_value=600_000)
    | st.floats(min_value=0, max_value=600_000)
)
turns = st.lists(
    st.builds(Turn, duration_ms=milliseconds, processing_time_ms=milliseconds), max_size=30
)


Drawn = Callable[[CallDetails], list[str]]


@pytest.fixture
def drawn(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Drawn:
    """Return what draws a call on 80 columns, by line."""

    def draw(call: CallDetails) -> list[str]:
        monkeypatch.setenv("COLUMNS", "80")
        render(*call_renderables(call))
        return [line.rstrip() for line in capsys.readouterr().out.splitlines()]

    return draw


CALL = CallDetails(
    id="call_1",
    trunk_id="conn_1",
    from_number="+15550001",
    to_number="+15550002",
    status=CallStatus.COMPLETED,
    start_time=datetime(2026, 11, 25, 12, tzinfo=UTC),
    duration_seconds=12.5,
    disconnect_reason="caller_hangup",
    metrics=CallMetrics(
        carrier_lag_ms=50,
        ai_latency_ms=300,
        gateway_processing_ms=50,
        packet_loss_percent=0.5,
        jitter_ms=7,
        codec_used="PCMU",
    ),
    turns=(
        Turn(turn_number=1, speaker=Speaker.CALLER, duration_ms=6_000, processing_time_ms=0),
        Turn(turn_number=2, speaker=Speaker.AGENT, duration_ms=5_000, processing_time_ms=1_000),
        Turn(turn_number=3, speaker=Speaker.AGENT, duration_ms=None, processing_time_ms=250),
    ),
    timeline=(
        TimelineEvent(
            type="answered", at=datetime(2026, 11, 25, 12, 0, 1, tzinfo=UTC), extra={"by": "agent"}
        ),
        TimelineEvent(),
    ),
    extra={"campaign": "autumn"},
)


def test_the_picture_of_a_call(drawn: Drawn) -> None:
    assert drawn(CALL) == [
        "call           call_1",
        "status         completed · caller_hangup",
        "started (UTC)  2026-11-25 12:00:00",
        "duration       12.5 s",
        "from → to      +15550001 → +15550002",
        "trunk          conn_1",
        "line           PCMU · 0.5 % of packets lost · jitter 7 ms",
        'other fields   {"campaign":"autumn"}',
        "",
        "an answer takes 400 ms",
        "█" * 6 + "▓" * 36 + "▒" * 6,
        "█ carrier      50 ms  12%",
        "▓ AI          300 ms  75%",
        "▒ gateway      50 ms  12%",
        "",
        "#  speaker  who spoke when                spoke  processing",
        "1  caller   ██████████████                6.0 s",
        "2  agent                    ███████████   5.0 s  ████████████  1,000 ms",
        "3  agent                               █      -  ███             250 ms",
        "",
        '2026-11-25 12:00:01  answered {"by":"agent"}',
        "-                    -",
    ]


def test_a_call_of_which_nothing_is_known_is_drawn(drawn: Drawn) -> None:
    assert drawn(CallDetails(id="call_1")) == ["call       call_1", "status", "from → to  - → -"]


def test_the_latencies_of_the_metrics_go_before_those_of_the_call() -> None:
    call = CallDetails(
        id="x", ai_latency_ms=1, carrier_lag_ms=2, metrics=CallMetrics(ai_latency_ms=300)
    )
    assert [(part.name, part.milliseconds) for part in latency_parts(call)] == [
        ("carrier", 2),
        ("AI", 300),
    ]


def test_latencies_of_zero_are_no_division_by_zero(drawn: Drawn) -> None:
    assert "an answer takes 0 ms" in drawn(CallDetails(id="x", ai_latency_ms=0))


@given(
    st.lists(st.integers(min_value=0, max_value=10**6), max_size=6),
    st.integers(min_value=1, max_value=100),
)
def test_shares_add_up_to_the_width(figures: list[int], width: int) -> None:
    dealt = shares(figures, width)
    assert len(dealt) == len(figures)
    assert sum(dealt) == (width if sum(figures) else 0)
    assert all(
        abs(cells - figure * width / sum(figures)) <= 1
        for figure, cells in zip(figures, dealt, strict=True)
        if sum(figures)
    )


@given(turns, st.integers(min_value=1, max_value=60))
def test_turns_stand_one_after_the_other_and_inside_the_width(
    turns: list[Turn], width: int
) -> None:
    places = timeline(turns, width)
    assert len(places) == len(turns)
    assert all(first >= 0 and cells >= 1 and first + cells <= width for first, cells in places)
    assert [first for first, _ in places] == sorted(first for first, _ in places)


@given(
    milliseconds,
    st.integers(min_value=0, max_value=600_000),
    st.integers(min_value=1, max_value=40),
)
def test_a_smooth_bar_is_no_longer_than_its_width(
    figure: float | None, most: int, width: int
) -> None:
    bar = smooth_bar(figure, max(most, figure or 0), width)
    assert len(bar) <= width
    assert bool(bar) == bool(figure)
