"""Create trunks from the rows of a file: `telepath trunks create-many`.

Each row has an outcome, and the exit code tells how the whole went.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from telepath_async import Secret, TrunkOutcome

from .exits import FAILED, OK, PARTLY, UNKNOWN, code_of
from .output import Column, counted, draw_rows, tell
from .shell import Shell, going_on
from .spec_file import Row, name_of, read_rows

IfExists: TypeAlias = Literal["fail", "skip"]

_COLUMNS: Final[tuple[Column[dict[str, Any]], ...]] = tuple(
    Column(name, lambda outcome, name=name: outcome[name])  # type: ignore[misc]
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
        tell(f"{name_of(file)}: {counted(len(rows), 'trunk')} could be created; nothing was sent")
        return OK
    outcomes = await _outcomes(shell, rows, if_exists, concurrency)
    states = Counter[str](outcome.state for outcome in outcomes)
    if not shell.as_json:
        left = [_told(rows, outcome) for outcome in outcomes if outcome.error is not None]
        if left:
            draw_rows(sorted(left, key=lambda outcome: outcome["line"]), _COLUMNS)
    tell(
        ", ".join(
            f"{states[state]:,} {state}" for state in ("created", "exists", "failed", "unknown")
        )
    )
    if states["failed"] or states["unknown"]:
        tell(
            "correct the rest and run the same command with --if-exists skip: what exists is "
            "left as it is"
        )
    return _code(outcomes, states)


async def _outcomes(
    shell: Shell, rows: list[Row], if_exists: IfExists, concurrency: int
) -> list[TrunkOutcome]:
    outcomes: list[TrunkOutcome] = []

    def how() -> str:
        return (
            f"{len(outcomes):,} of {len(rows):,} are settled, and up to {concurrency} more "
            "may have been created; run the same command with --if-exists skip to go on"
        )

    async with shell.client() as telepath:
        batch = telepath.trunks.create_many(
            [row.spec for row in rows], concurrency=concurrency, if_exists=if_exists
        )
        with going_on(how, changes=True), shell.bar("create", "trunks", telepath) as bar:
            bar.show(0, len(rows))
            async for outcome in batch:
                outcomes.append(outcome)
                if shell.as_json:
                    shell.write(_told(rows, outcome))
                bar.show(len(outcomes), len(rows))
    return outcomes


def _told(rows: list[Row], outcome: TrunkOutcome) -> dict[str, Any]:
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
