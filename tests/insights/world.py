"""Weeks of made-up calls with faults of known size."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from telepath_async.insights.cells import Cells, add_rows
from telepath_async.sync.reading import CallRow

LAST = int(datetime(2026, 11, 27, 14, tzinfo=UTC).timestamp()) // 3600
WEEK = range(LAST - 168, LAST + 1)
TRUNKS = {
    ("acme", f"t{number}"): (f"Trunk {number}", provider)
    for number, provider in enumerate(("openai", "openai", "elevenlabs", "elevenlabs", "custom"))
}
_WEIGHTS = (10, 6, 4, 3, 3)

Fault = Callable[[int, str, dict[str, Any]], None]


def nothing(hour: int, trunk: str, call: dict[str, Any]) -> None:
    """Change nothing."""


def week(seed: int, calls: int = 4000, fault: Fault = nothing) -> dict[int, Cells]:
    """Return a week in which calls come by day and night, after the fault has changed them."""
    rng = random.Random(seed)
    weights = [2 + 10 * max(0.0, math.sin((hour % 24 - 6) / 12 * math.pi)) for hour in WEEK]
    rows = []
    for hour in rng.choices(WEEK, weights, k=calls):
        trunk = rng.choices([trunk for _, trunk in TRUNKS], _WEIGHTS)[0]
        slow = {"openai": 235.0, "elevenlabs": 262.0, "custom": 290.0}[TRUNKS["acme", trunk][1]]
        call = {
            "ai": slow * math.exp(rng.gauss(0, 0.25)),
            "carrier": 60 * math.exp(rng.gauss(0, 0.35)),
            "gateway": 15 * math.exp(rng.gauss(0, 0.3)),
            "status": "failed" if rng.random() < 0.06 else "completed",
        }
        fault(hour, trunk, call)
        second = f"{datetime.fromtimestamp(hour * 3600, UTC):%Y-%m-%d %H}:30:00"
        latencies = (round(call[name]) for name in ("carrier", "ai", "gateway"))
        rows.append(CallRow(second, "acme", trunk, "inbound", call["status"], *latencies))
    hours: dict[int, Cells] = {hour: {} for hour in WEEK}
    add_rows(hours, rows)
    return hours
