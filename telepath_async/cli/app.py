"""The command as a whole: its groups, and what it does with options that make no sense."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Annotated, Final

import typer

from telepath_async.version import __version__

from . import (
    analytics,
    calls,
    create_many,
    dashboard,
    explain,
    jobs,
    numbers,
    rotation,
    sandbox,
    trunks,
    worker,
)
from .exits import FAILED, INTERRUPTED, MEANINGS, USAGE
from .output import echo
from .shell import example_text, help_lines, pipe_closed

_ROOM_FOR_TABLES: Final = 100  # in less, rich cuts the names of options

app: Final = typer.Typer(
    name="telepath",
    help="The Telepath Voice API from a shell: tables for people, NDJSON when piped. Set "
    "TELEPATH_API_KEY.",
    epilog="\n\n".join(
        [
            example_text(
                [
                    "export TELEPATH_API_KEY=$(pass show telepath)",
                    "telepath calls list --since 24h | head",
                ]
            ),
            help_lines(
                "Exit codes:", (f"{code:<4}{meaning}" for code, meaning in MEANINGS.items())
            ),
        ]
    ),
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,  # rich's tracebacks show locals, and these hold keys
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"telepath-async {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Print the version, and exit."
        ),
    ] = False,
) -> None:
    pass


rotation.add_to(trunks.group)
create_many.add_to(trunks.group)
app.add_typer(trunks.group, name="trunks")
explain.add_to(calls.group)
app.add_typer(calls.group, name="calls")
app.add_typer(analytics.group, name="analytics")
app.add_typer(numbers.group, name="numbers")
app.add_typer(jobs.group, name="jobs")
app.add_typer(worker.group, name="worker")
dashboard.add_to(app)
sandbox.add_to(app)


def run(arguments: Sequence[str] | None) -> int:
    """Run the command and return its exit code."""
    if isinstance(sys.stdout, TextIOWrapper):  # a terminal without UTF-8 loses no table
        sys.stdout.reconfigure(errors="backslashreplace")
    has_room = shutil.get_terminal_size().columns >= _ROOM_FOR_TABLES
    app.rich_markup_mode = "rich" if has_room else None
    try:
        code = _invoke(arguments)
        if sys.stdout is not None:  # pyright: ignore[reportUnnecessaryComparison]  # `>&-`
            sys.stdout.flush()
    except typer.TyperException as error:
        echo(_refusal(error), kind="error")
        return USAGE
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        return pipe_closed()
    except ModuleNotFoundError as error:  # of an extra, which its message names
        echo(str(error), kind="error")
        return USAGE
    except OSError as error:
        pipe_closed()
        echo(f"standard output: {error.strerror}", kind="error")
        return FAILED
    return code or 0


def _invoke(arguments: Sequence[str] | None) -> int | None:
    """Run the command; of a group alone, show the help."""
    try:
        code: int | None = app(args=arguments, prog_name="telepath", standalone_mode=False)
    except typer.TyperException as error:
        if type(error).__name__ != "NoArgsIsHelpError":  # typer does not export it
            raise
        typer.echo(error.format_message())  # empty where rich has printed it
        return USAGE
    return code


def _refusal(error: typer.TyperException) -> str:
    """Return what is wrong with the arguments.

    Those that nobody expected may be secrets, and are not shown.
    """
    context = getattr(error, "ctx", None)
    message = error.format_message().removesuffix(".")
    if message.startswith("Got unexpected extra argument"):
        message = "more arguments than this command takes"
    return f"{message}; see {context.command_path} --help" if context is not None else message
