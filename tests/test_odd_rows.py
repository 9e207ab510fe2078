"""One odd value, or a row without an id, costs no other row: in a list, a sync and an export.

All goes over a real socket, in both dialects of the API, and what was odd is said without a value.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest

from telepath_async import Call, LocalLimiter, OddValue, RetryPolicy, TelepathClient, to_dict
from telepath_async.export import export_calls
from telepath_async.protocol.odd_rows import RejectedRow, describe
from telepath_async.sync import sync_calls
from tests.support.hostile import Hostile, Received, Step, answering, reply
from tests.sync.tables import stored

CALLS: Final = 300
ODD: Final = 137  # of the second page
ID: Final = f"call_{ODD:03}"

ODD_VALUES: Final = {
    "a number as text": ("duration_seconds", "42"),
    "a number that is true": ("duration_seconds", True),
    "a number in an object": ("duration_seconds", {"value": 42}),
    "a number with its unit": ("ai_latency_ms", "312 ms"),
    "a number in a list": ("carrier_lag_ms", [40]),
    "epoch seconds": ("start_time", 1710072000),
    "epoch milliseconds with a fraction": ("start_time", 1710072000123.5),
    "an RFC 2822 date": ("start_time", "Sun, 10 Mar 2024 12:00:00 GMT"),
    "an empty time": ("end_time", ""),
    "a zero date": ("end_time", "0000-00-00 00:00:00"),
    "a leap second": ("end_time", "2016-12-31T23:59:60Z"),
    "24:00": ("start_time", "2024-03-10T24:00:00Z"),
    "a date without a time": ("start_time", "2024-03-10"),
    "a zone that is none": ("start_time", "2024-03-10T12:00:00+25:00"),
    "a phone number as a number": ("from", 15551234567),
    "a phone number in an object": ("to", {"number": "+15551234567"}),
    "a trunk's id as a number": ("trunk_id", 123456789),
    "a status as a number": ("status", 200),
    "a direction in a list": ("direction", ["inbound"]),
}

NO_IDS: Final = {
    "null": {"id": None},
    "empty": {"id": ""},
    "blank": {"id": " \t"},
    "an object": {"id": {"value": "call_1"}},
    "missing": {},
    "true": {"id": True},
    "a fraction": {"id": 137.5},
    "a list": {"id": ["call_1"]},
}


def row(number: int) -> dict[str, Any]:
    start = datetime(2024, 3, 10, 12, tzinfo=UTC) + timedelta(minutes=number)
    return {
        "id": f"call_{number:03}",
        "trunk_id": "conn_1",
        "from": "+15550100001",
        "to": "+15550100002",
        "direction": "inbound",
        "status": "completed",
        "duration_seconds": number,
        "start_time": start.isoformat().replace("+00:00", "Z"),
        "end_time": (start + timedelta(seconds=number)).isoformat().replace("+00:00", "Z"),
        "carrier_lag_ms": 40,
        "ai_latency_ms": 312.5,
        "gateway_processing_ms": 9,
    }


def exported(row: dict[str, Any]) -> dict[str, Any]:
    """Return what an export writes of a row that is as it should be."""
    renamed = {"from": "from_number", "to": "to_number"}
    return {renamed.get(name, name): value for name, value in row.items()} | {"extra": {}}


def modelled(row: dict[str, Any]) -> Call:
    fields = exported(row)
    times = {name: datetime.fromisoformat(fields[name]) for name in ("start_time", "end_time")}
    return Call(**fields | times)


@pytest.fixture(params=["offset", "cursor"])
def style(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@asynccontextmanager
async def listing(rows: list[Any], style: str) -> AsyncIterator[TelepathClient]:
    """Serve the rows as one list, and give a client of it."""

    def answer(request: Received) -> Step:
        query = {
            name: values[0] for name, values in parse_qs(urlsplit(request.target).query).items()
        }
        if "/trunks?" in request.target:  # a sync reads them too
            return reply(200, b'{"data": [], "next_cursor": null}')
        limit = int(query["limit"])
        at = int(query.get("offset" if style == "offset" else "cursor", 0))
        page, end = rows[at : at + limit], at + limit
        if style == "offset":
            body = {"calls": page, "pagination": {"limit": limit, "offset": at, "total": len(rows)}}
        else:
            more = end < len(rows)
            body = {"data": page, "next_cursor": str(end) if more else None, "has_more": more}
        return reply(200, json.dumps(body).encode())

    async with (
        Hostile([answering(answer)]) as server,
        TelepathClient(
            "sk_live_x",
            base_url=server.url,
            retry=RetryPolicy(max_attempts=1),
            limiter=LocalLimiter(limit=1_000_000, period=1.0),
        ) as client,
    ):
        yield client


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    return [row(number) for number in range(CALLS)]


@pytest.fixture
def others(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return rows[:ODD] + rows[ODD + 1 :]


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "telepath_async.lists" and record.levelno == logging.WARNING
    ]


@pytest.mark.parametrize(("name", "value"), ODD_VALUES.values(), ids=ODD_VALUES)
class TestAnOddValue:
    @pytest.fixture
    def rows(self, rows: list[dict[str, Any]], name: str, value: Any) -> list[dict[str, Any]]:
        rows[ODD] |= {name: value}
        return rows

    @pytest.fixture
    def field(self, name: str) -> str:
        return {"from": "from_number", "to": "to_number"}.get(name, name)

    async def test_is_listed_in_extra_and_named(
        self, rows: Any, others: Any, style: str, name: str, value: Any, field: str, caplog: Any
    ) -> None:
        async with listing(rows, style) as client:
            calls = client.calls.list()
            pages = [page async for page in calls.pages()]
        found = [call for page in pages for call in page.items]
        odd = found.pop(ODD)
        assert (odd.id, odd.extra, getattr(odd, field)) == (ID, {name: value}, None)
        assert found == [modelled(row) for row in others]
        (told,) = [value for page in pages for value in page.odd]
        assert (told.id, told.field) == (ID, name)
        assert (calls.drift.odd, calls.drift.rejected, calls.drift.uncertain) == (1, 0, 0)
        (line,) = said(caplog)
        assert f"{ID}: {name}: {told.reason}" in line
        assert json.dumps(value) not in line.replace(ID, "")

    async def test_is_synced_and_exported_in_extra_and_counted(
        self, rows: Any, others: Any, style: str, name: str, value: Any, field: str,
        tmp_path: Path, caplog: Any,
    ) -> None:  # fmt: skip
        url = f"sqlite:///{tmp_path}/calls.db"
        async with listing(rows, style) as client:
            synced = await sync_calls(client, url)
            report = await export_calls(client, tmp_path / "calls.ndjson")
        assert (synced.inserted, synced.odd, synced.rejected) == (CALLS, 1, 0)
        assert (report.rows, report.odd, report.rejected) == (CALLS, 1, 0)
        assert synced.watermark is not None
        table = await stored(url)
        written = [json.loads(line) for line in report.path.read_text().splitlines()]
        for odd in (table.pop(ID), written.pop(ODD)):
            assert (odd["extra"], odd[field]) == ({name: value}, None)
        assert table == {row["id"]: to_dict(modelled(row)) | times(modelled(row)) for row in others}
        assert written == [exported(row) for row in others]
        for line in said(caplog):
            assert f"{ID}: {name}: expected" in line


def times(call: Call) -> dict[str, Any]:
    return {"start_time": call.start_time, "end_time": call.end_time}


async def test_a_whole_number_that_is_an_id_becomes_text_and_is_not_odd(
    rows: list[dict[str, Any]], style: str, caplog: pytest.LogCaptureFixture
) -> None:
    rows[ODD]["id"] = 137
    async with listing(rows, style) as client:
        calls = client.calls.list()
        found = await calls.collect()
    assert (found[ODD].id, found[ODD].extra, len(found)) == ("137", {}, CALLS)
    assert (calls.drift.odd, said(caplog)) == (0, [])


@pytest.mark.parametrize("identity", NO_IDS.values(), ids=NO_IDS)
class TestARowWithoutAUsableId:
    @pytest.fixture
    def rows(self, rows: list[dict[str, Any]], identity: dict[str, Any]) -> list[dict[str, Any]]:
        del rows[ODD]["id"]
        rows[ODD] |= identity
        return rows

    async def test_is_kept_beside_the_list_and_named(
        self, rows: Any, others: Any, style: str, caplog: Any
    ) -> None:
        async with listing(rows, style) as client:
            calls = client.calls.list()
            pages = [page async for page in calls.pages()]
        assert [call for page in pages for call in page.items] == [modelled(row) for row in others]
        (rejected,) = [row for page in pages for row in page.rejected]
        assert rejected.row == rows[ODD]
        assert (calls.drift.rejected, calls.drift.odd, calls.drift.uncertain) == (1, 0, 0)
        (line,) = said(caplog)
        assert f"left out, without a usable id: 1 ({rejected.reason})" in line
        assert "+15550100001" not in line

    async def test_stops_no_sync_and_no_export(
        self, rows: Any, others: Any, style: str, tmp_path: Path, caplog: Any
    ) -> None:
        url = f"sqlite:///{tmp_path}/calls.db"
        async with listing(rows, style) as client:
            synced = await sync_calls(client, url)
            written = await export_calls(client, tmp_path / "calls.ndjson")
        assert (synced.inserted, synced.rejected, synced.odd) == (CALLS - 1, 1, 0)
        assert synced.watermark is not None
        assert list(await stored(url)) == [row["id"] for row in others]
        assert (written.rows, written.rejected, written.odd) == (CALLS - 1, 1, 0)
        lines = written.path.read_text().splitlines()
        assert [json.loads(line) for line in lines] == [exported(row) for row in others]
        assert all("without a usable id" in line for line in said(caplog))


@pytest.mark.parametrize("bad", [None, 5, "a call", [1]])
async def test_a_row_that_is_no_object_is_rejected_once_where_pages_overlap(
    rows: list[Any], bad: Any
) -> None:
    rows[99] = bad  # the last of the first page, which the second one asks for again
    async with listing(rows, "offset") as client:
        calls = client.calls.list()
        pages = [page async for page in calls.pages()]
    assert [row.row for page in pages for row in page.rejected] == [bad]
    assert (calls.drift.rejected, calls.drift.uncertain) == (1, 0)


async def test_an_odd_row_that_pages_share_is_named_once(
    rows: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    rows[99]["status"] = 5
    async with listing(rows, "offset") as client:
        calls = client.calls.list()
        assert len([call async for call in calls]) == CALLS
    assert (calls.drift.odd, len(said(caplog))) == (1, 1)


async def test_rows_outside_the_range_are_not_called_odd(
    rows: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    rows[ODD]["status"] = 5
    until = modelled(row(ODD - 1)).start_time
    async with listing(rows, "cursor") as client:
        calls = client.calls.list(until=until)
        assert len(await calls.collect()) == ODD
    assert (calls.drift.odd, said(caplog)) == (0, [])


def test_a_page_of_odd_rows_is_one_line_that_names_ten() -> None:
    odd = [OddValue(id=f"call\n{n}", field="status", reason="expected text") for n in range(100)]
    line = describe("calls", [RejectedRow(path="$[0]", reason="it is missing", row={})], odd)
    assert line is not None
    assert line.startswith(
        "the list of calls: left out, without a usable id: 1 (it is missing); in extra, not of "
        "their fields' types: 100 (call 0: status: expected text; call 1: "
    )
    assert line.endswith("call 9: status: expected text; and 90 more)")


def test_of_a_page_as_it_should_be_nothing_is_said() -> None:
    assert describe("calls") is None
