"""The Grafana dashboards: up to date, and every panel's SQL runs and says what is so."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from telepath_async.cli import main
from telepath_async.dashboard.figures import nearest_ranks
from tests.dashboard.stored import NOW, many_calls, run_sql, store, trunk
from tests.grafana.build import DATABASES, FOLDER, build

CALLS = many_calls(600, days=3)
SINCE, UNTIL = NOW - timedelta(days=2), NOW
SEEN = [row for row in CALLS if SINCE <= row["start_time"] <= UNTIL]


def panels(database: str) -> dict[str, dict[str, Any]]:
    document = json.loads((FOLDER / f"{database}.json").read_text())
    return {panel["title"]: panel for panel in document["panels"]}


def expanded(sql: str) -> str:
    """Expand Grafana's macros, as its PostgreSQL data source does, and its global variables."""
    since, until = (f"'{moment:%Y-%m-%dT%H:%M:%SZ}'" for moment in (SINCE, UNTIL))
    sql = re.sub(r"\$__timeFilter\((\S+)\)", rf"\1 BETWEEN {since} AND {until}", sql)
    sql = re.sub(r"\$__timeGroup\((\S+), '1h'\)", r"floor(extract(epoch from \1)/3600)*3600", sql)
    sql = sql.replace("$__from", str(int(SINCE.timestamp() * 1000)))
    sql = sql.replace("$__to", str(int(UNTIL.timestamp() * 1000)))
    assert "$" not in sql
    return sql.replace(":", r"\:")  # SQLAlchemy's own parameters


@pytest.mark.parametrize("database", DATABASES)
def test_the_built_file_is_up_to_date(database: Any) -> None:
    assert (FOLDER / f"{database}.json").read_text() == build(database), (
        "python tests/grafana/build.py"
    )


@pytest.mark.parametrize("database", DATABASES)
async def test_every_panels_sql_says_what_is_so(
    database: str, tmp_path: Path, postgres_url: str
) -> None:
    url = postgres_url if database == "postgresql" else f"sqlite:///{tmp_path}/calls.db"
    await store(url, CALLS, known=[trunk("trunk_1"), trunk("trunk_2", "beta", "B")])
    answers = {}
    for title, panel in panels(database).items():
        (target,) = panel["targets"]
        sql = target.get("rawSql") or target.get("queryText")
        if sql is not None:
            answers[title] = await run_sql(url, expanded(sql))
            assert answers[title], title
    assert answers["Calls"] == [(len(SEEN),)]
    good = sum(row["status"] == "completed" for row in SEEN)
    assert float(answers["Success"][0][0]) == pytest.approx(100 * good / len(SEEN))
    latencies = sorted(row["ai_latency_ms"] for row in SEEN if row["ai_latency_ms"] is not None)
    assert [answers["AI latency p95"][0][0]] == nearest_ranks([latencies], (95,))
    assert sum(line[2] for line in answers["Calls an hour by status"]) == len(SEEN)
    assert sum(line[3] for line in answers["Trunks"]) == len(SEEN)
    slowest = [line[3] for line in answers["Slowest calls"]]
    assert slowest == latencies[:-21:-1]
    by_hour: defaultdict[int, list[float]] = defaultdict(list)
    for row in SEEN:
        if row["ai_latency_ms"] is not None:
            hour = int(row["start_time"].timestamp()) // 3600 * 3600
            by_hour[hour].append(row["ai_latency_ms"])
    expected = [
        (hour, *nearest_ranks([sorted(by_hour[hour])], (50, 95, 99))) for hour in sorted(by_hour)
    ]
    assert [(int(line[0]), *line[1:]) for line in answers["AI latency"]] == expected


def test_metrics_have_the_names_that_otel_gives_them() -> None:
    text = (Path(__file__).parents[2] / "telepath_async" / "otel.py").read_text()
    metrics = [
        target["expr"]
        for panel in panels("sqlite").values()
        for target in panel["targets"]
        if "expr" in target
    ]
    assert len(metrics) == 6
    for expression in metrics:
        found = re.search(r"\b((?:telepath|http_client)_\w+)", expression)
        assert found is not None
        name = re.sub(r"_(seconds_bucket|seconds_sum|total)$", "", found[1])
        assert any(
            name == known.replace(".", "_")
            for known in re.findall(r'"((?:telepath|http\.client)\.[\w.]+)"', text)
        )


@pytest.mark.parametrize(
    ("arguments", "plugin"),
    [
        ([], "grafana-postgresql-datasource"),
        (["--database", "postgresql://db/calls"], "grafana-postgresql-datasource"),
        (["--database", "sqlite:///calls.db"], "frser-sqlite-datasource"),
    ],
)
def test_the_command_prints_the_dashboard(
    arguments: list[str], plugin: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["dashboard", "--grafana", *arguments]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["templating"]["list"][0]["query"] == plugin
