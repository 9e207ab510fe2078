"""Into DuckDB: all at first, then what is new or changed, and never a credential."""

from __future__ import annotations

import asyncio
import gzip
import json
import queue
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from telepath_async import AuthenticationError, TelepathClient, UsageError
from telepath_async.dlt import telepath_source
from telepath_async.sandbox import Sandbox

from .conftest import Warehouse

SECRETS = ("sk-openai-0123456789", "s3cur3P@ssw0rd!", "hunter2hunter2", "tok_0123456789")


@pytest.fixture(params=["offset", pytest.param("cursor", marks=pytest.mark.long)])
def style(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
async def sandbox(style: str) -> AsyncIterator[Sandbox]:
    async with Sandbox(style=style, trunks=3, calls=250) as sandbox:  # type: ignore[arg-type]
        yield sandbox


@pytest.fixture
async def empty() -> AsyncIterator[Sandbox]:
    """A sandbox without calls."""
    async with Sandbox(trunks=1, calls=0) as sandbox:
        yield sandbox


def ago(**duration: float) -> str:
    return (datetime.now(UTC) - timedelta(**duration)).isoformat(timespec="seconds")


async def test_all_is_loaded_at_first_and_then_only_what_is_new_or_has_changed(
    sandbox: Sandbox, warehouse: Warehouse
) -> None:
    assert await warehouse.load(sandbox, account="acme") == {
        "calls": 250, "trunks": 3, "overview": 1,
    }  # fmt: skip
    new = sandbox.add_call(status="completed", start_time=ago(seconds=0), from_number="+15550100")
    changed = max(sandbox.calls.values(), key=lambda call: str(call["start_time"]))
    again = await warehouse.load(sandbox, account="acme")
    assert 1 <= again["calls"] < 50
    async with TelepathClient(sandbox.api_key, base_url=sandbox.base_url) as telepath:
        listed = {call.id: call for call in await telepath.calls.list().collect()}
        trunks = {trunk.id: trunk for trunk in await telepath.trunks.list().collect()}
    rows = {row["id"]: row for row in warehouse.rows("SELECT * FROM telepath.calls")}
    assert rows.keys() == listed.keys() >= {new["id"], changed["id"]}
    for id_, row in rows.items():
        call = listed[id_]
        for name in ("trunk_id", "from_number", "status", "start_time", "ai_latency_ms"):
            assert row[name] == getattr(call, name)
        assert row["account"] == "acme"
    names = {row["id"]: row["name"] for row in warehouse.rows("SELECT * FROM telepath.trunks")}
    assert names == {id_: trunk.name for id_, trunk in trunks.items()}
    figures = warehouse.rows("SELECT * FROM telepath.overview ORDER BY read_at")
    assert [row["total_calls"] for row in figures] == [250, 251]


@pytest.mark.long
async def test_the_state_comes_back_from_the_warehouse_where_the_disk_is_new(
    empty: Sandbox, warehouse: Warehouse, tmp_path: Any
) -> None:
    empty.add_call(status="completed", start_time=ago(hours=5))
    empty.add_call(status="completed", start_time=ago(minutes=1))
    await warehouse.load(empty)
    (tmp_path / "pipelines").rename(tmp_path / "gone")
    assert (await warehouse.load(empty))["calls"] == 1


async def test_a_run_that_fails_moves_no_watermark_and_its_error_is_ours(
    empty: Sandbox, warehouse: Warehouse
) -> None:
    empty.add_call(status="completed", start_time=ago(hours=5))
    empty.add_call(status="completed", start_time=ago(minutes=1))
    empty.fail_next(status=401, path="/calls")
    with pytest.raises(PipelineStepFailed) as caught:
        await warehouse.load(empty)
    cause: BaseException | None = caught.value
    while cause is not None and not isinstance(cause, AuthenticationError):
        cause = cause.__cause__
    assert cause is not None
    assert (await warehouse.load(empty))["calls"] == 2


@pytest.mark.long
async def test_accounts_stand_side_by_side_each_with_a_watermark_of_its_own(
    empty: Sandbox, warehouse: Warehouse
) -> None:
    empty.add_call(status="completed", start_time=ago(hours=5))
    assert (await warehouse.load(empty, account="acme"))["calls"] == 1
    assert (await warehouse.load(empty))["calls"] == 1
    key_id = TelepathClient(empty.api_key).key_id
    rows = warehouse.rows("SELECT account FROM telepath.calls ORDER BY account")
    assert sorted(row["account"] for row in rows) == sorted(["acme", key_id])


@pytest.mark.long
@pytest.mark.telepath_sandbox(trunks=1, calls=250)
async def test_a_list_that_is_left_before_its_end_moves_no_watermark(
    telepath_sandbox: Sandbox, warehouse: Warehouse
) -> None:
    def first_page_only() -> Any:
        source = telepath_source(telepath_sandbox.api_key, base_url=telepath_sandbox.base_url)
        source.calls.add_limit(1)
        return source

    assert (await warehouse.run(first_page_only))["calls"] < 250
    assert (await warehouse.load(telepath_sandbox))["calls"] == 250
    assert len(warehouse.rows("SELECT * FROM telepath.calls")) == 250


async def test_a_pipeline_runs_where_a_loop_is_running(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready: queue.SimpleQueue[tuple[Sandbox, asyncio.AbstractEventLoop]] = queue.SimpleQueue()

    async def serve() -> None:
        async with Sandbox(trunks=1, calls=0) as sandbox:
            ready.put((sandbox, asyncio.get_running_loop()))
            await asyncio.Event().wait()

    def run() -> None:
        with suppress(asyncio.CancelledError):
            asyncio.run(serve())

    thread = threading.Thread(target=run)
    thread.start()
    sandbox, loop = ready.get()
    try:
        source = telepath_source(sandbox.api_key, base_url=sandbox.base_url)
        warehouse.pipeline().run(source)  # on this loop's own thread, as in a notebook
    finally:
        loop.call_soon_threadsafe(lambda: [task.cancel() for task in asyncio.all_tasks(loop)])
        thread.join()
    assert warehouse.rows("SELECT count(*) AS n FROM telepath.trunks") == [{"n": 1}]


async def test_no_credential_reaches_the_warehouse_or_the_disk(
    empty: Sandbox, warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty.add_trunk(
        name="One", sip_username="one", sip_password=SECRETS[0], openai_api_key=SECRETS[1]
    )
    empty.add_call(
        status="completed", start_time=ago(minutes=1), colour="blue",
        auth={"password": SECRETS[2]}, webhook_secret=SECRETS[3],
    )  # fmt: skip
    monkeypatch.setenv("SOURCES__TELEPATH__API_KEY", empty.api_key)
    await warehouse.load(empty, api_key=None)

    def load_the_trace() -> None:
        pipeline = warehouse.pipeline()
        pipeline.run([pipeline.last_trace], table_name="trace")

    await asyncio.to_thread(load_the_trace)
    (call,) = warehouse.rows("SELECT extra FROM telepath.calls")
    assert json.loads(call["extra"])["webhook_secret"] == "**********"
    tables = warehouse.rows("SELECT schema_name || '.' || table_name AS name FROM duckdb_tables()")
    stored = str([warehouse.rows(f"SELECT * FROM {table['name']}") for table in tables]).encode()
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    unpacked = [gzip.decompress(file) for file in files if file.startswith(b"\x1f\x8b")]
    assert b"blue" in stored
    assert [file for file in unpacked if b"blue" in file], "dlt keeps what it has loaded"
    for secret in (*SECRETS, empty.api_key):
        assert not [text for text in (stored, *files, *unpacked) if secret.encode() in text]


@pytest.mark.parametrize("file_format", [None, "parquet"])
async def test_odd_values_cost_no_other_row(
    empty: Sandbox, tmp_path: Path, file_format: str | None
) -> None:
    warehouse = Warehouse(tmp_path, file_format)
    odd = {
        "id": "call_odd", "trunk_id": "\ud800 \0", "status": 7, "ai_latency_ms": 10**400,
        "start_time": "0001-01-01T00:00:00+14:00",
        "more": [{"\ud800": "\0", "large": 10**30, "small": -(10**25), "id": 2**53}],
    }  # fmt: skip
    plain = {"id": "call_plain", "status": "completed", "start_time": ago(minutes=1)}
    page = json.dumps({"calls": [odd, plain], "total": 2, "limit": 100, "offset": 0})
    empty.fail_next(status=200, path="/calls", body=page, times=2)
    assert (await warehouse.load(empty))["calls"] == 2
    rows = warehouse.rows("SELECT * FROM telepath.calls ORDER BY id")
    assert [row["status"] for row in rows] == [None, "completed"]
    assert rows[0]["trunk_id"] == "\ufffd \ufffd"
    assert (rows[0]["start_time"], rows[0]["ai_latency_ms"]) == (None, None)
    more = {"\ufffd": "\ufffd", "large": 1e30, "small": -1e25, "id": 2**53}
    assert json.loads(rows[0]["extra"]) == {"status": 7, "more": [more]}


@pytest.mark.parametrize(
    "options",
    [
        {"api_key": "two words"},
        {"base_url": "http://example.com/v1"},
        {"account": "a b"},
        {"since": datetime(2026, 1, 1)},
        {"lookback": 3600},
        {"lookback": timedelta(-1)},
    ],
    ids=str,
)
def test_an_option_that_makes_no_sense_is_refused_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        telepath_source(**{"api_key": "sk_live_try", **options})


def test_a_key_is_taken_from_dlts_secrets_or_from_ours_but_not_from_anybody_elses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("API_KEY", "sk_of_another_service")
    monkeypatch.setenv("BASE_URL", "http://example.com/v1")
    with pytest.raises(UsageError, match="TELEPATH_API_KEY"):
        telepath_source()
    for name in ("TELEPATH_API_KEY", "SOURCES__TELEPATH__API_KEY"):
        with monkeypatch.context() as patch:
            patch.setenv(name, "sk_live_try")
            assert set(telepath_source().resources) == {"calls", "trunks", "overview"}


async def test_ids_that_differ_only_by_what_cannot_be_stored_stay_apart(
    empty: Sandbox, tmp_path: Path
) -> None:
    warehouse = Warehouse(tmp_path, "parquet")
    rows = [{"id": "call_\0", "start_time": ago(hours=1)}, {"id": "call_\ufffd"}]
    page = json.dumps({"calls": rows, "total": 2, "limit": 100, "offset": 0})
    empty.fail_next(status=200, path="/calls", body=page, times=2)
    await warehouse.load(empty)
    stored = warehouse.rows("SELECT id FROM telepath.calls ORDER BY id")
    assert [row["id"][:6] for row in stored] == ["call_\ufffd", "call_\ufffd"]
