"""The columns of each table, the same in every warehouse, and how models become rows.

No request is made here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, Literal

from dlt.common.schema.typing import TTableSchemaColumns

from telepath_async import AnalyticsOverview, Call, Trunk, to_dict
from telepath_async.columns import figure, json_value, storable_id, text, to_utc

_DIGITS_OF_64_BITS: Final = 19

Row = dict[str, Any]
Columns = Mapping[str, Literal["text", "double", "timestamp", "json"]]  # by name, dlt's types

CALLS: Final[Columns] = {
    "account": "text",
    "id": "text",
    "trunk_id": "text",
    "from_number": "text",
    "to_number": "text",
    "direction": "text",
    "status": "text",
    "duration_seconds": "double",
    "start_time": "timestamp",
    "end_time": "timestamp",
    "carrier_lag_ms": "double",
    "ai_latency_ms": "double",
    "gateway_processing_ms": "double",
    "extra": "json",
}
TRUNKS: Final[Columns] = {
    "account": "text",
    "id": "text",
    "name": "text",
    "ai_provider": "text",
    "status": "text",
    "sip_username": "text",
    "created_at": "timestamp",
    "updated_at": "timestamp",
    "extra": "json",
}
OVERVIEW: Final[Columns] = {
    "account": "text",
    "read_at": "timestamp",
    "since": "timestamp",
    "until": "timestamp",
    "total_calls": "double",
    "success_rate": "double",
    "avg_ai_latency_ms": "double",
    "avg_carrier_lag_ms": "double",
    "avg_gateway_processing_ms": "double",
    "avg_duration_seconds": "double",
    "extra": "json",
}


def hints(columns: Columns) -> TTableSchemaColumns:
    """Return dlt's hints for the columns; dlt keeps notes of its own in there."""
    return {name: {"data_type": data_type} for name, data_type in columns.items()}


def row_of(model: Call | Trunk | AnalyticsOverview, columns: Columns, **added: Any) -> Row:
    """Return the row of a model: what has no column of its own is in `extra`, credentials masked.

    `extra` is one column of JSON; of anything else, dlt would make columns and tables as it comes.
    """
    return {
        name: added[name] if name in added else _value(model, name, data_type)
        for name, data_type in columns.items()
    }


def _value(model: Any, name: str, data_type: str) -> Any:
    if data_type == "json":
        return json.loads(json.dumps(json_value(to_dict(model)[name])), parse_int=_integer)
    value = getattr(model, name)
    if data_type == "timestamp":
        return to_utc(value)
    if name == "id":
        return storable_id(value)
    return figure(value) if data_type == "double" else text(value)


def _integer(digits: str) -> float:
    """Return a number that dlt's encoder takes: it fails above 64 bits."""
    return int(digits) if len(digits) < _DIGITS_OF_64_BITS else float(digits)
