"""The view `telepath_calls_hourly`: one statement for both databases, so that its figures agree."""

# ruff: noqa: S608  # the names in it are our own

from __future__ import annotations

from typing import Final

from sqlalchemy import Dialect

_LATENCIES: Final = ("carrier_lag_ms", "ai_latency_ms", "gateway_processing_ms")
_PERCENTS: Final = (50, 95)
_HOUR: Final = {
    "postgresql": "date_trunc('hour', start_time, 'UTC')",
    "sqlite": "substr(start_time, 1, 13) || ':00:00.000000'",  # as `UtcTime` is stored there
}


def hourly_view(dialect: Dialect) -> str:
    """Return the statement that makes the view. Nearest rank: the ceil(n * percent / 100)-th."""
    ranks = ", ".join(
        f"row_number() OVER (PARTITION BY account, trunk_id, hour ORDER BY {name} NULLS LAST) "
        f"AS {name}_rank, "
        f"count({name}) OVER (PARTITION BY account, trunk_id, hour) AS {name}_count"
        for name in _LATENCIES
    )
    percentiles = ", ".join(
        f"max(CASE WHEN {name}_rank = ({name}_count * {percent} + 99) / 100 THEN {name} END) "
        f"AS {name}_p{percent}"
        for name in _LATENCIES
        for percent in _PERCENTS
    )
    timed = (
        f"SELECT account, trunk_id, status, {', '.join(_LATENCIES)}, "
        f"{_HOUR[dialect.name]} AS hour FROM telepath_calls"
    )
    return (
        "CREATE VIEW telepath_calls_hourly AS SELECT account, trunk_id, hour, count(*) AS calls, "
        f"count(CASE WHEN status = 'failed' THEN 1 END) AS failed, {percentiles} "
        f"FROM (SELECT *, {ranks} FROM ({timed}) AS timed) AS ranked "
        "GROUP BY account, trunk_id, hour"
    )
