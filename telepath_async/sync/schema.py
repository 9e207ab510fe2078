"""The tables, the same in every database, and how calls and trunks become rows.

- `telepath_calls`: one row for each call of each `account`. It holds every call that the server
  has listed, also those that it deletes later. `revision` and `synced_at` change when a row does.
- `telepath_trunks`: one row for each trunk of each account, refreshed by every sync. A trunk that
  the server deletes stays, so that its calls keep a name.
- `telepath_sync_state`: how far an account is synced, by account and filter.
- `telepath_calls_hourly`: a view: `calls`, `failed`, and the p50 and p95 (nearest rank, of the
  calls that have the figure) of each latency, by account, trunk and hour (UTC, by start time).

`account` is the name that the user gave, or the hash of the API key; "" owns the calls of a
database of several accounts that was made before 0.2, until the next sync of their account.
Columns are only ever added; `migration.py` brings an existing database up to date. No connection
is opened here.
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

from telepath_async import Call, Trunk, to_dict
from telepath_async.columns import figure, hashed_id, json_value, storable_id, text, to_utc

Row = dict[str, Any]

_MOST_BYTES_IN_AN_INDEX: Final = 1_000  # PostgreSQL's limit is 2,704 for all columns of an entry


class UtcTime(TypeDecorator[datetime]):
    """Aware times in UTC, also where the database has no zones (SQLite: sortable ISO 8601 text)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


metadata: Final = MetaData()
_JSON: Final = JSON().with_variant(JSONB(), "postgresql")

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
    Column("extra", _JSON, nullable=False),
    Column("revision", Integer, nullable=False),  # 1 at first, one more for each change
    Column("synced_at", UtcTime, nullable=False),  # when this revision was stored
    Column("account", Text, primary_key=True),
    Index("telepath_calls_by_time", "start_time"),
    Index("telepath_calls_by_trunk", "trunk_id", "start_time"),
    Index("telepath_calls_by_status", "status", "start_time"),
    Index("telepath_calls_by_account", "account", "start_time"),
    Index("telepath_calls_by_sync", "synced_at"),
)

trunks: Final = Table(
    "telepath_trunks",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account", Text, primary_key=True),
    Column("name", Text),
    Column("ai_provider", Text),
    Column("status", Text),
    Column("sip_username", Text),
    Column("created_at", UtcTime),
    Column("updated_at", UtcTime),
    Column("extra", _JSON, nullable=False),
)

sync_state: Final = Table(
    "telepath_sync_state",
    metadata,
    Column("account", Text, primary_key=True),
    Column("trunk_id", Text, primary_key=True),  # "" = all trunks
    Column("complete_since", UtcTime),
    Column("watermark", UtcTime),
    Column("walk_since", UtcTime),
    Column("walk_until", UtcTime),
    Column("walk_started", UtcTime),
    Column("walk_newest", UtcTime),
    Column("walk_rows", Integer, nullable=False),
    Column("walk_uncertain", Integer, nullable=False),
    Column("checkpoint", Text),  # of the walk under way, or cut off; NULL = no walk
    Column("updated_at", UtcTime, nullable=False),
)


def call_row(call: Call, account: str, synced_at: datetime) -> Row:
    """Return the row of a call; what no column can hold (year 0, an infinite figure) is NULL.

    Where that is text, it stands in `extra`.
    """
    too_long = _too_long(call)
    return {
        "id": _id(call.id),
        "trunk_id": None if "trunk_id" in too_long else text(call.trunk_id),
        "from_number": text(call.from_number),
        "to_number": text(call.to_number),
        "direction": text(call.direction),
        "status": None if "status" in too_long else text(call.status),
        "duration_seconds": figure(call.duration_seconds),
        "start_time": to_utc(call.start_time),
        "end_time": to_utc(call.end_time),
        "carrier_lag_ms": figure(call.carrier_lag_ms),
        "ai_latency_ms": figure(call.ai_latency_ms),
        "gateway_processing_ms": figure(call.gateway_processing_ms),
        "extra": json_value(_extra(call) | too_long),
        "revision": 1,
        "synced_at": synced_at,
        "account": account,
    }


def trunk_row(trunk: Trunk, account: str) -> Row:
    """Return the row of a trunk."""
    return {
        "id": _id(trunk.id),
        "account": account,
        "name": text(trunk.name),
        "ai_provider": text(trunk.ai_provider),
        "status": text(trunk.status),
        "sip_username": text(trunk.sip_username),
        "created_at": to_utc(trunk.created_at),
        "updated_at": to_utc(trunk.updated_at),
        "extra": json_value(_extra(trunk)),
    }


def _extra(model: Call | Trunk) -> dict[str, Any]:
    return dict(to_dict(model)["extra"]) if model.extra else {}  # most have none


def write_json(value: object) -> str:
    """Return JSON in which equal values are equal texts: SQLite compares texts."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def encodable(row: Row, codec: str) -> Row:
    """Return the row with `?` for what the database's encoding cannot hold."""
    made = {name: _encodable(value, codec) for name, value in row.items()}
    if made["id"] != row["id"]:
        made["id"] = _encodable(hashed_id(row["id"]), codec)
    return made


def _encodable(value: object, codec: str) -> Any:
    if isinstance(value, dict):
        return {_encodable(name, codec): _encodable(item, codec) for name, item in value.items()}
    if isinstance(value, list):
        return [_encodable(item, codec) for item in value]
    if isinstance(value, str):
        return value.encode(codec, "replace").decode(codec)
    return value


def _id(value: str) -> str:
    """Return an id that an index can hold: of another one, the beginning and its hash."""
    return storable_id(value) if _fits_index(value) else hashed_id(value)


def _too_long(call: Call) -> dict[str, str]:
    """Return the values that no index can hold: their columns are NULL, and `extra` has them."""
    found = {"trunk_id": call.trunk_id, "status": call.status}
    return {name: str(value) for name, value in found.items() if value and not _fits_index(value)}


def _fits_index(value: str) -> bool:
    return len(value.encode("utf-8", "replace")) <= _MOST_BYTES_IN_AN_INDEX
