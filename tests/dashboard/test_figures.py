"""The figures equal what SQL run by hand says, on both databases."""

from __future__ import annotations

from typing import Any

import pytest

from telepath_async.dashboard.figures import Span
from telepath_async.insights.cells import Filter

from .browsing import board_over
from .stored import HOUR, NOW, call, many_calls, run_sql, state, store, trunk

FIRST = NOW.replace(minute=0) - 168 * HOUR


async def answer(database_url: str, **query: str) -> dict[str, Any]:
    async with board_over(database_url) as board:
        return await board.data(query)


def where(**fields: str) -> str:
    conditions = [f"coalesce({name}, '') = '{value}'" for name, value in fields.items()]
    return " AND ".join(["start_time >= :since", *conditions])


async def count_by_hand(database_url: str, condition: str, column: str = "*") -> int:
    counted = f"SELECT count({column}) FROM telepath_calls WHERE {condition}"
    ((count,),) = await run_sql(database_url, counted, since=since(database_url))
    return int(count)


def since(database_url: str) -> Any:
    """Return the first moment, as the database has it."""
    return FIRST if database_url.startswith("postgres") else f"{FIRST:%Y-%m-%d %H:%M:%S.000000}"


async def by_hand(database_url: str, column: str, percent: int, condition: str) -> float | None:
    """Return the nearest rank of a column by an ORDER BY and an OFFSET."""
    count = await count_by_hand(database_url, condition, column)
    rank = max(1, -(-count * percent // 100))
    rows = await run_sql(
        database_url,
        f"SELECT {column} FROM telepath_calls WHERE {condition} AND {column} IS NOT NULL "
        f"ORDER BY {column} LIMIT 1 OFFSET {rank - 1}",
        since=since(database_url),
    )
    return rows[0][0] if rows else None


@pytest.mark.parametrize(
    "filters",
    [{}, {"account": "acme"}, {"account": "beta", "trunk": "trunk_2"}, {"direction": "outbound"}],
)
async def test_the_tiles_equal_sql_by_hand(database_url: str, filters: dict[str, str]) -> None:
    await store(database_url, many_calls(1500), states=[state("acme"), state("beta")])
    names = {"account": "account", "trunk": "trunk_id", "direction": "direction"}
    condition = where(**{names[name]: value for name, value in filters.items()})
    tiles = (await answer(database_url, **filters))["tiles"]
    good = await count_by_hand(database_url, f"{condition} AND status = 'completed'")
    calls = await count_by_hand(database_url, condition)
    assert tiles["calls"]["value"] == calls > 100
    assert tiles["success_percent"]["value"] == pytest.approx(100 * good / calls)
    for name, column, percent in (
        ("ai_p50_ms", "ai_latency_ms", 50),
        ("ai_p95_ms", "ai_latency_ms", 95),
        ("carrier_p95_ms", "carrier_lag_ms", 95),
    ):
        assert tiles[name]["value"] == await by_hand(database_url, column, percent, condition)
    slow = f"{condition} AND ai_latency_ms > 400"
    assert tiles["above_limit"]["value"] == await count_by_hand(database_url, slow)


async def test_both_databases_give_the_same_answer(sqlite_url: str, postgres_url: str) -> None:
    answers = []
    for url in (sqlite_url, postgres_url):
        await store(
            url, many_calls(800), states=[state("acme"), state("beta")], known=[trunk("trunk_1")]
        )
        answers.append(await answer(url))
    assert answers[0] == answers[1]


async def test_the_charts_add_up_to_the_tiles(sqlite_url: str) -> None:
    await store(sqlite_url, many_calls(1500), states=[state()])
    for query, bars in (({"range": "24h"}, 25), ({"range": "7d"}, 169), ({"range": "30d"}, 181)):
        shown = await answer(sqlite_url, **query)
        series = shown["series"]
        assert len(series["times"]) == len(series["ends"]) == bars
        assert series["times"] == sorted(set(series["times"]))
        assert sum(map(sum, series["statuses"].values())) == shown["tiles"]["calls"]["value"]
        assert sum(line["calls"] for line in shown["trunks"]) == shown["tiles"]["calls"]["value"]
        assert sum(line["calls"] for line in shown["accounts"]) == shown["tiles"]["calls"]["value"]
        assert all(
            (value is None) == (calls == 0)
            for value, calls in zip(series["ai"]["p95"], series["ai"]["calls"], strict=True)
        )


async def test_an_hour_with_a_slow_average_is_an_alert(sqlite_url: str) -> None:
    slow = [call(n, ai_latency_ms=401.0) for n in range(20)]
    few = [call(n + 100, ai_latency_ms=900.0, start_time=NOW - 3 * HOUR) for n in range(19)]
    quick = [call(n + 200, start_time=NOW - 5 * HOUR) for n in range(30)]
    await store(sqlite_url, [*slow, *few, *quick])
    ai = (await answer(sqlite_url, range="24h"))["series"]["ai"]
    assert [calls for calls, alert in zip(ai["calls"], ai["alerts"], strict=True) if alert] == [20]


async def test_a_change_compares_whole_hours_with_as_many_before(sqlite_url: str) -> None:
    now = [call(n, start_time=NOW - 2 * HOUR, ai_latency_ms=300.0) for n in range(30)]
    before = [call(n + 100, start_time=NOW - 27 * HOUR) for n in range(20)]
    running = [call(n + 200, start_time=NOW - HOUR / 4, ai_latency_ms=900.0) for n in range(5)]
    await store(sqlite_url, [*now, *before, *running], states=[state()])
    tiles = (await answer(sqlite_url, range="24h"))["tiles"]
    assert tiles["calls"] == {"value": 35, "change": 10, "calls": 35}
    assert tiles["ai_p50_ms"]["change"] == 50


@pytest.mark.parametrize(
    "states", [[], [state(complete_since=NOW - 24 * HOUR)], [state(), state("new", watermark=None)]]
)
async def test_without_the_hours_before_there_is_no_change(
    sqlite_url: str, states: list[dict[str, Any]]
) -> None:
    await store(sqlite_url, many_calls(500), states=states)
    shown = await answer(sqlite_url, range="24h")
    assert not shown["comparable"]
    assert {tile["change"] for tile in shown["tiles"].values()} == {None}


async def test_the_slowest_calls_equal_sql_by_hand(database_url: str) -> None:
    await store(database_url, many_calls(900))
    shown = (await answer(database_url, account="acme"))["slowest"]
    rows = await run_sql(
        database_url,
        "SELECT id FROM telepath_calls WHERE account = 'acme' AND ai_latency_ms IS NOT NULL "
        f"AND start_time >= '{FIRST:%Y-%m-%d %H:%M:%S}' "
        "ORDER BY ai_latency_ms DESC, start_time DESC, id LIMIT 12",
    )
    assert [line["id"] for line in shown] == [row[0] for row in rows]


async def test_a_trunk_line_says_what_its_calls_were(sqlite_url: str) -> None:
    rows = [call(n, ai_latency_ms=200.0 + n) for n in range(100)]
    rows += [call(n + 200, trunk_id="bad", ai_latency_ms=700.0, status="failed") for n in range(4)]
    rows += [call(n + 300, trunk_id="mute", ai_latency_ms=None) for n in range(2)]
    await store(sqlite_url, rows)
    lines = (await answer(sqlite_url, range="24h"))["trunks"]
    assert [line["trunk"] for line in lines] == ["bad", "trunk_1", "mute"]
    assert lines[0] == {
        "account": "acme", "trunk": "bad", "calls": 4, "failed_percent": 100.0, "above_limit": 4,
        "above_percent": 100.0, "p50": 700.0, "p95": 700.0, "few": True,
        "last": "2026-11-27T13:30:00Z",
    }  # fmt: skip
    assert (lines[1]["p50"], lines[1]["p95"], lines[1]["few"]) == (249.0, 294.0, False)
    assert (lines[2]["p50"], lines[2]["above_percent"]) == (None, None)


async def test_an_empty_time_has_no_figures(sqlite_url: str) -> None:
    await store(sqlite_url)
    shown = await answer(sqlite_url)
    assert shown["tiles"]["calls"]["value"] == 0
    assert shown["tiles"]["success_percent"]["value"] is None
    assert (shown["trunks"], shown["slowest"], shown["series"]["statuses"]) == ([], [], {})


async def test_calls_without_latencies_have_no_slowest(sqlite_url: str) -> None:
    await store(sqlite_url, [call(1, ai_latency_ms=None, status=None, carrier_lag_ms=None,
                                  gateway_processing_ms=None)])  # fmt: skip
    shown = await answer(sqlite_url)
    assert shown["slowest"] == []
    assert sum(shown["series"]["statuses"]["unknown"]) == 1


@pytest.mark.parametrize(
    ("hours", "step"), [(1, 1), (200, 1), (201, 2), (720, 4), (2208, 12), (9000, 24)]
)
def test_a_bar_holds_so_many_hours_that_bars_stay_few(hours: int, step: int) -> None:
    span = Span(1000, 1000 + hours - 1, 5000)
    assert span.step == step
    assert [hour for bar in span.bars for hour in bar] == list(span.hours)


def test_bars_of_several_hours_begin_at_midnight() -> None:
    span = Span(24 * 100 + 5, 24 * 131, 24 * 200)
    assert {bar[0] % 24 % span.step for bar in span.bars[1:]} == {0}


def test_a_filter_takes_what_it_names() -> None:
    assert Filter().takes(("a", "t", "inbound"))
    assert Filter(account="a", direction="inbound").takes(("a", "t", "inbound"))
    assert not Filter(trunk="u").takes(("a", "t", "inbound"))
