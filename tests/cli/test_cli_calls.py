"""`telepath calls get`, `sync` and `export`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from telepath_async import CallDetails
from telepath_async.cli import calls
from telepath_async.cli.exits import CONFLICT, FAILED, NOT_FOUND, OK, PARTLY, USAGE
from telepath_async.sandbox import Sandbox
from tests.cli.conftest import Telepath, rows, served


def test_get_shows_the_call_for_people_and_as_json(telepath: Telepath, sandbox: Sandbox) -> None:
    call_id = next(iter(sandbox.calls))
    (line,) = telepath("calls", "get", call_id).lines
    assert line["id"] == call_id
    assert line["turns"][0]["turn_number"] == 1
    shown = telepath("calls", "get", call_id, "--table")
    assert "who spoke when" in shown.out
    assert f"{line['metrics']['ai_latency_ms']} ms" in shown.out
    assert "--sip-trace" in shown.err
    traced = telepath("calls", "get", call_id, "--table", "--sip-trace")
    assert "BYE" in traced.out
    assert traced.err == ""


def test_a_call_without_a_trace_is_shown_without_mention_of_it(
    telepath: Telepath, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def get(calls: object, call_id: str) -> CallDetails:
        return CallDetails(id=call_id)

    monkeypatch.setattr("telepath_async.resources.calls.Calls.get", get)
    shown = telepath("calls", "get", "call_bare", "--table")
    assert "call_bare" in shown.out
    assert shown.err == ""


def test_a_call_that_is_not_there_is_not_found(telepath: Telepath) -> None:
    assert telepath("calls", "get", "call_none").code == NOT_FOUND


def test_sync_fills_the_table_and_reports(
    telepath: Telepath, sandbox: Sandbox, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/calls.db"
    synced = telepath("calls", "sync", url)
    assert synced.code == OK
    assert synced.lines[0]["inserted"] == rows(tmp_path / "calls.db") == 250
    again = telepath("calls", "sync", url, "--table", "--lookback", "2d")
    assert again.code == OK
    assert "inserted" in again.out
    assert "complete up to (UTC)" in again.out


def test_a_long_first_sync_over_cursors_suggests_since_once(
    run: Telepath, at: Callable[[Sandbox], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "_LONG_HISTORY", 200)
    with served(style="cursor", calls=450) as sandbox:
        at(sandbox)
        alone = run("calls", "sync", f"sqlite:///{tmp_path}/alone.db")
        assert (alone.code, alone.err.count("--since")) == (OK, 1)
        shards = run("calls", "sync", f"sqlite:///{tmp_path}/shards.db", "--since", "60d")
        assert (shards.code, shards.err) == (OK, "")
        assert rows(tmp_path / "alone.db") == rows(tmp_path / "shards.db") == 450
        assert run("calls", "sync", f"sqlite:///{tmp_path}/alone.db").err == ""


def test_the_database_may_come_from_the_environment(
    telepath: Telepath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert telepath("calls", "sync").code == USAGE
    monkeypatch.setenv("TELEPATH_DATABASE_URL", f"sqlite:///{tmp_path}/calls.db")
    assert telepath("calls", "sync", "--since", "7d").code == OK
    assert 0 < rows(tmp_path / "calls.db") < 250


@pytest.mark.parametrize(
    "url", ["postgresql://me:pa55word@127.0.0.1:9/calls", "postgresql://me:pa55word@[::1/calls"]
)
def test_a_password_among_the_arguments_is_warned_of_and_never_printed(
    telepath: Telepath, url: str
) -> None:
    failed = telepath("calls", "sync", url)
    assert failed.code != OK
    assert "warning: the database's password stands among the arguments" in failed.err
    assert "pa55word" not in failed.err
    assert failed.err.splitlines()[-1].startswith("error: ")


def test_a_sync_that_is_under_way_is_a_conflict(
    telepath: Telepath, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    sandbox.fail_next(status=200, body="no JSON", path="/calls")
    failed = telepath("calls", "sync", url)
    assert failed.code != OK
    assert "what was committed stays; run the same command again" in failed.err
    assert telepath("calls", "sync", url).code == OK
    assert rows(tmp_path / "calls.db") == 250


def test_calls_that_a_sync_may_have_missed_give_the_exit_code(
    telepath: Telepath, monkeypatch: pytest.MonkeyPatch
) -> None:
    from telepath_async import sync

    async def uncertain(*positional: object, **options: object) -> sync.SyncReport:
        return sync.SyncReport(
            inserted=1, updated=0, unchanged=0, pages=1, seconds=0.1, watermark=None, uncertain=2
        )

    monkeypatch.setattr(sync, "sync_calls", uncertain)
    synced = telepath("calls", "sync", "sqlite:///x.db")
    assert synced.code == PARTLY
    assert "2 calls may be missing" in synced.err


@pytest.mark.parametrize("ending", ["parquet", "csv", "ndjson"])
def test_export_writes_the_file_and_reports(
    telepath: Telepath, sandbox: Sandbox, tmp_path: Path, ending: str
) -> None:
    file = tmp_path / f"calls.{ending}"
    done = telepath("calls", "export", file, "--direction", "inbound", "--since", "20d")
    (report,) = done.lines
    assert done.code == OK
    assert report["path"] == str(file)
    assert report["bytes"] == file.stat().st_size
    assert 0 < report["rows"] < 250
    other = tmp_path / "calls.of.any.ending"
    shown = telepath("calls", "export", other, "--format", ending, "--table")
    assert shown.code == OK
    assert str(other.stat().st_size) in shown.out.replace(",", "")


def test_an_export_without_a_format_is_refused(
    telepath: Telepath, sandbox: Sandbox, tmp_path: Path
) -> None:
    refused = telepath("calls", "export", tmp_path / "calls.xlsx")
    assert refused.code == USAGE
    assert sandbox.requests == []


def test_an_export_that_fails_leaves_what_was_there(
    telepath: Telepath, sandbox: Sandbox, tmp_path: Path
) -> None:
    file = tmp_path / "calls.csv"
    file.write_text("older")
    sandbox.fail_next(delay=0.01, path="/calls")
    sandbox.fail_next(status=400, path="/calls")
    failed = telepath("calls", "export", file)
    assert failed.code == FAILED
    assert "calls.csv was not touched; run the same command again" in failed.err
    assert file.read_text() == "older"


def test_calls_that_an_export_may_have_missed_give_the_exit_code(
    telepath: Telepath, monkeypatch: pytest.MonkeyPatch
) -> None:
    from telepath_async import export

    async def uncertain(*positional: object, **options: object) -> export.ExportReport:
        return export.ExportReport(path=Path("x.csv"), rows=1, bytes=2, seconds=0.1, uncertain=2)

    monkeypatch.setattr(export, "export_calls", uncertain)
    exported = telepath("calls", "export", "x.csv")
    assert exported.code == PARTLY
    assert "2 calls may be missing" in exported.err


def test_get_and_list_agree_on_every_field_of_a_call(
    run: Telepath, at: Callable[[Sandbox], None], style: str
) -> None:
    with served(style=style, trunks=2, calls=20) as sandbox:
        at(sandbox)
        for listed in run("calls", "list").lines:
            (got,) = run("calls", "get", listed["id"]).lines
            assert {name: got[name] for name in listed} == listed


@pytest.mark.parametrize(
    "spelled",
    [
        {"ai_latency_ms": 312, "carrier_lag_ms": 40, "gateway_processing_ms": 9},
        {"metrics": {"ai_latency_ms": 312, "carrier_lag_ms": 40, "gateway_processing_ms": 9}},
        {"ai_latency_ms": 312, "metrics": {"carrier_lag_ms": 40, "gateway_processing_ms": 9}},
    ],
)
def test_get_says_a_latency_where_list_does_however_the_server_spells_it(
    telepath: Telepath, sandbox: Sandbox, spelled: dict[str, object]
) -> None:
    flat = {"ai_latency_ms": 312, "carrier_lag_ms": 40, "gateway_processing_ms": 9}
    page = {"calls": [{"id": "call_1", **flat}], "pagination": {"total": 1}}
    sandbox.fail_next(status=200, body=json.dumps(page), path="/calls")
    (listed,) = telepath("calls", "list").lines
    sandbox.fail_next(status=200, body=json.dumps({"id": "call_1", **spelled}))
    (got,) = telepath("calls", "get", "call_1").lines
    assert {name: got[name] for name in listed} == listed
    assert flat.items() <= got["metrics"].items()
