"""The overview over a real socket."""

from __future__ import annotations

from datetime import UTC, datetime
from statistics import mean

import pytest

from telepath_async import TelepathClient
from telepath_async.sandbox import Sandbox

MARCH = datetime(2026, 3, 1, tzinfo=UTC)


async def test_the_overview_speaks_of_all_calls(telepath: TelepathClient, sandbox: Sandbox) -> None:
    overview = await telepath.analytics.overview()
    assert overview.total_calls == 12
    assert overview.avg_ai_latency_ms == pytest.approx(
        mean(call["ai_latency_ms"] for call in sandbox.calls.values()), abs=1
    )
    assert None not in (
        overview.success_rate,
        overview.avg_carrier_lag_ms,
        overview.avg_gateway_processing_ms,
        overview.avg_duration_seconds,
    )


async def test_dates_go_out_in_both_spellings_because_the_answer_does_not_show_which_was_read(
    telepath: TelepathClient, sandbox: Sandbox
) -> None:
    sandbox.add_call(start_time="2026-03-01T00:00:00Z", trunk_id="conn_1")
    sandbox.add_call(start_time="2026-03-01T00:00:00Z", trunk_id="conn_2")
    assert (
        await telepath.analytics.overview(since=MARCH, until=MARCH, trunk_id="conn_1")
    ).total_calls == 1
    text = "2026-03-01T00:00:00Z"
    assert sandbox.requests[0].query == [
        ("from", text),
        ("to", text),
        ("start_date", text),
        ("end_date", text),
        ("trunk_id", "conn_1"),
    ]
