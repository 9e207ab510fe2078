"""`telepath calls get`, `sync` and `export`."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from attrs import frozen

from telepath_async import ServerError
from telepath_async.cli.exits import CONFLICT, FAILED, NOT_FOUND, OK, PARTLY, USAGE
from telepath_async.sandbox import Sandbox
from tests.cli.conftest import Telepath


def test_get_shows_the_call_as_a_picture_and_as_json(telepath: Telepath, sandbox: Sandbox) -> None:
    call_id = next(iter(sandbox.calls))
    (line,) = telepath("calls", "get", call_id).lines
    assert line["id"] == call_id
    assert line["turns"][0]["turn_number"] == 1
    picture = telepath("calls", "get", call_id, "--table")
    assert "who spoke when" in picture.out
    assert f"{line['metrics']['ai_latency_ms']} ms" in picture.out
    assert "--sip-trace" in picture.err
    traced = telepath("calls", "get", call_id, "--table", "--sip-trace")
    assert "BYE" in traced.out
    assert traced.err == ""


def test_a_call_that_is_not_there_is_not_found(telepath: Telepath) -> None:
    assert telepath("calls", "get", "call_none").code == NOT_FOUND


def rows(path: Path) -> int:
    with sqlite3.connect(path) as database:
        count: int = database.execute("select count(*) from telepath_calls").fetchone()[0]
    database.close()
    return count


def test_sync_fills_the_table_and_reports(telepath: Telepath, sandbox: Sandbox, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/calls.db"
    synced = telepath("calls", "sync", url)
    assert synced.code == OK
    assert synced.lines[0]["inserted"] == rows(tmp_path / "calls.db") == 250
    again = telepath("calls", "sync", url, "--table", "--lookback", "2d")
    assert again.code == OK
    assert "inserted" in again.out
    assert "complete up to (UTC)" in again.out


def test_the_database_may_come_from_the_environment(
    telepath: Telepath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert telepath("calls", "sync").code == USAGE
    monkeypatch.setenv("TELEPATH_DATABASE_URL", f"sqlite:///{tmp_path}/calls.db")
    assert telepath("calls", "sync", "--since", "7d").code == OK
    assert 0 < rows(tmp_path / "calls.db") < 250


@pytest.mark.parametrize("url", ["postgresql://me:pa55word@127.0.0.1:9/calls", "postgresql://me:pa55word@[::1/calls"])
def test_a_password_among_the_arguments_is_warned_of_and_never_printed(telepath: Telepath, url: str) -> None:
    failed = telepath("calls", "sync", url)
    assert failed.code != OK
    assert ("warning: the database's password stands among the arguments" in failed.err) == (":9" in url)
    assert "pa55word" not in failed.err
    assert failed.err.splitlines()[-1].startswith("error: ")


def test_a_sync_that_is_under_way_is_a_conflict(telepath: Telepath, monkeypatch: pytest.MonkeyPatch) -> None:
    from telepath_async import sync

    async def busy(*positional: object, **options: object) -> None:
        raise sync.SyncBusy("another sync is under way")

    monkeypatch.setattr(sync, "sync_calls", busy)
    assert telepath("calls", "sync", "sqlite:///x.db").code == CONFLICT


def test_a_sync_that_fails_says_how_to_go_on_and_going_on_completes_it(
    telepath: Telepath, sandbox: Sandbox, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/calls.db"
    sandbox.fail_next(delay=0.01, path="/calls")
    sandbox.fail_next(status=403, path="/calls")
    failed = telepath("calls", "sync", url)
    assert failed.code != OK
    assert "what was committed stays; run the same command again" in failed.err
    assert telepath("calls", "sync", url).code == OK
    assert rows(tmp_path / "calls.db") == 250


def test_calls_that_a_sync_may_have_missed_are_told_by_the_exit_code(
    telepath: Telepath, monkeypatch: pytest.MonkeyPatch
) -> None:
    from telepath_async import sync

    async def uncertain(*positional: object, **options: object) -> sync.SyncReport:
        return sync.SyncReport(inserted=1, updated=0, unchanged=0, pages=1, seconds=0.1, watermark=None, uncertain=2)

    monkeypatch.setattr(sync, "sync_calls", uncertain)
    synced = telepath("calls", "sync", "sqlite:///x.db")
    assert synced.code == PARTLY
    assert "2 calls may be missing" in synced.err


@frozen(kw_only=True)
class Report:
    path: Path
    rows: int = 3
    bytes: int = 99
    seconds: float = 0.5
    uncertain: int = 0


@frozen
class Progress:
    rows: int
    seconds: float


@pytest.fixture
def exports(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Stand in for the module that writes the files, and keep what it was asked for."""
    asked: list[dict[str, Any]] = []

    async def export_calls(telepath: object, path: Path, *, on_progress: Any, **options: Any) -> Report:
        asked.append(options)
        on_progress(Progress(3, 0.5))
        if path.name == "fails.csv":
            raise ServerError("down", status=500)
        return Report(path=path, uncertain=2 if path.name == "uncertain.csv" else 0)

    module = ModuleType("telepath_async.export")
    module.export_calls = export_calls  # type: ignore[attr-defined]
    module.ExportProgress = Progress  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "telepath_async.export", module)
    return asked


def test_export_passes_on_what_it_was_asked_for(telepath: Telepath, exports: list[dict[str, Any]]) -> None:
    done = telepath("calls", "export", "calls.parquet", "--status", "failed", "--direction", "inbound", "--since", "2026-11-01")
    assert done.code == OK
    assert done.lines == [{"path": "calls.parquet", "rows": 3, "bytes": 99, "seconds": 0.5, "uncertain": 0}]
    (asked,) = exports
    assert (asked["format"], asked["status"], asked["direction"]) == (None, "failed", "inbound")
    assert asked["since"].isoformat() == "2026-11-01T00:00:00+00:00"
    assert "99" in telepath("calls", "export", "x", "--format", "csv", "--table").out
    assert exports[1]["format"] == "csv"


def test_an_export_that_is_not_whole_is_told_by_the_exit_code(telepath: Telepath, exports: list[dict[str, Any]]) -> None:
    assert telepath("calls", "export", "uncertain.csv").code == PARTLY
    failed = telepath("calls", "export", "fails.csv")
    assert failed.code == FAILED
    assert "fails.csv was not touched; run the same command again" in failed.err
