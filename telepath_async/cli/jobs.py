"""`telepath jobs`: rotate."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from telepath_async import SipCredentials, Trunk, UsageError

from .exits import OK, PARTLY
from .hooks import check_hook, run_hook
from .options import named_file, span_option
from .output import Column, counted, echo, json_line, render_rows
from .shell import Shell, command, resume_hint

if TYPE_CHECKING:
    from telepath_async import TelepathClient
    from telepath_async.jobs import RotationReport, UnrotatedTrunk

group: Final = typer.Typer(
    help="Jobs that can be killed at any moment, and run again.", no_args_is_help=True
)

_RESUME: Final = (
    "the journal knows what was begun: run the same command again, and it is finished first"
)
_MOST_UNTOUCHED: Final = 10
_COLUMNS: Final[tuple[Column[UnrotatedTrunk], ...]] = (
    Column("trunk", lambda trunk: trunk.trunk_id),
    Column("why", lambda trunk: trunk.why),
    Column("SIP username", lambda trunk: trunk.sip_username),
)


@group.callback()
def _group() -> None:
    pass


@command(
    group,
    "rotate",
    examples=[
        "telepath jobs rotate --all --journal rotation.ndjson --apply ./tell-carrier",
        "telepath jobs rotate conn_abc123 --journal rotation.ndjson --apply 'ssh pbx "
        "set-sip-password'",
    ],
)
async def rotate(
    shell: Shell,
    trunk_ids: Annotated[
        list[str] | None, typer.Argument(metavar="TRUNK_ID", show_default=False)
    ] = None,
    *,
    journal: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="Keeps what is not finished, for you alone; one per account.",
            callback=named_file(),
        ),
    ],
    apply: Annotated[
        str,
        typer.Option(
            metavar="CMD",
            help="Run for each trunk, with id, sip_username and the new sip_password as a JSON "
            "line on its standard input. Exit code 0: the carrier has it.",
        ),
    ],
    everything: Annotated[bool, typer.Option("--all", help="All trunks of the account.")] = False,
    finish: Annotated[
        bool, typer.Option("--finish", help="Begin nothing: only finish what the journal holds.")
    ] = False,
    concurrency: Annotated[
        int, typer.Option(min=1, metavar="N", help="Trunks under way at once.")
    ] = 2,
    stop_after: Annotated[
        int, typer.Option(min=1, metavar="N", help="Begin no more after N failures.")
    ] = 3,
    attempts: Annotated[
        int, typer.Option(min=1, metavar="N", help="Of --apply, for each trunk.")
    ] = 4,
    apply_timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="For each run of --apply.")
    ] = 30.0,
    not_again_within: Annotated[
        timedelta, span_option("Leave alone what was rotated so recently:", "1h")
    ] = timedelta(hours=1),
) -> int:
    """Rotate the SIP passwords of trunks, and have their carriers take the new ones.

    Each new password is in the journal before the carrier gets it. When carriers fail, no more
    trunks are begun.
    """
    if bool(trunk_ids) + everything + finish != 1:
        raise UsageError(
            "say which trunks: their ids, or --all, or --finish for those that the journal holds"
        )
    check_hook("--apply", apply)
    from telepath_async.jobs import rotate_passwords

    async with shell.client() as telepath:
        trunks, uncertain = await _trunks(telepath, trunk_ids or [], everything)
        applied: set[str | None] = set()
        with (
            resume_hint(lambda: _RESUME, changes=True),
            shell.bar("rotate", "trunks", telepath) as bar,
        ):
            bar.show(0, len(trunks) or None)

            async def tell_carrier(credentials: SipCredentials) -> None:
                await run_hook(apply, json_line(credentials))
                applied.add(credentials.id)
                bar.show(len(applied), len(trunks) or None)

            report = await rotate_passwords(
                telepath,
                trunks,
                tell_carrier,
                journal,
                concurrency=concurrency,
                stop_after=stop_after,
                attempts=attempts,
                apply_timeout=apply_timeout,
                not_again_within=not_again_within,
            )
    return _report(shell, report, uncertain)


async def _trunks(
    telepath: TelepathClient, trunk_ids: list[str], everything: bool
) -> tuple[list[Trunk | str], int]:
    if not everything:
        return [*trunk_ids], 0
    listed = telepath.trunks.list()
    return [*await listed.collect()], listed.drift.uncertain


def _report(shell: Shell, report: RotationReport, uncertain: int) -> int:
    if shell.as_json:
        shell.write(report)
    elif not report.complete:
        render_rows([*report.pending, *report.untouched[:_MOST_UNTOUCHED]], _COLUMNS)
    echo(
        f"{len(report.rotated):,} rotated, {len(report.applied):,} taken by their carriers, "
        f"{len(report.recent):,} left alone because they were rotated recently, "
        f"{len(report.untouched):,} untouched"
    )
    if report.pending:
        echo(
            f"{counted(len(report.pending), 'carrier')} may hold a dead password; {_RESUME}",
            kind="warning",
        )
    if uncertain:
        echo(
            f"the list changed while it was read: {counted(uncertain, 'trunk')} may be missing; "
            "run again",
            kind="warning",
        )
    return OK if report.complete and not uncertain else PARTLY
