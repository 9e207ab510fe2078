"""Analytics: figures over all calls of a key."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from .fields import Model, extra_fields, wire


@frozen(kw_only=True, weakref_slot=False)
class AnalyticsOverview(Model):
    """Aggregated performance over the calls of the account: percent, milliseconds, seconds.

    No page of the API reference shows the shape (the overview only names what it holds), so every
    field is optional and is looked for under several names; all else stands in `extra`.
    """

    total_calls: int | None = wire("total_calls", "calls_total", "call_count")
    success_rate: float | None = wire("success_rate", "success_rate_percent")
    avg_ai_latency_ms: int | float | None = wire(
        "avg_ai_latency_ms", "average_ai_latency_ms", "ai_latency_ms", "avg_ai_latency"
    )
    avg_carrier_lag_ms: int | float | None = wire(
        "avg_carrier_lag_ms", "average_carrier_lag_ms", "carrier_lag_ms", "avg_carrier_lag"
    )
    avg_gateway_processing_ms: int | float | None = wire(
        "avg_gateway_processing_ms",
        "average_gateway_processing_ms",
        "gateway_processing_ms",
        "avg_gateway_processing",
    )
    avg_duration_seconds: int | float | None = wire(
        "avg_duration_seconds", "average_duration_seconds", "duration_seconds", "avg_duration"
    )
    extra: dict[str, Any] = extra_fields()
