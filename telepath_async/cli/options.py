"""Define the options that several groups of commands share, and how they read times."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, TypeVar

import typer

from telepath_async import UsageError

from .times import read_moment, read_span

T = TypeVar("T")

_MOMENT: Final = "TIME"


def _moment(text: str) -> datetime:
    return parsed(lambda: read_moment(text, datetime.now(UTC)))


def _span(text: str | timedelta) -> timedelta:
    # Typer parses defaults too.
    return text if isinstance(text, timedelta) else parsed(lambda: read_span(text))


def parsed(parse: Callable[[], T]) -> T:
    """Return what `parse` returns, and its UsageError as one that names the option."""
    try:
        return parse()
    except UsageError as error:
        raise typer.BadParameter(str(error)) from None


def named_file(remedy: str = "name a file") -> Callable[[Any], Any]:
    """Return the check of a file to write to: `-` would not be standard output, as it is elsewhere.

    `remedy`: what to give instead.
    """

    def check(path: Any) -> Any:
        if str(path) == "-":
            raise typer.BadParameter(f"- is not standard output here; {remedy}")
        return path

    return check


def span_option(help_text: str, default: str) -> Any:
    """Return an option that takes a span of time; `default` is as people write it."""
    return typer.Option(
        parser=_span,
        metavar="SPAN",
        help=f"{help_text} 90s, 30m, 24h, 7d. {default} by default.",
        show_default=False,
    )


Since = Annotated[
    datetime | None,
    typer.Option(
        "--since",
        parser=_moment,
        metavar=_MOMENT,
        help="From then on: 2026-11-01, 2026-11-01T12:00:00Z (UTC), or 24h or 7d ago.",
    ),
]
Until = Annotated[
    datetime | None, typer.Option("--until", parser=_moment, metavar=_MOMENT, help="Up to then.")
]
TrunkId = Annotated[str | None, typer.Option("--trunk-id", help="Only this trunk's calls.")]
OpenAIKeyFile = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Read the OpenAI API key from here (- is standard input), not OPENAI_API_KEY.",
    ),
]
ElevenLabsKeyFile = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="The same for ElevenLabs, not ELEVENLABS_API_KEY."),
]
DatabaseUrl = Annotated[
    str | None,
    typer.Argument(
        metavar="DATABASE_URL", help="Instead of TELEPATH_DATABASE_URL.", show_default=False
    ),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show where an error came from.")]
