"""The two tables, the same in every database, and how a call becomes a row.

No connection is opened here.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import (
    JSON,
    Column,
    DateTime,
    Dialect,
    Double,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
)
from sqlalchemy.dialects.postgresql import JSONB

from telepath_async import Call, to_dict

Row = dict[str, Any]


class UtcTime(TypeDecorator[datetime]):
    """Aware times in UTC, also where the database has no zones (SQLite: sortable ISO 8601 text)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


metadata: Final = MetaData()

calls: Final = Table(
    "telepath_calls",
    metadata,
    Column("id", Text, primary_key=True),
    Column("trunk_id", Text),
    Column("from_number", Text),
    Column("to_number", Text),
    Column("direction", Text),
    Column("status", Text),
    Column("duration_seconds", Double),
    Column("start_time", UtcTime),
    Column("end_time", UtcTime),
    Column("carrier_lag_ms", Double),
    Column("ai_latency_ms", Double),
    Column("gateway_processing_ms", Double),
    Column("extra", JSON().with_variant(JSONB(), "postgresql"), nullable=False),
    Column(
        "revision", Integer, nullable=False
    ),  # 1 when first stored, one more for each change taken over
    Column("synced_at", UtcTime, nullable=False),  # when this revision was stored
    Index("telepath_calls_by_time", "start_time"),
    Index("telepath_calls_by_trunk", "trunk_id", "start_time"),
    Index("telepath_calls_by_status", "status", "start_time"),
)

sync_state: Final = Table(
    "telepath_sync_state",
    metadata,
    Column("account", Text, primary_key=True),  # TelepathClient.key_id
    Column("trunk_id", Text, primary_key=True),  # "" = all trunks
    Column("complete_since", UtcTime),
    Column("watermark", UtcTime),
    Column("walk_since", UtcTime),
    Column("walk_until", UtcTime),
    Column("walk_started", UtcTime),
    Column("walk_newest", UtcTime),
    Column("walk_rows", Integer, nullable=False),
    Column("walk_uncertain", Integer, nullable=False),
    Column("checkpoint", Text),  # of the walk under way, or cut off; NULL = there is none
    Column("updated_at", UtcTime, nullable=False),
)


def call_row(call: Call, synced_at: datetime) -> Row:
    """Return the row of a call; what no column can hold (year 0, an infinite figure) is NULL."""
    return {
        "id": _text(call.id),
        "trunk_id": _text(call.trunk_id),
        "from_number": _text(call.from_number),
        "to_number": _text(call.to_number),
        "direction": _text(call.direction),
        "status": _text(call.status),
        "duration_seconds": _figure(call.duration_seconds),
        "start_time": _moment(call.start_time),
        "end_time": _moment(call.end_time),
        "carrier_lag_ms": _figure(call.carrier_lag_ms),
        "ai_latency_ms": _figure(call.ai_latency_ms),
        "gateway_processing_ms": _figure(call.gateway_processing_ms),
        "extra": _without_nul(to_dict(call)["extra"]) if call.extra else {},
        "revision": 1,
        "synced_at": synced_at,
    }


def write_json(value: object) -> str:
    """Return JSON in which equal values are equal texts: SQLite compares texts."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _text(value: str | None) -> str | None:
    # PostgreSQL takes no U+0000, neither in text nor in JSON; str() makes a plain string of an
    # enumeration's.
    return None if value is None else str(value).replace("\0", "\ufffd")


def _figure(value: float | None) -> float | None:
    try:
        return None if value is None else float(value)
    except OverflowError:
        return None


def _moment(value: datetime | None) -> datetime | None:
    try:
        return None if value is None else value.astimezone(UTC)
    except OverflowError:
        return None


def _without_nul(value: Any) -> Any:
    if isinstance(value, dict):
        return {_text(name): _without_nul(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_nul(item) for item in value]
    return _text(value) if isinstance(value, str) else value
