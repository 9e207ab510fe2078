"""`telepath trunks create-many`: create a trunk for each row of a file.

Each row has an outcome, and the exit code sums them up.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

import typer

from telepath_async import Secret, TrunkOutcome

from .credentials import ELEVENLABS_API_KEY, OPENAI_API_KEY, given_secret
from .exits import FAILED, OK, PARTLY, UNKNOWN, code_of
from .options import ElevenLabsKeyFile, OpenAIKeyFile
from .output import Column, counted, echo, render_rows
from .shell import Shell, command, resume_hint
from .spec_file import SpecRow, name_of, read_rows

IfExists: TypeAlias = Literal["fail", "skip"]

_COLUMNS: Final[tuple[Column[dict[str, Any]], ...]] = tuple(
    Column(name, lambda row, name=name: row[name])  # type: ignore[misc]
    for name in ("line", "sip_username", "state", "error")
)


def add_to(group: typer.Typer) -> None:
    """Add the command to `telepath trunks`."""
    command(
        group,
        "create-many",
        examples=[
            "telepath trunks create-many customers.csv --dry-run",
            "telepath trunks create-many customers.yaml --if-exists skip --json > outcomes.ndjson",
            "psql -c 'COPY (SELECT …) TO STDOUT CSV HEADER' | telepath trunks create-many -",
        ],
    )(create_many)


async def create_many(
    shell: Shell,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help=".csv, .json (an array, or a trunk a line) or .yaml; - is standard input.",
        ),
    ],
    *,
    if_exists: Annotated[
        IfExists, typer.Option(help="What to do when a username is taken.")
    ] = "fail",
    concurrency: Annotated[
        int, typer.Option(min=1, metavar="N", help="Creates under way at once.")
    ] = 20,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the file, and send nothing.")
    ] = False,
    openai_api_key_file: OpenAIKeyFile = None,
    elevenlabs_api_key_file: ElevenLabsKeyFile = None,
) -> int:
    """Create a trunk for each row of a file.

    Its columns are name, ai_provider, sip_username, sip_password, and what the provider needs. All
    rows are checked before anything is sent. A row without a provider's key takes the one from the
    file or the environment: OPENAI_API_KEY, ELEVENLABS_API_KEY.
    """
    keys: dict[str, Secret | None] = {
        "openai": given_secret(OPENAI_API_KEY, openai_api_key_file),
        "elevenlabs": given_secret(ELEVENLABS_API_KEY, elevenlabs_api_key_file),
    }
    rows = read_rows(file, keys)
    if dry_run:
        echo(f"{name_of(file)}: {counted(len(rows), 'trunk')} could be created; nothing was sent")
        return OK
    outcomes = await _outcomes(shell, rows, if_exists, concurrency)
    states = Counter[str](outcome.state for outcome in outcomes)
    _report(shell, rows, outcomes, states)
    return _code(outcomes, states)


async def _outcomes(
    shell: Shell, rows: list[SpecRow], if_exists: IfExists, concurrency: int
) -> list[TrunkOutcome]:
    outcomes: list[TrunkOutcome] = []

    def hint() -> str:
        return (
            f"{len(outcomes):,} of {len(rows):,} are done, and up to {concurrency} more "
            "may have been created; run the same command with --if-exists skip to go on"
        )

    async with shell.client() as telepath:
        batch = telepath.trunks.create_many(
            [row.spec for row in rows], concurrency=concurrency, if_exists=if_exists
        )
        with resume_hint(hint, changes=True), shell.bar("create", "trunks", telepath) as bar:
            bar.show(0, len(rows))
            async for outcome in batch:
                outcomes.append(outcome)
                if shell.as_json:
                    shell.write(_to_row(rows, outcome))
                bar.show(len(outcomes), len(rows))
    return outcomes


def _report(
    shell: Shell, rows: list[SpecRow], outcomes: list[TrunkOutcome], states: Counter[str]
) -> None:
    if not shell.as_json:
        failures = [_to_row(rows, outcome) for outcome in outcomes if outcome.error is not None]
        if failures:
            render_rows(sorted(failures, key=lambda row: row["line"]), _COLUMNS)
    echo(
        ", ".join(
            f"{states[state]:,} {state}" for state in ("created", "exists", "failed", "unknown")
        )
    )
    if states["failed"] or states["unknown"]:
        echo(
            "correct the rest and run the same command with --if-exists skip: what exists is "
            "left as it is"
        )


def _to_row(rows: list[SpecRow], outcome: TrunkOutcome) -> dict[str, Any]:
    return {
        "line": rows[outcome.index].line,
        "sip_username": outcome.spec.sip_username,
        "state": outcome.state,
        "trunk": outcome.trunk,
        "error": None if outcome.error is None else str(outcome.error),
    }


def _code(outcomes: list[TrunkOutcome], states: Counter[str]) -> int:
    if states["unknown"]:
        return UNKNOWN
    if not states["failed"]:
        return OK
    codes = {
        code_of(outcome.error) if outcome.error else FAILED
        for outcome in outcomes
        if outcome.state == "failed"
    }
    return codes.pop() if states["failed"] == len(outcomes) and len(codes) == 1 else PARTLY
