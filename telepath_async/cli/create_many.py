"""Create trunks from the rows of a file: `telepath trunks create-many`.

Each row has an outcome, and the exit code sums them up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from telepath_async import Secret, TrunkOutcome

from .exits import FAILED, OK, PARTLY, UNKNOWN, code_of
from .output import Column, counted, echo, render_rows
from .shell import Shell, resume_hint
from .spec_file import SpecRow, name_of, read_rows

IfExists: TypeAlias = Literal["fail", "skip"]

_COLUMNS: Final[tuple[Column[dict[str, Any]], ...]] = tuple(
    Column(name, lambda row, name=name: row[name])  # type: ignore[misc]
    for name in ("line", "sip_username", "state", "error")
)


async def create_many(
    shell: Shell,
    file: Path,
    keys: Mapping[str, Secret | None],
    *,
    if_exists: IfExists,
    concurrency: int,
    dry_run: bool,
) -> int:
    """Create the trunks, print what became of them, and return the exit code."""
    rows = read_rows(file, keys)
    if dry_run:
        echo(f"{name_of(file)}: {counted(len(rows), 'trunk')} could be created; nothing was sent")
        return OK
    outcomes = await _outcomes(shell, rows, if_exists, concurrency)
    states = Counter[str](outcome.state for outcome in outcomes)
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
