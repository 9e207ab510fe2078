"""`export_calls`: check the options, walk the calls page by page into a new file, and report."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, Literal, get_args

from attrs import define, field, frozen

from telepath_async import Call, CallDirection, CallStatus, Paginator, TelepathClient, UsageError
from telepath_async.checks import check_function, check_path, check_time_range, shown

from .new_file import NewFile, in_thread
from .rows import Rows
from .text import CsvRows, NdjsonRows

Format = Literal["parquet", "csv", "ndjson"]

_FORMATS: Final = get_args(Format)
_PAGES_AHEAD: Final = (
    16  # 100 requests a second are the API's limit: enough for an answer in 160 ms
)
_SHARDS: Final = 4
_WORTH_SHARDS: Final = timedelta(days=1)


@frozen(kw_only=True)
class ExportReport:
    """What was written: `rows` in `bytes` to the file at `path`, in `seconds`.

    `uncertain`: calls that may be missing, because the list changed while it was read; export again
    where it is not 0. `rejected`: calls without a usable id, which are left out; `odd`: calls with
    a value that is not of its field's type, and so in `extra`. The log names both.
    """

    path: Path
    rows: int
    bytes: int
    seconds: float
    uncertain: int
    rejected: int = 0
    odd: int = 0


@frozen(kw_only=True)
class ExportProgress:
    """How far an export has come: `rows` of the list's `total` (None: unknown), in `seconds`."""

    rows: int
    total: int | None
    seconds: float


async def export_calls(
    telepath: TelepathClient,
    path: str | os.PathLike[str],
    *,
    format: Format | None = None,  # noqa: A002
    since: datetime | None = None,
    until: datetime | None = None,
    trunk_id: str | None = None,
    status: CallStatus | str | None = None,
    direction: CallDirection | str | None = None,
    bom: bool = False,
    on_progress: Callable[[ExportProgress], object] | None = None,
) -> ExportReport:
    """Write the calls into one file: a row for each, in no promised order, with the columns of
    `telepath_calls`.

    `format`: None = by the ending of `path` (`.parquet`, `.csv`, `.ndjson`). `since`, `until`:
    aware datetimes, both inclusive; where both are given, the range is read in parts at the same
    time. `trunk_id`, `status`, `direction`: only calls that have them. `bom`: begin a CSV with
    the mark by which Excel knows UTF-8. `on_progress`: called with an `ExportProgress` after each
    page that is written.

    The file appears under its name when it is whole and on the disk; until then, and after any
    error, what stood there stands there still. Credentials inside `extra` are masked. Requests go
    in the bulk lane, after interactive ones.

    Raises UsageError before anything is sent: bad options, a folder that is missing, a format whose
    extra is not installed; what the request loop raises; and OSError for a file that cannot be
    written.
    """
    check_path("path", path)
    if on_progress is not None:
        check_function("on_progress", on_progress, "function that takes an ExportProgress")
    export = _Export(
        _list(telepath, since, until, trunk_id=trunk_id, status=status, direction=direction),
        on_progress,
    )
    # Importing pyarrow takes its time.
    rows_of = await in_thread(partial(_rows_of, _format_of(path, format), bom))
    with NewFile(path) as file:
        rows = rows_of(file.handle)
        try:
            await export.write_to(rows)
        except BaseException:
            rows.abandon()
            raise
        await in_thread(file.sync)
        size = file.publish()
    drift = export.calls.drift
    return ExportReport(
        path=Path(path),
        rows=export.rows,
        bytes=size,
        seconds=export.seconds(),
        uncertain=drift.uncertain,
        rejected=drift.rejected,
        odd=drift.odd,
    )


@define
class _Export:
    calls: Paginator[Call]
    on_progress: Callable[[ExportProgress], object] | None
    begun: float = field(factory=time.monotonic)
    rows: int = 0

    async def write_to(self, rows: Rows) -> None:
        """Write all calls into `rows`; the next pages are under way meanwhile."""
        async for page in self.calls.pages():
            await in_thread(partial(rows.write, page.items))
            self.rows += len(page.items)
            if self.on_progress is not None:
                self.on_progress(
                    ExportProgress(rows=self.rows, total=page.total, seconds=self.seconds())
                )
        await in_thread(rows.finish)

    def seconds(self) -> float:
        return time.monotonic() - self.begun


def _list(
    telepath: TelepathClient,
    since: datetime | None,
    until: datetime | None,
    *,
    trunk_id: str | None,
    status: CallStatus | str | None,
    direction: CallDirection | str | None,
) -> Paginator[Call]:
    check_time_range(since, until)
    bounded = since is not None and until is not None and until - since >= _WORTH_SHARDS
    shards = _SHARDS if bounded else 1  # with cursors, one chain waits for each answer
    return telepath.with_options(priority="bulk").calls.list(
        trunk_id=trunk_id,
        status=status,
        direction=direction,
        since=since,
        until=until,
        prefetch=_PAGES_AHEAD // shards,
        shards=shards,
    )


def _format_of(path: str | os.PathLike[str], given: str | None) -> str:
    name = Path(path).suffix.lower().removeprefix(".") if given is None else given
    if name in _FORMATS:
        return name
    if given is None:
        raise UsageError(
            f"the ending of {os.fspath(path)!r} names no format; give one of {', '.join(_FORMATS)}"
        )
    raise UsageError(f"format must be one of {', '.join(_FORMATS)}, not {shown(given)}")


def _rows_of(name: str, bom: bool) -> Callable[[BinaryIO], Rows]:
    if name == "csv":
        return partial(CsvRows, bom=bom)
    if bom:
        raise UsageError(f"bom marks a CSV for Excel; {name} has no such mark")
    if name == "ndjson":
        return NdjsonRows
    try:
        from .parquet import ParquetRows
    except ModuleNotFoundError as error:
        message = (
            f'Parquet needs {error.name}: pip install "telepath-async[parquet]", or export '
            "csv or ndjson"
        )
        raise UsageError(message) from error
    return ParquetRows
