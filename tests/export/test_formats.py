"""How a call becomes a row: nothing is lost, and nothing runs when the file is opened."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from typing import Any

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from telepath_async import Call
from telepath_async.export.parquet import ParquetRows
from telepath_async.export.rows import COLUMNS
from telepath_async.export.text import CsvRows, NdjsonRows

BEFORE_THE_CALENDAR = datetime(1, 1, 1, 2, tzinfo=timezone(timedelta(hours=5)))

texts = st.text(st.characters(exclude_categories=["Cs"]))


def written(rows: Any, *calls: Call) -> bytes:
    file = io.BytesIO()
    writer = rows(file)
    writer.write(calls)
    writer.finish()
    return file.getvalue()


def from_csv(*calls: Call) -> list[dict[str, str]]:
    text = written(CsvRows, *calls).decode()
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def test_a_csv_for_excel_begins_with_its_mark() -> None:
    assert written(partial(CsvRows, bom=True)).startswith(b"\xef\xbb\xbfid,trunk_id,")
    assert written(CsvRows).startswith(b"id,trunk_id,")


def from_parquet(*calls: Call) -> Any:
    return parquet.read_table(pyarrow.BufferReader(written(ParquetRows, *calls)))


@given(texts)
def test_csv_gives_every_text_back_when_the_escape_is_taken_away(text: str) -> None:
    (row,) = from_csv(Call(id="a", from_number=text))
    assert row["from_number"].removeprefix("'") == text


@given(st.sampled_from(list("=+-@\t\r\n'\uff1d\uff0b\uff0d\uff20")), texts)
def test_no_csv_cell_begins_like_a_formula(first: str, rest: str) -> None:
    (row,) = from_csv(Call(id="a", from_number=first + rest))
    assert row["from_number"][0] == "'" or (first == "+" and set(rest) <= set("0123456789 ().-"))


@pytest.mark.parametrize("number", ["+15550100001", "+1-555-010-0001", "+1 (555) 010.0001"])
def test_csv_leaves_phone_numbers_as_they_are(number: str) -> None:
    assert from_csv(Call(id="a", from_number=number))[0]["from_number"] == number


@pytest.mark.parametrize("text", ["+1+cmd|' /C calc'!A0", "+A1", "+", "=1+1", "-2", "@SUM(A1)"])
def test_csv_escapes_what_could_run(text: str) -> None:
    assert from_csv(Call(id="a", from_number=text))[0]["from_number"] == f"'{text}"


def test_csv_tells_an_empty_text_from_none() -> None:
    lines = written(CsvRows, Call(id="a", trunk_id="", from_number=None)).decode().split("\r\n")
    assert lines == [",".join(COLUMNS), '"a","",,,,,,,,,,,"{}"', ""]


def test_ndjson_is_one_object_a_line_with_every_column() -> None:
    moment = datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=1)))
    call = Call(
        id="ä\n=1", start_time=moment, duration_seconds=1.5, ai_latency_ms=2**70,
        extra={"a": [None, True]},
    )  # fmt: skip
    (line,) = written(NdjsonRows, call).splitlines()
    assert "ä".encode() in line
    row = json.loads(line)
    assert tuple(row) == COLUMNS
    assert {
        "id": "ä\n=1", "start_time": "2026-03-01T11:00:00Z", "end_time": None,
        "duration_seconds": 1.5, "ai_latency_ms": 2**70, "extra": {"a": [None, True]},
    }.items() <= row.items()  # fmt: skip


def test_text_keeps_the_zone_of_a_time_that_utc_cannot_hold() -> None:
    (row,) = from_csv(Call(id="a", start_time=BEFORE_THE_CALENDAR))
    assert row["start_time"] == "0001-01-01T02:00:00+05:00"


def test_parquet_has_real_types() -> None:
    types = {field.name: str(field.type) for field in from_parquet().schema}
    assert (types["start_time"], types["end_time"]) == ("timestamp[us, tz=UTC]",) * 2
    assert {types[name] for name in COLUMNS if name.endswith(("_ms", "_seconds"))} == {"double"}
    assert {types[name] for name in ("id", "status", "extra")} == {"string"}


def test_parquet_keeps_values_and_nulls() -> None:
    moment = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
    calls = [
        Call(id="a", start_time=moment, duration_seconds=1.5, ai_latency_ms=7, extra={"b": "ü"}),
        Call(id="b"),
    ]
    first, second = from_parquet(*calls).to_pylist()
    assert (first["start_time"], first["duration_seconds"]) == (moment, 1.5)
    assert first["ai_latency_ms"] == 7.0
    assert json.loads(first["extra"]) == {"b": "ü"}
    assert {name for name, value in second.items() if value is not None} == {"id", "extra"}


def test_times_outside_the_calendar_and_figures_beyond_all_doubles_are_null_in_parquet() -> None:
    first = datetime.min.replace(tzinfo=UTC)
    outside, inside = from_parquet(
        Call(id="a", start_time=BEFORE_THE_CALENDAR, ai_latency_ms=10**400, carrier_lag_ms=2**60),
        Call(id="b", start_time=first),
    ).to_pylist()  # pyarrow gives up a column of which it cannot read one time
    assert (outside["start_time"], inside["start_time"]) == (None, first)
    assert (outside["ai_latency_ms"], outside["carrier_lag_ms"]) == (None, 2.0**60)


@pytest.mark.parametrize(("pages", "groups"), [(4, [200, 200]), (5, [200, 200, 100])])
def test_parquet_groups_rows_of_many_pages(
    monkeypatch: pytest.MonkeyPatch, pages: int, groups: list[int]
) -> None:
    monkeypatch.setattr("telepath_async.export.parquet._ROWS_IN_A_GROUP", 200)
    file = io.BytesIO()
    rows = ParquetRows(file)
    for page in range(pages):
        rows.write([Call(id=f"{page} {n}") for n in range(100)])
    rows.finish()
    told = parquet.ParquetFile(file).metadata
    assert [told.row_group(n).num_rows for n in range(told.num_row_groups)] == groups
