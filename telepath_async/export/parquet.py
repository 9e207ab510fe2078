"""Calls as Parquet: the one file that imports pyarrow."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, BinaryIO, Final

import pyarrow  # type: ignore[import-untyped]
from pyarrow.parquet import ParquetWriter  # type: ignore[import-untyped]

from telepath_async import Call
from telepath_async.columns import figure, to_utc

from .rows import COLUMNS, values_of, write_json

_ROWS_IN_A_GROUP: Final = (
    20_000  # with 65,536, ids outgrow their dictionary: a third more bytes, 25 MiB more memory
)

_TIME: Final = pyarrow.timestamp("us", tz="UTC")
_TYPES: Final = {
    "duration_seconds": pyarrow.float64(),
    "start_time": _TIME,
    "end_time": _TIME,
    "carrier_lag_ms": pyarrow.float64(),
    "ai_latency_ms": pyarrow.float64(),
    "gateway_processing_ms": pyarrow.float64(),
}
_SCHEMA: Final = pyarrow.schema([
    pyarrow.field(name, _TYPES.get(name, pyarrow.string()), nullable=name not in ("id", "extra"))
    for name in COLUMNS
])  # fmt: skip


class ParquetRows:
    """Strings, doubles, UTC times to the microsecond, `extra` as JSON text.

    A number beyond all doubles is null, and so is a time that UTC's calendar cannot hold.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._writer = ParquetWriter(file, _SCHEMA, compression="zstd")
        self._group: list[Any] = []
        self._rows = 0

    def write(self, calls: Sequence[Call]) -> None:
        columns = zip(*map(values_of, calls), strict=True) if calls else ([] for _ in COLUMNS)
        arrays = [_array(column, field) for column, field in zip(columns, _SCHEMA, strict=True)]
        self._group.append(pyarrow.RecordBatch.from_arrays(arrays, schema=_SCHEMA))
        self._rows += len(calls)
        if self._rows >= _ROWS_IN_A_GROUP:
            self._write_group()

    def finish(self) -> None:
        if self._rows:
            self._write_group()
        self._writer.close()

    def abandon(self) -> None:
        with suppress(
            OSError
        ):  # it writes the file's end; a writer that is not closed warns when it is collected
            self._writer.close()

    def _write_group(self) -> None:
        self._writer.write_table(pyarrow.Table.from_batches(self._group))
        self._group, self._rows = [], 0


def _array(values: Sequence[Any], field: Any) -> Any:
    if field.name == "extra":
        values = [write_json(value) for value in values]
    elif pyarrow.types.is_floating(field.type):
        values = [figure(value) for value in values]
    elif pyarrow.types.is_timestamp(field.type):
        values = [to_utc(value) for value in values]
    return pyarrow.array(values, field.type)
