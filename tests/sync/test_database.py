"""URLs as people write them, and the lock that one sync of an account holds."""

from __future__ import annotations

import asyncio
import importlib
import sqlite3
import sys
import threading
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pytest

import telepath_async.sync as sync_package
from telepath_async import TelepathClient, UsageError
from telepath_async.sandbox import Sandbox
from telepath_async.sync import SyncBusy, database, sync_calls
from telepath_async.sync.database import connect, make_engine
from tests.support.cancelling import cancel
from tests.support.clients import client_of
from tests.sync.tables import asked_for_calls, stored, truth


@pytest.mark.parametrize(
    ("written", "dialect", "driver"),
    [
        ("sqlite:///calls.db", "sqlite", "aiosqlite"),
        ("sqlite+aiosqlite:////var/lib/calls.db", "sqlite", "aiosqlite"),
        ("postgres://user:p%40ss@db.example/name?sslmode=require", "postgresql", "asyncpg"),
        ("postgresql://db.example/name?ssl=require", "postgresql", "asyncpg"),
        ("postgresql+asyncpg://db.example/name", "postgresql", "asyncpg"),
    ],
)
def test_a_url_as_people_write_it_finds_its_driver(written: str, dialect: str, driver: str) -> None:
    engine = make_engine(written)
    assert (engine.dialect.name, engine.dialect.driver) == (dialect, driver)


@pytest.mark.parametrize(
    ("written", "named"),
    [
        ("mysql://root@localhost/calls", "not mysql://"),
        ("postgresql+psycopg2://localhost/calls", r"not postgresql\+psycopg2://"),
        ("calls.db", "sqlite:///calls.db"),
        ("", "sqlite:///calls.db"),
        (None, "sqlite:///calls.db"),
        (Path("calls.db"), "sqlite:///calls.db"),
        ("postgresql://user@localhost:99999/calls", "postgresql://user@host/name"),
        ("postgresql://user@h:5432,g:99999/calls", "postgresql://user@host/name"),
        ("sqlite:///calls\0.db", "sqlite:///calls.db"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("sqlite:///file:calls?mode=memory&uri=true", "in memory"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_and_the_message_says_which_can(
    written: Any, named: str
) -> None:
    with pytest.raises(UsageError, match=named) as refused:
        make_engine(written)
    assert refused.value.__context__ is None


@pytest.mark.parametrize(
    "url", ["mysql://root:hunter2@localhost/calls", "postgresql://root:a@b:hunter2@localhost/calls"]
)
def test_a_password_in_a_refused_url_is_not_shown(url: str) -> None:
    with pytest.raises(UsageError) as refused:
        make_engine(url)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("written", "driver"), [("sqlite:///calls.db", "aiosqlite"), ("postgres://h/n", "asyncpg")]
)
def test_a_missing_driver_says_what_to_install(
    written: str, driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, driver, None)
    with pytest.raises(UsageError, match=rf'needs {driver}: pip install "telepath-async\[sync\]"'):
        make_engine(written)


def test_a_missing_sqlalchemy_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("telepath_async.sync.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    with pytest.raises(
        ModuleNotFoundError, match=r'needs sqlalchemy: pip install "telepath-async\[sync\]"'
    ):
        importlib.reload(sync_package)


@pytest.mark.parametrize("style", ["offset"])
async def test_a_second_sync_of_the_account_says_that_it_is_busy_and_changes_nothing(
    telepath: TelepathClient, sandbox: Sandbox, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_SECONDS_TO_WAIT", 0.2)
    sandbox.fail_next(delay=30.0, path="/calls")
    first = asyncio.create_task(sync_calls(telepath, database_url))
    while not asked_for_calls(sandbox):
        await asyncio.sleep(0.01)
    with pytest.raises(SyncBusy, match="under way"):
        await sync_calls(telepath, database_url)
    assert asked_for_calls(sandbox) == 1
    await cancel(first)
    report = await sync_calls(telepath, database_url)
    assert report.inserted == 250


@pytest.mark.parametrize("style", ["offset"])
async def test_a_second_sync_waits_for_one_that_is_about_to_end(
    telepath: TelepathClient, sandbox: Sandbox, database_url: str
) -> None:
    sandbox.fail_next(delay=0.3, path="/calls")
    both = await asyncio.gather(
        sync_calls(telepath, database_url), sync_calls(telepath, database_url)
    )
    assert sorted(report.inserted for report in both) == [0, 250]
    assert await stored(database_url) == truth(sandbox)


@pytest.mark.parametrize("style", ["cursor"])
async def test_two_accounts_sync_into_one_database_at_once(
    telepath: TelepathClient, sandbox: Sandbox, database_url: str
) -> None:
    async with Sandbox(style="offset", calls=120, seed=1) as other, client_of(other) as theirs:
        both = await asyncio.gather(
            sync_calls(telepath, database_url), sync_calls(theirs, database_url)
        )
        assert [report.inserted for report in both] == [250, 120]
        assert await stored(database_url) == truth(sandbox) | truth(other)


class BrokenDisk(sqlite3.Connection):
    """Fails as SQLite does when the disk does."""

    def execute(self, *statement: Any) -> NoReturn:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        raise error


async def test_a_lock_that_fails_for_another_reason_is_no_busy_sync(
    telepath: TelepathClient, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect: Any = sqlite3.connect

    def of_the_lock(path: str, **options: Any) -> sqlite3.Connection:
        kind = {"factory": BrokenDisk} if "-sync-" in path else {}
        opened: sqlite3.Connection = connect(path, **options, **kind)
        return opened

    monkeypatch.setattr(database.sqlite3, "connect", of_the_lock)
    with pytest.raises(sqlite3.OperationalError, match="disk I/O error"):
        await sync_calls(telepath, sqlite_url)


@pytest.mark.parametrize("style", ["offset"])
async def test_a_database_that_somebody_else_writes_to_is_waited_for(
    telepath: TelepathClient, sandbox: Sandbox, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_SECONDS_TO_WAIT_FOR_WRITERS", 0.0)
    with closing(
        sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    ) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        syncing = asyncio.create_task(sync_calls(telepath, sqlite_url))
        await asyncio.sleep(0.2)
        assert sandbox.requests == []
        writer.execute("COMMIT")
        assert (await syncing).inserted == 250


async def test_a_connection_whose_opening_is_cut_off_is_closed(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Connection] = []
    go_on = threading.Event()

    class Connection(sqlite3.Connection):
        is_closed = False

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            if threading.current_thread() is not threading.main_thread():
                opened.append(self)
                go_on.wait(10.0)

        def close(self) -> None:
            self.is_closed = True
            super().close()

    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Connection))

    async def connect() -> None:
        async with database.connect(make_engine(sqlite_url)):
            pass

    connecting = asyncio.create_task(connect())
    while not opened:
        await asyncio.sleep(0)
    connecting.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    assert [connection.is_closed for connection in opened] == [True]


class SlowToEnd(sqlite3.Connection):
    def rollback(self) -> None:
        time.sleep(0.1)
        super().rollback()

    def close(self) -> None:
        time.sleep(0.1)
        super().close()


@pytest.mark.parametrize("at", [0.05, 0.15])
def test_a_cancellation_waits_for_the_end_of_sqlite(
    tmp_path: Path, at: float, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Otherwise the loop's own end cuts it off, and SQLAlchemy logs a traceback."""
    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=SlowToEnd))
    caplog.set_level("ERROR")

    async def main() -> None:
        engine = make_engine(f"sqlite:///{tmp_path}/calls.db")
        leaving = asyncio.Event()

        async def use() -> None:
            async with connect(engine):
                leaving.set()

        using = asyncio.ensure_future(use())
        await leaving.wait()
        await asyncio.sleep(at)
        using.cancel()
        await asyncio.wait([using])

    asyncio.run(main())
    assert caplog.records == []
