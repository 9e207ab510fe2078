"""Averages over calls: the overview, and the figures that stand beside each trunk."""

from typing import Any

from .calls import CallLog
from .generation import Sketch
from .selection import Selection

_DAY_SECONDS = 86_400
_SUCCESSES = ("connected", "completed")


def overview(
    calls: CallLog, trunk_id: str | None, since: float | None, until: float | None
) -> dict[str, Any]:
    """Return the averages over the calls selected; None without calls."""
    selection = calls.select(trunk_id, None, None).between(since, until)
    return calls.remember(("overview", trunk_id, since, until), lambda: _averages(calls, selection))


def trunk_metrics(calls: CallLog, now: int) -> dict[str, dict[str, Any]]:
    """Return the figures of each trunk that had calls in the 24 hours before `now`."""
    return calls.remember("trunk metrics", lambda: _by_trunk(calls, now))


def _averages(calls: CallLog, selection: Selection) -> dict[str, Any]:
    total = _Totals()
    for key in selection.keys[selection.low : selection.high]:
        total.add(calls.sketch(key))
    return {
        "total_calls": total.calls,
        "success_rate": total.mean(100 * total.successes),
        "avg_ai_latency_ms": total.mean(total.ai_latency_ms),
        "avg_carrier_lag_ms": total.mean(total.carrier_lag_ms),
        "avg_gateway_processing_ms": total.mean(total.gateway_processing_ms),
        "avg_duration_seconds": total.mean(total.duration_seconds),
    }


class _Totals:
    def __init__(self) -> None:
        self.calls = self.successes = 0
        self.duration_seconds = self.carrier_lag_ms = self.ai_latency_ms = (
            self.gateway_processing_ms
        ) = 0

    def add(self, sketch: Sketch) -> None:
        self.calls += 1
        self.successes += sketch.status in _SUCCESSES
        self.duration_seconds += sketch.duration_seconds or 0
        self.carrier_lag_ms += sketch.carrier_lag_ms or 0
        self.ai_latency_ms += sketch.ai_latency_ms or 0
        self.gateway_processing_ms += sketch.gateway_processing_ms or 0

    def mean(self, amount: int) -> float | None:
        return round(amount / self.calls, 1) if self.calls else None


def _by_trunk(calls: CallLog, now: int) -> dict[str, dict[str, Any]]:
    today = calls.select(None, None, None).between(now - _DAY_SECONDS, None)
    totals: dict[str, _Totals] = {}
    for key in today.keys[today.low : today.high]:
        sketch = calls.sketch(key)
        totals.setdefault(sketch.trunk_id, _Totals()).add(sketch)
    return {trunk_id: _trunk_figures(total) for trunk_id, total in totals.items()}


def _trunk_figures(total: _Totals) -> dict[str, Any]:
    return {
        "calls_today": total.calls,
        "success_rate": total.mean(100 * total.successes),
        "avg_latency_ms": round(total.ai_latency_ms / total.calls),
    }
