"""`telepath calls explain`: who is to blame for slow or failing calls, since when."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final, NamedTuple

import typer

from .credentials import database_url
from .options import DatabaseUrl, parsed
from .output import Column, render, render_rows
from .shell import Shell, command
from .times import read_moment

_PERIOD: Final = "FROM/UNTIL"


class Times(NamedTuple):
    """The two ends of a period."""

    since: datetime
    until: datetime


def _period(text: str) -> Times:
    now = datetime.now(UTC)
    since, separator, until = text.partition("/")
    return parsed(
        lambda: Times(read_moment(since, now), read_moment(until, now) if separator else now)
    )


def add_to(group: typer.Typer) -> None:
    """Add the command to `telepath calls`."""
    command(
        group,
        "explain",
        examples=[
            "telepath calls explain sqlite:///calls.db",
            "telepath calls explain --before 2026-11-20/2026-11-21 --after 24h --json",
        ],
    )(explain_)


async def explain_(
    shell: Shell,
    database: DatabaseUrl = None,
    *,
    before: Annotated[
        Times | None,
        typer.Option(parser=_period, metavar=_PERIOD, help="The period before, in whole hours."),
    ] = None,
    after: Annotated[
        Times | None,
        typer.Option(parser=_period, metavar=_PERIOD, help="The period after: 24h is 24h/0h."),
    ] = None,
    account: Annotated[str | None, typer.Option(help="Only this account's calls.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the resampling.")] = 0,
) -> None:
    """Compare two periods of synced calls, and name who is to blame for what changed.

    Without periods: the change that stands out most in the last 7 days. Latencies are compared by
    their p95; [low, high] is a 95 % interval by bootstrap.
    """
    url = database_url(database)
    from telepath_async.insights import TrunkChange, explain

    found = await explain(url, before=before, after=after, account=account, seed=seed)
    if shell.as_json:
        shell.write(
            {
                "summary": found.summary,
                **{
                    name: getattr(found, name)
                    for name in (
                        "verdict",
                        "before",
                        "after",
                        "measure",
                        "blamed",
                        "changes",
                        "trunks",
                    )
                },
            }
        )
        return
    render(f"{found.summary}", *(f"  {line}" for line in found.evidence))
    columns: list[Column[TrunkChange]] = [
        Column("trunk", lambda line: line.name),
        Column("provider", lambda line: line.provider),
        Column("before", lambda line: line.change.before, "right"),
        Column("after", lambda line: line.change.after, "right"),
        Column("low", lambda line: line.change.low, "right"),
        Column("high", lambda line: line.change.high, "right"),
        Column("certain", lambda line: line.certain),
    ]
    if found.trunks:
        render_rows(found.trunks, columns)
