"""Build the Grafana dashboards that `telepath dashboard --grafana` prints.

`python tests/grafana/build.py` writes them into the package; a test fails where they are old.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, Literal

from attrs import frozen
from grafana_foundation_sdk.builders.dashboard import Dashboard, DatasourceVariable
from grafana_foundation_sdk.builders.prometheus import Dataquery as PrometheusQuery
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries
from grafana_foundation_sdk.cog import variants
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DataSourceRef

Database = Literal["postgresql", "sqlite"]

DATABASES: Final[tuple[Database, ...]] = ("postgresql", "sqlite")
FOLDER: Final = Path(__file__).parents[2] / "telepath_async" / "dashboard" / "grafana"
_PLUGINS: Final = {
    "postgresql": "grafana-postgresql-datasource",
    "sqlite": "frser-sqlite-datasource",
}
_IN_RANGE: Final = {
    "postgresql": "$__timeFilter(start_time)",
    "sqlite": (  # as times are stored there
        "start_time BETWEEN strftime('%Y-%m-%d %H:%M:%f', $__from / 1000.0, 'unixepoch') "
        "AND strftime('%Y-%m-%d %H:%M:%f', $__to / 1000.0, 'unixepoch')"
    ),
}
_HOUR: Final = {
    "postgresql": "$__timeGroup(start_time, '1h')",
    "sqlite": "CAST(strftime('%s', substr(start_time, 1, 13) || ':00:00') AS INTEGER)",
}
_WHOLE, _HALF, _THIRD = 24, 12, 8  # of the width


@frozen
class SqlQuery(variants.Dataquery):
    """A query of a SQL data source, in the form that Grafana's and the SQLite plugin read."""

    sql: str
    format: Literal["time_series", "table"]
    database: Database

    def to_json(self) -> dict[str, Any]:
        """Return what Grafana stores."""
        if self.database == "postgresql":
            return {"refId": "A", "rawQuery": True, "editorMode": "code", "rawSql": self.sql,
                    "format": self.format}  # fmt: skip
        kind = "time series" if self.format == "time_series" else "table"
        return {"refId": "A", "queryText": self.sql, "rawQueryText": self.sql, "queryType": kind,
                "timeColumns": ["time"]}  # fmt: skip


@frozen
class _Built(Builder[variants.Dataquery]):
    query: SqlQuery

    def build(self) -> variants.Dataquery:
        return self.query


def build(database: Database) -> str:
    """Return the dashboard over one kind of database, as JSON."""
    board = (
        Dashboard("Telepath calls")
        .uid(f"telepath-calls-{database}")
        .tags(["telepath"])
        .time("now-7d", "now")
        .timezone("utc")
        .refresh("1m")
        .with_variable(DatasourceVariable("database").label("Calls").type(_PLUGINS[database]))
        .with_variable(DatasourceVariable("metrics").label("Metrics").type("prometheus"))
    )
    for panel in (*_sql_panels(database), *_metric_panels()):
        board = board.with_panel(panel)
    return json.dumps(board.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def _sql_panels(database: Database) -> list[Any]:
    in_range, hour = _IN_RANGE[database], _HOUR[database]
    calls = f"FROM telepath_calls WHERE {in_range}"
    source = DataSourceRef(type_val=_PLUGINS[database], uid="${database}")

    def shown(panel: Any, title: str, sql: str, width: int, unit: str = "short") -> Any:
        kind: Any = "time_series" if isinstance(panel, TimeSeries) else "table"
        query = _Built(SqlQuery(sql, kind, database))
        return panel.title(title).datasource(source).span(width).unit(unit).with_target(query)

    return [
        shown(Stat(), "Calls", f"SELECT count(*) AS calls {calls}", _THIRD),
        shown(
            Stat(),
            "Success",
            "SELECT 100.0 * count(CASE WHEN status IN ('connected', 'completed') THEN 1 END) "
            f"/ nullif(count(*), 0) AS success {calls}",
            _THIRD,
            "percent",
        ),
        shown(
            Stat(), "AI latency p95", _percentiles(database, "ai_latency_ms", (95,)), _THIRD, "ms"
        ),
        shown(
            TimeSeries(),
            "Calls an hour by status",
            f"SELECT {hour} AS time, status AS metric, count(*) AS calls {calls} "
            "GROUP BY 1, 2 ORDER BY 1",
            _WHOLE,
        ),
        *(
            shown(
                TimeSeries(), title, _percentiles(database, column, (50, 95, 99), hour), _HALF, "ms"
            )
            for title, column in (
                ("AI latency", "ai_latency_ms"),
                ("Carrier lag", "carrier_lag_ms"),
            )
        ),
        shown(
            TimeSeries(),
            "Where an answer's time goes, averages",
            f"SELECT {hour} AS time, avg(carrier_lag_ms) AS carrier, avg(ai_latency_ms) AS ai, "
            f"avg(gateway_processing_ms) AS gateway {calls} GROUP BY 1 ORDER BY 1",
            _WHOLE,
            "ms",
        ),
        shown(
            Table(),
            "Trunks",
            "SELECT t.name AS trunk, t.ai_provider AS provider, c.account, count(*) AS calls, "
            "100.0 * count(CASE WHEN c.status = 'failed' THEN 1 END) / count(*) AS failed_percent, "
            "avg(c.ai_latency_ms) AS ai_average, max(c.start_time) AS last_call "
            "FROM telepath_calls c LEFT JOIN telepath_trunks t "
            "ON t.id = c.trunk_id AND t.account = c.account "
            f"WHERE {in_range.replace('start_time', 'c.start_time')} "
            "GROUP BY t.name, t.ai_provider, c.account ORDER BY count(*) DESC",
            _HALF,
        ),
        shown(
            Table(),
            "Slowest calls",
            "SELECT id, start_time, status, ai_latency_ms, carrier_lag_ms, trunk_id "
            f"{calls} AND ai_latency_ms IS NOT NULL ORDER BY ai_latency_ms DESC LIMIT 20",
            _HALF,
        ),
    ]


def _percentiles(
    database: Database, column: str, percents: tuple[int, ...], hour: str | None = None
) -> str:
    """Return the query of percentiles by nearest rank, of each hour or of all."""
    where = f"FROM telepath_calls WHERE {_IN_RANGE[database]} AND {column} IS NOT NULL"
    time, group = (f"{hour} AS time, ", " GROUP BY 1 ORDER BY 1") if hour else ("", "")
    if database == "postgresql":
        figures = ", ".join(
            f"percentile_disc({percent / 100}) WITHIN GROUP (ORDER BY {column}) AS p{percent}"
            for percent in percents
        )
        return f"SELECT {time}{figures} {where}{group}"
    over = f"PARTITION BY {hour}" if hour else ""
    ranked = (
        f"SELECT {time}{column} AS value, "
        f"row_number() OVER ({over} ORDER BY {column}) AS place, count(*) OVER ({over}) AS calls "
        f"{where}"
    )
    figures = ", ".join(
        f"max(CASE WHEN place = (calls * {percent} + 99) / 100 THEN value END) AS p{percent}"
        for percent in percents
    )
    return f"SELECT {'time, ' if hour else ''}{figures} FROM ({ranked}) AS ranked{group}"


def _metric_panels() -> list[Any]:
    source = DataSourceRef(type_val="prometheus", uid="${metrics}")
    rate = "[$__rate_interval]"
    panels = (
        (
            "API requests, p95",
            "histogram_quantile(0.95, sum by (le) "
            f"(rate(http_client_request_duration_seconds_bucket{rate})))",
            "s",
        ),
        ("Requests left of the limit", "min(telepath_rate_limit_remaining)", "short"),
        (
            "Seconds waited for the limiter, each second",
            f"sum(rate(telepath_limiter_wait_seconds_sum{rate}))",
            "s",
        ),
        ("Retries", f"sum(rate(telepath_retries_total{rate}))", "ops"),
        ("Rows synced", f"sum(rate(telepath_sync_rows_total{rate}))", "rps"),
        (
            "Jobs, p95",
            "histogram_quantile(0.95, sum by (le, telepath_job) "
            f"(rate(telepath_job_duration_seconds_bucket{rate})))",
            "s",
        ),
    )
    return [
        TimeSeries()
        .title(title)
        .datasource(source)
        .span(_THIRD)
        .unit(unit)
        .with_target(PrometheusQuery().expr(expression).ref_id("A"))
        for title, expression, unit in panels
    ]


if __name__ == "__main__":
    for name in DATABASES:
        (FOLDER / f"{name}.json").write_text(build(name))
