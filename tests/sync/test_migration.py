"""A database of version 0.1 is brought up to date by the next sync, whole or not at all."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import inspect, select, text
from sqlalchemy.exc import DBAPIError

from telepath_async import TelepathClient
from telepath_async.sandbox import Sandbox
from telepath_async.sync import migration, sync_calls
from telepath_async.sync.database import make_engine
from telepath_async.sync.schema import calls, metadata, sync_state
from tests.support.clients import client_of
from tests.sync.old_database import make_old_database
from tests.sync.tables import asked_for_calls, read, stored, truth, whole_rows


async def described(database_url: str) -> dict[str, Any]:
    """Return the columns, keys and indexes of every table, and the views."""
    engine = make_engine(database_url)
    async with engine.connect() as connection:

        def describe(connection: Any) -> dict[str, Any]:
            inspector = inspect(connection)
            return {"views": sorted(inspector.get_view_names())} | {
                name: (
                    {one["name"]: str(one["type"]) for one in inspector.get_columns(name)},
                    inspector.get_pk_constraint(name)["constrained_columns"],
                    {one["name"]: one["column_names"] for one in inspector.get_indexes(name)},
                )
                for name in inspector.get_table_names()
            }

        found = await connection.run_sync(describe)
    await engine.dispose()
    return found


async def accounts(database_url: str) -> set[str]:
    """Return the accounts of the calls and those of the state."""
    of_calls = await read(database_url, select(calls.c.account).distinct())
    of_state = await read(database_url, select(sync_state.c.account).distinct())
    return {account for (account,) in [*of_calls, *of_state]}


@pytest.mark.parametrize("style", ["cursor"])
@pytest.mark.parametrize("account", [None, "acme"])
async def test_the_next_sync_gives_old_calls_their_account_and_reads_nothing_again(
    telepath: TelepathClient, sandbox: Sandbox, database_url: str, account: str | None
) -> None:
    await make_old_database(database_url, [telepath])
    before = await whole_revisions(database_url)
    asked = asked_for_calls(sandbox)
    report = await sync_calls(telepath, database_url, account=account)
    assert (report.inserted, report.updated) == (0, 0)
    assert asked_for_calls(sandbox) == asked + 1
    assert await accounts(database_url) == {account or telepath.key_id}
    assert await stored(database_url) == truth(sandbox)
    assert await whole_revisions(database_url) == before


async def whole_revisions(database_url: str) -> list[Any]:
    return await read(
        database_url, text("SELECT id, revision, synced_at FROM telepath_calls ORDER BY id")
    )


@pytest.mark.parametrize("style", ["offset"])
async def test_an_old_database_becomes_as_a_new_one_is_and_keeps_what_users_added(
    telepath: TelepathClient, database_url: str, tmp_path: Any, request: Any
) -> None:
    await make_old_database(database_url, [telepath])
    await sync_calls(telepath, database_url)
    migrated = await described(database_url)
    assert await read(database_url, text("SELECT count(*) FROM my_view")) == [(250,)]
    assert migrated["views"] == ["my_view", "telepath_calls_hourly"]
    columns, key, indexes = migrated.pop("telepath_calls")
    assert set(columns) == {column.name for column in calls.columns}
    assert list(columns)[-1] == "account"
    assert key == ["id", "account"]
    assert indexes.pop("my_index") == ["from_number"]
    assert set(indexes) == {index.name for index in calls.indexes}
    assert migrated.keys() == {"views", *metadata.tables} - {"telepath_calls"}


@pytest.mark.parametrize("style", ["offset"])
async def test_calls_of_several_accounts_go_to_the_one_that_lists_them(
    telepath: TelepathClient, sandbox: Sandbox, database_url: str
) -> None:
    async with Sandbox(calls=120, seed=1) as other, client_of(other) as theirs:
        await make_old_database(database_url, [telepath, theirs])
        first = await sync_calls(telepath, database_url, account="ours")
        assert (first.inserted, first.unchanged) == (0, 250)
        second = await sync_calls(theirs, database_url, account="theirs")
        assert (second.inserted, second.unchanged) == (0, 120)
        assert {
            key: row["account"] for key, row in (await whole_rows(database_url)).items()
        } == dict.fromkeys(sandbox.calls, "ours") | dict.fromkeys(other.calls, "theirs")


@pytest.mark.parametrize("style", ["offset"])
async def test_a_name_takes_over_the_account_whose_key_was_replaced(
    telepath: TelepathClient, sandbox: Sandbox, database_url: str
) -> None:
    await sync_calls(telepath, database_url)
    async with (
        Sandbox(trunks=3, calls=250, api_key="sk_live_another") as renewed,
        client_of(renewed) as after,
    ):
        report = await sync_calls(after, database_url, account="acme")
        assert (report.inserted, report.unchanged <= 100) == (0, True)
    assert await accounts(database_url) == {"acme"}


@pytest.mark.parametrize("style", ["offset"])
async def test_a_name_takes_over_nothing_from_an_account_with_other_trunks(
    telepath: TelepathClient, database_url: str
) -> None:
    await sync_calls(telepath, database_url)
    async with Sandbox(calls=120, seed=1) as other, client_of(other) as theirs:
        await sync_calls(theirs, database_url, account="globex")
        assert await accounts(database_url) == {telepath.key_id, "globex"}


@pytest.mark.parametrize("style", ["offset"])
async def test_a_migration_that_fails_changes_nothing(
    telepath: TelepathClient, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_old_database(database_url, [telepath])
    before = await described(database_url)
    monkeypatch.setattr(migration, "hourly_view", lambda dialect: "CREATE VIEW nothing")
    with pytest.raises(DBAPIError):
        await sync_calls(telepath, database_url)
    assert await described(database_url) == before
