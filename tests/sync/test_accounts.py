"""Whose call is it: accounts, their trunks, and what the key has to do with them."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from telepath_async import Call, CallStatus, TelepathClient
from telepath_async.coverage import RangeWalk
from telepath_async.sandbox import Sandbox
from telepath_async.sync import sync_calls
from telepath_async.sync.database import make_engine
from telepath_async.sync.schema import UtcTime, trunks
from telepath_async.sync.store import open_store
from tests.support.clients import client_of
from tests.sync.tables import asked_for_calls, read, whole_rows

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
LATENCIES = ("carrier_lag_ms", "ai_latency_ms", "gateway_processing_ms")


@pytest.mark.parametrize("style", ["offset"])
async def test_a_new_api_key_of_a_named_account_re_reads_nothing(
    telepath: TelepathClient, sandbox: Sandbox, database_url: str
) -> None:
    await sync_calls(telepath, database_url, account="acme")
    async with (
        Sandbox(trunks=3, calls=250, api_key="sk_live_another") as renewed,
        client_of(renewed) as after,
    ):
        assert (await sync_calls(after, database_url, account="acme")).inserted == 0
        assert asked_for_calls(renewed) == 1


@pytest.mark.parametrize("style", ["offset"])
async def test_two_accounts_may_have_calls_of_the_same_id(
    telepath: TelepathClient, database_url: str
) -> None:
    for account in ("one", "two"):
        assert (await sync_calls(telepath, database_url, account=account)).inserted == 250
    found = await read(
        database_url,
        text("SELECT account, count(*) FROM telepath_calls GROUP BY account ORDER BY account"),
    )
    assert found == [("one", 250), ("two", 250)]


@pytest.mark.parametrize("style", ["offset"])
async def test_without_a_name_the_account_is_the_hash_of_the_key(
    telepath: TelepathClient, sqlite_url: str
) -> None:
    await sync_calls(telepath, sqlite_url)
    assert {row["account"] for row in (await whole_rows(sqlite_url)).values()} == {telepath.key_id}


async def test_each_sync_refreshes_the_trunks(
    telepath: TelepathClient, sandbox: Sandbox, database_url: str
) -> None:
    async def named() -> dict[str, Any]:
        rows = await read(database_url, select(trunks.c.id, trunks.c.name, trunks.c.account))
        assert {account for *_, account in rows} == {"acme"}
        return {key: name for key, name, _ in rows}

    await sync_calls(telepath, database_url, account="acme")
    assert await named() == {key: trunk["name"] for key, trunk in sandbox.trunks.items()}
    first, second, _ = sandbox.trunks
    await telepath.trunks.update(first, name="Renamed")
    await sync_calls(telepath, database_url, account="acme")
    assert (await named())[first] == "Renamed"
    assert set(await named()) >= {first, second}
    row = await read(database_url, select(trunks).where(trunks.c.id == first))
    assert row[0][3:6] == (
        sandbox.trunks[first]["provider"],
        "active",
        sandbox.trunks[first]["sip_username"],
    )


def nearest_rank(figures: list[float], percent: int) -> float | None:
    ranked = sorted(figures)
    return ranked[math.ceil(len(ranked) * percent / 100) - 1] if ranked else None


def hourly_truth(listed: list[Call]) -> dict[Any, Any]:
    """Return the rows of the view, worked out in Python."""
    groups: dict[Any, list[Call]] = {}
    for call in listed:
        hour = call.start_time and call.start_time.replace(minute=0, second=0, microsecond=0)
        groups.setdefault((call.trunk_id, hour), []).append(call)

    def figures(group: list[Call], name: str) -> list[float]:
        return [getattr(call, name) for call in group if getattr(call, name) is not None]

    return {
        key: (
            len(group),
            sum(call.status == "failed" for call in group),
            *(
                nearest_rank(figures(group, name), percent)
                for name in LATENCIES
                for percent in (50, 95)
            ),
        )
        for key, group in groups.items()
    }


async def stored_hours(database_url: str) -> dict[Any, Any]:
    rows = await read(
        database_url, text("SELECT * FROM telepath_calls_hourly").columns(hour=UtcTime())
    )
    return {(trunk_id, hour): tuple(figures) for _, trunk_id, hour, *figures in rows}


def some(number: int) -> Call:
    """A call of one of two trunks and four hours; some latencies are missing, many are equal."""

    def figure(n: int) -> float | None:
        return None if n % 3 == 0 else float(n * 7 % 50)

    return Call(
        id=f"call_{number}",
        trunk_id=None if number % 17 == 0 else f"trunk_{number % 2}",
        status=(CallStatus.FAILED, CallStatus.COMPLETED, None)[number % 3],
        start_time=None if number % 31 == 0 else NOON + timedelta(minutes=number % 240),
        carrier_lag_ms=figure(number),
        ai_latency_ms=figure(number // 2),
        gateway_processing_ms=None,
    )


async def test_the_hourly_figures_are_nearest_ranks_on_both_databases(database_url: str) -> None:
    listed = [some(number) for number in range(700)]
    async with open_store(make_engine(database_url), "acme", None) as store:
        await store.save_page(listed, None, RangeWalk(since=None, until=None))
    assert await stored_hours(database_url) == hourly_truth(listed)


PLANS = {
    "telepath_calls_by_sync": "SELECT id FROM telepath_calls WHERE synced_at > {time}",
    "telepath_calls_by_account": (
        "SELECT id FROM telepath_calls WHERE account = 'acme' AND start_time > {time}"
    ),
}


@pytest.mark.parametrize(("index", "question"), PLANS.items())
async def test_the_database_uses_the_indexes(database_url: str, index: str, question: str) -> None:
    engine = make_engine(database_url)
    listed = [some(number) for number in range(700)]
    async with open_store(engine, "acme", None) as store:
        await store.save_page(listed, None, RangeWalk(since=None, until=None))
    async with engine.begin() as connection:
        await connection.exec_driver_sql("ANALYZE")
        if connection.dialect.name == "postgresql":
            await connection.exec_driver_sql(
                "SET enable_seqscan = off"
            )  # so few rows: it is cheaper
        explain = "EXPLAIN" if connection.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
        asked = question.format(time="'2030-01-01 00:00:00.000000'")
        plan = str((await connection.exec_driver_sql(f"{explain} {asked}")).all())
    await engine.dispose()
    assert index in plan
