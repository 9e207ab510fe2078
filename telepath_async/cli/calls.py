"""`telepath calls`: list, get, sync, export."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from telepath_async import Call, CallStatus

from .call_view import call_renderables
from .credentials import database_url
from .listing import (
    All,
    MaxItems,
    Resume,
    list_options,
    print_list,
    verdict,
    wanted_items,
    warn_of_unknown,
)
from .log import odd_rows_last
from .options import DatabaseUrl, Since, TrunkId, Until, named_file, span_option
from .output import Column, echo, printable, render
from .shell import Shell, command, resume_hint

if TYPE_CHECKING:
    from telepath_async.export import ExportReport
    from telepath_async.sync import SyncReport

group: Final = typer.Typer(
    help="Call history, and where the time of a call went.", no_args_is_help=True
)

Status = Annotated[
    str | None, typer.Option("--status", help="completed, connected, failed, disconnected, …")
]

COLUMNS: Final[tuple[Column[Call], ...]] = (
    Column("started (UTC)", lambda call: call.start_time and f"{call.start_time:%Y-%m-%d %H:%M}"),
    Column("id", lambda call: call.id),
    Column("status", lambda call: call.status),
    Column("secs", lambda call: call.duration_seconds, "right"),
    Column("AI ms", lambda call: call.ai_latency_ms, "right"),
    Column("carrier", lambda call: call.carrier_lag_ms, "right"),
    Column("gateway", lambda call: call.gateway_processing_ms, "right"),
    Column("from", lambda call: call.from_number),
    Column("to", lambda call: call.to_number),
    Column("direction", lambda call: call.direction),
    Column("trunk", lambda call: call.trunk_id),
)


Direction = Annotated[
    Literal["inbound", "outbound"] | None, typer.Option("--direction", help="Who rang.")
]


@command(
    group,
    "list",
    examples=[
        "telepath calls list --since 24h --status failed",
        "telepath calls list --since 2026-11-01 --json > calls.ndjson",
    ],
)
async def list_(
    shell: Shell,
    *,
    since: Since = None,
    until: Until = None,
    trunk_id: TrunkId = None,
    status: Status = None,
    direction: Direction = None,
    max_items: MaxItems = None,
    everything: All = False,
    resume: Resume = None,
) -> int:
    """List calls, in the server's order.

    As NDJSON, a million of them take no more memory than a hundred.
    """
    warn_of_unknown("--status", status, CallStatus)
    wanted = wanted_items(shell, max_items, everything)
    async with shell.client() as telepath:
        calls = telepath.calls.list(
            since=since,
            until=until,
            trunk_id=trunk_id,
            status=status,
            direction=direction,
            resume=resume,
            **list_options(shell, wanted),
        )
        return await print_list(shell, telepath, calls, COLUMNS, unit="calls", wanted=wanted)


@command(
    group,
    "get",
    examples=[
        "telepath calls get call_1ea82e2a3c",
        "telepath calls get call_1ea82e2a3c --json | jq .turns",
    ],
)
async def get(
    shell: Shell,
    call_id: Annotated[str, typer.Argument(metavar="CALL_ID")],
    *,
    sip_trace: Annotated[
        bool, typer.Option("--sip-trace", help="Print the SIP trace too.")
    ] = False,
) -> None:
    """Show one call: its turns, and where the time went."""
    async with shell.client() as telepath:
        call = await telepath.calls.get(call_id)
    if shell.as_json:
        shell.write(call)
        return
    render(*call_renderables(call))
    if call.sip_trace and sip_trace:
        render(*(printable(line) for line in call.sip_trace.splitlines()))
    elif call.sip_trace:
        echo(f"there is a SIP trace of {len(call.sip_trace.splitlines())} lines: --sip-trace")


@command(
    group,
    "sync",
    examples=[
        "telepath calls sync sqlite:///calls.db --since 2024-01-01",
        "TELEPATH_DATABASE_URL=postgresql://me@db/calls telepath calls sync",
    ],
)
async def sync(
    shell: Shell,
    database: DatabaseUrl = None,
    *,
    since: Since = None,
    until: Until = None,
    account: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="A name of yours for the account: its rows are kept under it, and a new API key "
            "re-reads nothing. It takes over what was synced without a name.",
        ),
    ] = None,
    lookback: Annotated[
        timedelta, span_option("How long after its start a call may still change:", "1h")
    ] = timedelta(hours=1),
    trunk_id: TrunkId = None,
) -> int:
    """Bring the calls into a SQL database: all at first, later what is new or has changed.

    They stand in the table telepath_calls. Stop it at any moment: the next run goes on after the
    last committed page. With --since, a long first sync reads several ranges of time at once.
    """
    url = database_url(database)
    from telepath_async.sync import SyncProgress, sync_calls

    with odd_rows_last():
        async with shell.client() as telepath:
            with resume_hint(lambda: _SYNC_GOES_ON), shell.bar("sync", "calls", telepath) as bar:
                suggested = since is not None

                def show(progress: SyncProgress) -> None:
                    nonlocal suggested
                    bar.show(progress.rows, progress.total)
                    one_by_one = progress.total is None and progress.watermark is None
                    if one_by_one and not suggested and progress.rows >= _LONG_HISTORY:
                        suggested = True
                        echo(_SYNC_SINCE)

                report = await sync_calls(
                    telepath,
                    url,
                    account=account,
                    since=since,
                    until=until,
                    lookback=lookback,
                    trunk_id=trunk_id,
                    on_progress=show,
                )
        fields = {
            "inserted": report.inserted,
            "updated": report.updated,
            "unchanged": report.unchanged,
            "pages": report.pages,
            "seconds": report.seconds,
            "complete up to (UTC)": report.watermark,
        }
        shell.show(report, fields.items())
    return _verdict(report, "the next run goes back to them")


_LONG_HISTORY: Final = 10_000
_SYNC_SINCE: Final = (
    "each page has to wait for the one before it; with --since, a first sync reads several ranges "
    "of time at once"
)
_SYNC_GOES_ON: Final = (
    "what was committed stays; run the same command again, and it goes on from there"
)


@command(
    group,
    "export",
    examples=[
        "telepath calls export calls.parquet --since 7d",
        "telepath calls export november.csv --since 2026-11-01",
    ],
)
async def export(
    shell: Shell,
    path: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Its ending sets the format, or --format does.",
            callback=named_file("name a file, or print the calls by telepath calls list --json"),
        ),
    ],
    *,
    format: Annotated[  # noqa: A002
        Literal["parquet", "csv", "ndjson"] | None, typer.Option(help="What the file is to hold.")
    ] = None,
    since: Since = None,
    until: Until = None,
    trunk_id: TrunkId = None,
    status: Status = None,
    direction: Direction = None,
    bom: Annotated[
        bool, typer.Option("--bom", help="Mark a CSV as UTF-8, so that Excel shows its letters.")
    ] = False,
) -> int:
    """Write calls to a file: Parquet, CSV or NDJSON.

    The file is there when it is whole, and not before.
    """
    from telepath_async.export import ExportProgress, export_calls

    warn_of_unknown("--status", status, CallStatus)
    with odd_rows_last():
        async with shell.client() as telepath:
            with (
                resume_hint(lambda: f"{path} was not touched; run the same command again"),
                shell.bar("export", "calls", telepath) as bar,
            ):

                def show(progress: ExportProgress) -> None:
                    bar.show(progress.rows, progress.total)

                report = await export_calls(
                    telepath,
                    path,
                    format=format,
                    since=since,
                    until=until,
                    trunk_id=trunk_id,
                    status=status,
                    direction=direction,
                    bom=bom,
                    on_progress=show,
                )
        fields = {
            "path": str(report.path),
            "rows": report.rows,
            "bytes": report.bytes,
            "seconds": report.seconds,
        }
        shell.show(report, fields.items())
    return _verdict(report, "export again, with --until")


def _verdict(report: SyncReport | ExportReport, remedy: str) -> int:
    return verdict(
        "calls",
        rejected=report.rejected,
        odd=report.odd,
        uncertain=report.uncertain,
        remedy=remedy,
    )
