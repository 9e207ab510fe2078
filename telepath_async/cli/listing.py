"""Print a list: all of it as NDJSON in flat memory, or the beginning of it as a table."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from telepath_async import (
    Call,
    CallStatus,
    Trunk,
    TrunkStatus,
    UsageError,
)

from .exits import OK, PARTLY
from .log import odd_rows_last
from .output import Column, counted, echo, render_rows
from .shell import Shell, resume_hint

if TYPE_CHECKING:
    from telepath_async import Paginator, TelepathClient

T = TypeVar("T", Trunk, Call)

_ROWS_OF_A_TABLE: Final = 50
_PAGES_AHEAD: Final = 8

MaxItems = Annotated[
    int | None,
    typer.Option(
        "--max-items",
        min=0,
        metavar="N",
        help=f"No more than this; a table: {_ROWS_OF_A_TABLE}.",
        show_default=False,
    ),
]
All = Annotated[bool, typer.Option("--all", help="All of them, in a table too.")]
Resume = Annotated[
    str | None,
    typer.Option(
        "--resume",
        metavar="CHECKPOINT",
        help="Go on where an earlier list stopped; it printed the CHECKPOINT.",
    ),
]


def wanted_items(shell: Shell, max_items: int | None, everything: bool) -> int | None:
    """Return how many items to list; None is all. Raises UsageError where both are given."""
    if max_items is not None and everything:
        raise UsageError("give --all or --max-items, and not both")
    return (
        _ROWS_OF_A_TABLE
        if max_items is None and not everything and not shell.as_json
        else max_items
    )


def warn_of_unknown(
    option: str, value: str | None, known: type[CallStatus] | type[TrunkStatus]
) -> None:
    """Warn of a value that no page names: a server may have it, or ignore the filter."""
    values = [str(one.value) for one in known if one.value != "unknown"]
    if value is not None and value not in values:
        echo(f"{option} {value!r} is not one of {', '.join(values)}", kind="warning")


def list_options(shell: Shell, wanted: int | None) -> dict[str, Any]:
    """Return the options for a list that is read to its end, or for a table of its beginning.

    A table asks for one item more, to see whether there is one.
    """
    if wanted is None:
        return {"prefetch": _PAGES_AHEAD}
    return {"prefetch": _PAGES_AHEAD, "max_items": wanted + (not shell.as_json)}


async def print_list(
    shell: Shell,
    telepath: TelepathClient,
    items: Paginator[T],
    columns: Sequence[Column[T]],
    *,
    unit: str,
    wanted: int | None,
) -> int:
    """Print the items; print how to resume when that is cut off, and return the exit code."""
    with odd_rows_last():
        await _print_pages(shell, telepath, items, columns, unit, wanted)
    drift = items.drift
    remedy = "list again, with --until if they are calls"
    return verdict(
        unit, rejected=drift.rejected, odd=drift.odd, uncertain=drift.uncertain, remedy=remedy
    )


async def _print_pages(
    shell: Shell,
    telepath: TelepathClient,
    items: Paginator[T],
    columns: Sequence[Column[T]],
    unit: str,
    wanted: int | None,
) -> None:
    rows: list[T] = []
    done, checkpoint = 0, items.checkpoint
    with resume_hint(lambda: _resume_text(done, unit, checkpoint)):
        # `done` not before they are printed: a resume must not pass over what was not.
        try:
            with shell.bar("list", unit, telepath) as bar:
                async for page in items.pages():
                    if shell.as_json:
                        shell.write(*page.items)
                        done, checkpoint = done + len(page.items), items.checkpoint
                    else:
                        rows += page.items
                    bar.show(done or len(rows), _least(page.total, wanted))
        finally:
            if not shell.as_json:
                render_rows(rows[:wanted], columns, show_secrets=shell.show_secrets)
                done, checkpoint = len(rows), items.checkpoint
    if not (done or wanted == 0):
        echo(f"there are no such {unit}")
    if wanted is not None and len(rows) > wanted:
        echo(f"{wanted:,} {unit} are shown, and there are more: --all, --max-items N, or --json")


def _least(total: int | None, wanted: int | None) -> int | None:
    return min((number for number in (total, wanted) if number is not None), default=None)


def _resume_text(done: int, unit: str, checkpoint: str) -> str:
    where = shlex.quote(checkpoint)
    return f"{_were(done, unit)} printed; the rest follows with --resume {where}"


def verdict(unit: str, *, rejected: int, odd: int, uncertain: int, remedy: str) -> int:
    """Print what is missing of a list, and what is not as it should be; return the exit code.

    `remedy`: what to do where rows may have been missed.
    """
    if odd:
        what = "with a value of another type than its field; it stands in extra"
        echo(f"{counted(odd, unit.removesuffix('s'))} {what}")
    if rejected:
        echo(f"{_were(rejected, unit)} left out: no usable id", kind="warning")
    if uncertain:
        echo(
            f"the list changed while it was read: {uncertain:,} {unit} may be missing; {remedy}",
            kind="warning",
        )
    return PARTLY if rejected or uncertain else OK


def _were(number: int, unit: str) -> str:
    return f"{counted(number, unit.removesuffix('s'))} {'was' if number == 1 else 'were'}"
