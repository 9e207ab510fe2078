"""Analytics: figures over all calls of a key."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from .fields import extra_fields, guessed


@frozen(kw_only=True)
class AnalyticsOverview:
    """Aggregated performance over the calls of the account: rates in percent, latencies in ms, durations in seconds.

    No page shows the shape (seed 003 only names what it holds), so that every field is optional, is looked for under
    several names, and all else stands in `extra`, a value of another type too.
    """

    total_calls: int | None = guessed("total_calls", "calls_total", "call_count")
    success_rate: float | None = guessed("success_rate", "success_rate_percent")
    avg_ai_latency_ms: int | float | None = guessed(
        "avg_ai_latency_ms", "average_ai_latency_ms", "ai_latency_ms", "avg_ai_latency"
    )
    avg_carrier_lag_ms: int | float | None = guessed(
        "avg_carrier_lag_ms", "average_carrier_lag_ms", "carrier_lag_ms", "avg_carrier_lag"
    )
    avg_gateway_processing_ms: int | float | None = guessed(
        "avg_gateway_processing_ms", "average_gateway_processing_ms", "gateway_processing_ms", "avg_gateway_processing"
    )
    avg_duration_seconds: int | float | None = guessed(
        "avg_duration_seconds", "average_duration_seconds", "duration_seconds", "avg_duration"
    )
    extra: dict[str, Any] = extra_fields()
