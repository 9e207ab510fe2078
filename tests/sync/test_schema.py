"""A call as a row: what every database can hold, and no secret."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from telepath_async import Call, CallStatus, Secret
from telepath_async.sync.schema import call_row, write_json

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def row(**fields: Any) -> dict[str, Any]:
    return call_row(Call(id="call_1", **fields), "acme", NOW)


def test_an_empty_call_is_a_row_of_nulls() -> None:
    filled = {name for name, value in row().items() if value is not None}
    assert filled == {"id", "extra", "revision", "synced_at", "account"}


def test_secrets_are_masked_at_every_depth() -> None:
    extra = {
        "api_key": Secret("sk-1"),
        "sip": [{"password": Secret("pw-2"), "user": "agent"}],
        "n": 1,
        "ok": True,
        "no": None,
    }
    written = write_json(row(extra=extra)["extra"])
    assert "sk-1" not in written
    assert "pw-2" not in written
    assert json.loads(written) == {
        "api_key": "**********", "sip": [{"password": "**********", "user": "agent"}], "n": 1,
        "ok": True, "no": None,
    }  # fmt: skip


def test_equal_extras_are_equal_texts() -> None:
    assert write_json({"b": 1, "a": {"d": "é", "c": 2}}) == write_json(
        {"a": {"c": 2, "d": "é"}, "b": 1}
    )


def test_a_nul_that_postgresql_refuses_is_replaced() -> None:
    made = row(from_number="a\0b", extra={"k\0": ["v\0"]})
    assert made["from_number"] == "a\ufffdb"
    assert made["extra"] == {"k\ufffd": ["v\ufffd"]}


def test_an_enumeration_is_plain_text_and_an_unknown_status_too() -> None:
    assert type(row(status=CallStatus("ringing"))["status"]) is str
    assert row(status=CallStatus("ringing"))["status"] == "ringing"


@pytest.mark.parametrize(
    ("figure", "stored"), [(52, 52.0), (52.5, 52.5), (None, None), (10**400, None)]
)
def test_figures_are_floats_where_a_float_can_hold_them(
    figure: float | None, stored: float | None
) -> None:
    assert row(ai_latency_ms=figure)["ai_latency_ms"] == stored


def test_times_are_in_utc_where_the_calendar_reaches() -> None:
    east = timezone(timedelta(hours=5))
    assert (
        row(start_time=datetime(2026, 11, 21, 5, tzinfo=east))["start_time"].isoformat()
        == "2026-11-21T00:00:00+00:00"
    )
    assert row(start_time=datetime(1, 1, 1, tzinfo=east))["start_time"] is None
