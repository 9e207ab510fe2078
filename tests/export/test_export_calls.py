"""Test exports from a sandbox over a socket, and from scripted lists that misbehave."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from attrs import define, field

from telepath_async import (
    Call,
    Drift,
    Page,
    Response,
    Secret,
    ServerError,
    TelepathClient,
    UsageError,
)
from telepath_async.export import ExportProgress, export_calls
from telepath_async.sandbox import Sandbox
from tests.export.conftest import rows_in
from tests.support.cancelling import cancel

offset_only = pytest.mark.parametrize("style", ["offset"], indirect=True)


@define
class ScriptedClient:
    """A client, its `calls` and their list in one: one page."""

    items: list[Call]
    uncertain: int = 0
    options: dict[str, Any] = field(factory=dict)

    @property
    def calls(self) -> ScriptedClient:
        return self

    def with_options(self, **options: Any) -> ScriptedClient:
        self.options |= options
        return self

    def list(self, **options: Any) -> ScriptedClient:
        self.options |= options
        return self

    @property
    def drift(self) -> Drift:
        return Drift(uncertain=self.uncertain)

    async def pages(self) -> AsyncIterator[Page[Call]]:
        raw = Response(status=200, headers={}, body=b"", endpoint="GET /calls")
        yield Page(items=self.items, total=None, number=1, raw=raw)


def scripted(*calls: Call, uncertain: int = 0) -> TelepathClient:
    return cast(TelepathClient, ScriptedClient(list(calls), uncertain))


@pytest.mark.parametrize("days", [None, 40], ids=["all", "a range in parts"])
async def test_a_file_holds_every_call_once(
    sandbox: Sandbox, telepath: TelepathClient, tmp_path: Path, kind: str, days: int | None
) -> None:
    now = datetime.now(UTC)
    since, until = (now - timedelta(days=days), now) if days else (None, None)
    report = await export_calls(telepath, tmp_path / f"calls.{kind}", since=since, until=until)
    rows = rows_in(report.path)
    assert sorted(row["id"] for row in rows) == sorted(sandbox.calls)
    assert (report.rows, report.bytes, report.uncertain) == (250, os.path.getsize(report.path), 0)
    assert [path.name for path in tmp_path.iterdir()] == [f"calls.{kind}"]


async def test_the_values_are_those_of_the_server(
    sandbox: Sandbox, telepath: TelepathClient, tmp_path: Path, kind: str
) -> None:
    report = await export_calls(telepath, tmp_path / f"calls.{kind}")
    for row in rows_in(report.path):
        call = sandbox.calls[row["id"]]
        assert (row["from_number"], row["to_number"]) == (call["from"], call["to"])
        assert row["trunk_id"] == call["trunk_id"]
        start = row["start_time"]
        start = start if kind == "parquet" else datetime.fromisoformat(start)
        assert start == datetime.fromisoformat(call["start_time"])
        assert row["ai_latency_ms"] in (call["ai_latency_ms"], str(call["ai_latency_ms"] or ""))


@offset_only
async def test_the_format_given_goes_before_the_ending(
    telepath: TelepathClient, tmp_path: Path
) -> None:
    await export_calls(telepath, str(tmp_path / "calls.parquet"), format="csv")
    assert (tmp_path / "calls.parquet").read_bytes().startswith(b"id,trunk_id,")


@offset_only
async def test_only_calls_that_match_are_written(
    sandbox: Sandbox, telepath: TelepathClient, tmp_path: Path
) -> None:
    wanted = {
        "direction": "inbound",
        "status": "failed",
        "trunk_id": next(iter(sandbox.calls.values()))["trunk_id"],
    }
    sandbox.add_call(**wanted)
    await export_calls(telepath, tmp_path / "calls.ndjson", **wanted)
    expected = {call["id"] for call in sandbox.calls.values() if wanted.items() <= call.items()}
    assert {row["id"] for row in rows_in(tmp_path / "calls.ndjson")} == expected


@offset_only
async def test_progress_is_told_after_each_page(telepath: TelepathClient, tmp_path: Path) -> None:
    told: list[ExportProgress] = []
    await export_calls(telepath, tmp_path / "calls.csv", on_progress=told.append)
    assert [(progress.rows, progress.total) for progress in told[::2]] == [(100, 250), (250, 250)]
    assert sorted(progress.seconds for progress in told) == [progress.seconds for progress in told]


async def test_no_calls_make_a_whole_file_without_rows(tmp_path: Path, kind: str) -> None:
    report = await export_calls(scripted(), tmp_path / f"calls.{kind}")
    assert (report.rows, rows_in(report.path)) == (0, [])


async def test_what_may_be_missing_is_reported(tmp_path: Path) -> None:
    report = await export_calls(scripted(Call(id="a"), uncertain=3), tmp_path / "calls.csv")
    assert report.uncertain == 3


async def test_requests_go_in_the_bulk_lane(tmp_path: Path) -> None:
    client = ScriptedClient([])
    await export_calls(cast(TelepathClient, client), tmp_path / "calls.csv")
    assert client.options["priority"] == "bulk"


async def test_credentials_are_masked(tmp_path: Path, kind: str) -> None:
    extra = {
        "webhook": {"api_key": Secret("sk-very-secret")},
        "tags": [Secret("sk-very-secret"), "plain"],
    }
    await export_calls(scripted(Call(id="a", extra=extra)), tmp_path / f"calls.{kind}")
    assert b"sk-very-secret" not in (tmp_path / f"calls.{kind}").read_bytes()
    assert "**********" in str(rows_in(tmp_path / f"calls.{kind}")[0]["extra"])


@pytest.mark.parametrize("stood_there", [None, b"of yesterday"])
async def test_an_error_passes_on_and_leaves_what_stood_there(
    sandbox: Sandbox, telepath: TelepathClient, tmp_path: Path, kind: str, stood_there: bytes | None
) -> None:
    target = tmp_path / f"calls.{kind}"
    if stood_there:
        target.write_bytes(stood_there)

    def fail_the_next(progress: ExportProgress) -> None:
        sandbox.fail_next(status=500, times=100)

    for call in range(2_000):  # more pages than are asked for ahead
        sandbox.add_call(id=f"call_{call}")
    with pytest.raises(ServerError):
        await export_calls(telepath, target, on_progress=fail_the_next)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == (
        [stood_there] if stood_there else []
    )


async def test_a_cancelled_export_leaves_nothing_behind(
    telepath: TelepathClient, tmp_path: Path, kind: str
) -> None:
    under_way = asyncio.Event()
    export = asyncio.create_task(
        export_calls(
            telepath, tmp_path / f"calls.{kind}", on_progress=lambda progress: under_way.set()
        )
    )
    await under_way.wait()
    await cancel(export)
    assert list(tmp_path.iterdir()) == []
    await asyncio.sleep(0)
    sandboxes = "RequestHandler"
    ours = {task for task in asyncio.all_tasks() if sandboxes not in repr(task)}
    assert ours == {asyncio.current_task()}


@offset_only
async def test_a_listener_that_fails_ends_the_export(
    telepath: TelepathClient, tmp_path: Path
) -> None:
    with pytest.raises(ZeroDivisionError):
        await export_calls(telepath, tmp_path / "calls.csv", on_progress=lambda progress: 1 // 0)
    assert list(tmp_path.iterdir()) == []


async def test_a_full_disk_passes_on_and_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    real_open = open

    class FullDisk:
        def __init__(self, path: str, mode: str) -> None:
            self._file = real_open(path, mode)
            self.closed = False

        def write(self, data: Any) -> int:
            if self._file.tell() + len(data) > 400:
                raise OSError(28, "No space left on device")
            return self._file.write(data)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._file, name)

    monkeypatch.setattr("telepath_async.export.new_file.open", FullDisk, raising=False)
    calls = [Call(id=f"call_{n}", status=cast(Any, os.urandom(8).hex())) for n in range(100)]
    with pytest.raises(OSError, match="No space left"):
        await export_calls(scripted(*calls), tmp_path / f"calls.{kind}")
    assert list(tmp_path.iterdir()) == []
    gc.collect()  # a writer that was not closed says so here


@offset_only
@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("missing/calls.csv", {}, "there is no folder"),
        ("calls.xlsx", {}, "names no format; give one of parquet, csv, ndjson"),
        ("calls", {}, "names no format"),
        ("calls.csv", {"format": "xml"}, "format must be one of parquet, csv, ndjson, not 'xml'"),
        ("", {"format": "csv"}, "is not a file that could be replaced"),
        ("ca\0lls.csv", {}, "path holds a NUL character"),
        ("calls.csv", {"on_progress": 1}, "on_progress must be a function"),
        ("calls.csv", {"since": datetime(2026, 3, 1)}, "since must be a datetime with a time zone"),
        (
            "calls.csv",
            {"since": datetime(2026, 3, 1), "until": datetime(2026, 3, 2)},
            "since must be a datetime",
        ),
        ("calls.csv", {"since": "2026-03-01", "until": "2026-03-02"}, "since must be a datetime"),
    ],
)
async def test_bad_input_is_refused_before_anything_is_sent(
    sandbox: Sandbox,
    telepath: TelepathClient,
    tmp_path: Path,
    name: str,
    options: dict[str, Any],
    told: str,
) -> None:
    with pytest.raises(UsageError, match=told):
        await export_calls(telepath, tmp_path / name, **options)
    assert (list(sandbox.requests), list(tmp_path.iterdir())) == ([], [])


async def test_a_path_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="path must be the path of a file"):
        await export_calls(scripted(), None)  # type: ignore[arg-type]


@offset_only
async def test_without_pyarrow_the_extra_is_named_before_anything_is_sent(
    sandbox: Sandbox, telepath: TelepathClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "telepath_async.export.parquet", raising=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match=r"pip install \"telepath-async\[parquet\]\""):
        await export_calls(telepath, tmp_path / "calls.parquet")
    assert (list(sandbox.requests), list(tmp_path.iterdir())) == ([], [])
