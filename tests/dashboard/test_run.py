"""The whole: sync, page and command, on real sockets."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from telepath_async import Secret, TelepathClient, UsageError
from telepath_async.dashboard import (
    BoardOptions,
    DashboardOptions,
    Source,
    cache_database,
    serve_dashboard,
)
from telepath_async.dashboard.syncing import Syncer, Waits
from telepath_async.events import Throttled
from telepath_async.sandbox import Sandbox

from .stored import call, run_sql, store

SINCE = datetime.now(UTC) - timedelta(days=31)


@asynccontextmanager
async def shown(
    database_url: str, *sources: Source, seconds: float | None = 60.0
) -> AsyncIterator[Any]:
    """Run a dashboard; give a function that asks it for its data."""
    printed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(
        serve_dashboard(
            database_url,
            sources,
            options=DashboardOptions(board=BoardOptions(sync_seconds=seconds)),
            announce=printed.set_result,
        )
    )
    await asyncio.wait([task, printed], return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        await task
    address = URL(printed.result())
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as session:
        await (await session.get(address)).read()

        async def ask() -> Any:
            async with session.get(address.with_path("/api/data").with_query(range="30d")) as found:
                return await found.json()

        yield ask
        task.cancel()
        await asyncio.wait([task])


async def until(ask: Any, ready: Any) -> Any:
    async with asyncio.timeout(60):
        while not ready(found := await ask()):
            await asyncio.sleep(0.05)
        return found


async def test_from_a_key_to_figures(sqlite_url: str) -> None:
    async with Sandbox(style="cursor", calls=300) as server:
        source = Source(
            api_key=Secret(server.api_key), base_url=server.base_url, account="acme", since=SINCE
        )
        async with shown(sqlite_url, source) as ask:
            found = await until(
                ask, lambda answer: answer["foot"]["syncs"][0].get("complete_until")
            )
            assert found["tiles"]["calls"]["value"] == 300
            assert {line["account"] for line in found["trunk_names"]} == {"acme"}
            assert found["foot"]["syncs"][0]["limit"] == 6000


async def test_it_syncs_again_and_again(sqlite_url: str) -> None:
    async with Sandbox(calls=5) as server:
        source = Source(api_key=Secret(server.api_key), base_url=server.base_url)
        async with shown(sqlite_url, source, seconds=0.01) as ask:
            await until(ask, lambda answer: answer["tiles"]["calls"]["value"] == 5)
            server.add_call()
            found = await until(ask, lambda answer: answer["tiles"]["calls"]["value"] == 6)
            assert len(found["foot"]["syncs"]) == 1  # under the hash of its key


async def test_without_a_sync_it_shows_what_is_there(sqlite_url: str) -> None:
    with pytest.raises(UsageError, match="there is no database"):
        async with shown(sqlite_url, seconds=None):
            pass
    await store(sqlite_url, [call(1, start_time=datetime.now(UTC))])
    async with shown(sqlite_url, seconds=None) as ask:
        assert (await ask())["tiles"]["calls"]["value"] == 1
        assert (await ask())["foot"]["syncs"] == []


async def test_a_bad_url_is_refused_before_anything(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="database_url"):
        await serve_dashboard("nonsense", announce=print)


async def test_a_failure_of_the_sync_is_shown_until_it_works(sqlite_url: str) -> None:
    async with Sandbox(calls=5) as server:
        server.fail_next(status=403, times=1)
        async with TelepathClient(server.api_key, base_url=server.base_url) as telepath:
            syncer = Syncer(
                telepath=telepath, database_url=Secret(sqlite_url), account="acme", since=None,
                seconds=1.0,
            )  # fmt: skip
            assert syncer.figures()["syncing_rows"] is None
            under_way = asyncio.ensure_future(syncer.once())
            await asyncio.sleep(0)
            assert syncer.figures()["syncing_rows"] == 0
            await under_way
            assert syncer.figures()["syncing_rows"] is None
            assert "403" in str(syncer.figures()["error"])
            await syncer.once()
            assert syncer.figures()["error"] is None
            syncer.database_url = Secret("sqlite:////nowhere/at/all.db")
            await syncer.once()
            assert syncer.figures()["error"] == "the database does not answer (OperationalError)"
    assert await run_sql(sqlite_url, "SELECT count(*) FROM telepath_calls") == [(5,)]


@pytest.mark.usefixtures("postgres_hangs_up")
async def test_a_sync_outlives_a_postgres_that_hangs_up(postgres_url: str) -> None:
    async with (
        Sandbox(calls=5) as server,
        TelepathClient(server.api_key, base_url=server.base_url) as telepath,
    ):
        syncer = Syncer(
            telepath=telepath, database_url=Secret(postgres_url), account="acme", since=None,
            seconds=1.0,
        )  # fmt: skip
        await syncer.once()
    assert syncer.figures()["error"] == "the database does not answer (InterfaceError)"


def test_waits_are_counted() -> None:
    waits = Waits()
    waits(Throttled.__new__(Throttled))
    waits(object())  # type: ignore[arg-type]
    assert waits.count == 1


@pytest.mark.parametrize(
    ("platform", "variable", "under"),
    [
        ("linux", "XDG_CACHE_HOME", ""),
        ("linux", None, ".cache"),
        ("darwin", None, "Library/Caches"),
        ("win32", "LOCALAPPDATA", ""),
        ("win32", None, "AppData/Local"),
    ],
)
def test_the_database_is_in_the_users_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, platform: str, variable: str | None, under: str
) -> None:
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    if variable:
        monkeypatch.setenv(variable, str(tmp_path))
    assert cache_database() == f"sqlite:///{tmp_path / under / 'telepath' / 'calls.db'}"
    assert (tmp_path / under / "telepath").stat().st_mode & 0o077 == 0


def test_a_cache_that_cannot_be_made_is_a_usage_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(UsageError, match="give --database"):
        cache_database()
