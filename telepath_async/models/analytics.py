"""Analytics: figures over all calls of a key."""

from __future__ import annotations

from typing import Any, ClassVar

from .fields import Model, extra_fields


class AnalyticsOverview(Model, frozen=True):
    """Aggregated performance over the calls of the account: rates in percent, latencies in ms,
    durations in seconds.

    No page shows the shape (seed 003 only names what it holds), so that every field is optional, is
    looked for under several names, and all else stands in `extra`, a value of another type too.
    """

    _other_names: ClassVar[dict[str, str]] = {
        "calls_total": "total_calls",
        "call_count": "total_calls",
        "success_rate_percent": "success_rate",
        "average_ai_latency_ms": "avg_ai_latency_ms",
        "ai_latency_ms": "avg_ai_latency_ms",
        "avg_ai_latency": "avg_ai_latency_ms",
        "average_carrier_lag_ms": "avg_carrier_lag_ms",
        "carrier_lag_ms": "avg_carrier_lag_ms",
        "avg_carrier_lag": "avg_carrier_lag_ms",
        "average_gateway_processing_ms": "avg_gateway_processing_ms",
        "gateway_processing_ms": "avg_gateway_processing_ms",
        "avg_gateway_processing": "avg_gateway_processing_ms",
        "average_duration_seconds": "avg_duration_seconds",
        "duration_seconds": "avg_duration_seconds",
        "avg_duration": "avg_duration_seconds",
    }
    _guessed: ClassVar[tuple[str, ...]] = (
        "total_calls",
        "success_rate",
        "avg_ai_latency_ms",
        "avg_carrier_lag_ms",
        "avg_gateway_processing_ms",
        "avg_duration_seconds",
    )

    total_calls: int | None = None
    success_rate: float | None = None
    avg_ai_latency_ms: int | float | None = None
    avg_carrier_lag_ms: int | float | None = None
    avg_gateway_processing_ms: int | float | None = None
    avg_duration_seconds: int | float | None = None
    extra: dict[str, Any] = extra_fields()
