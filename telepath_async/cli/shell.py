"""Define what all commands share: common options, the client, and how a command runs.

A command is a coroutine function whose first parameter is a `Shell`; it returns an exit code, or
None for 0.
"""

from __future__ import annotations

import asyncio
import inspect
import signal
import sys
from collections.abc import Callable, Container, Coroutine, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, Final, ParamSpec, TypeAlias, TypeVar

import typer
from attrs import field, frozen

from .credentials import API_KEY, NUMBERS_API_KEY, read_secret
from .exits import OK, PIPE_CLOSED, SIGNALLED, USAGE, can_resume, code_of, line_of
from .log import echo_warnings
from .output import discard, echo, fields_table, print_traceback, render, write_ndjson, write_out
from .progress import Meter, progress_bar

if TYPE_CHECKING:
    from telepath_async import TelepathClient

P = ParamSpec("P")
T = TypeVar("T")
Command: TypeAlias = Callable[Concatenate["Shell", P], Coroutine[Any, Any, int | None]]

_COMMON: Final = "Common options"


@frozen(kw_only=True)
class Shell:
    """How to reach the API, and how to answer whoever typed the command."""

    api_key_file: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Read the API key from here (- is standard input), not from TELEPATH_API_KEY.",
            rich_help_panel=_COMMON,
        ),
    ] = None
    base_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Instead of TELEPATH_BASE_URL.", rich_help_panel=_COMMON),
    ] = None
    timeout: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            help="For each call of the API, retries included.",
            rich_help_panel=_COMMON,
        ),
    ] = 30.0
    json: Annotated[
        bool | None,
        typer.Option(
            "--json/--table",
            help="NDJSON, or a table; NDJSON when standard output is not a terminal.",
            show_default=False,
            rich_help_panel=_COMMON,
        ),
    ] = None
    show_secrets: Annotated[
        bool,
        typer.Option(
            "--show-secrets",
            help="Print passwords and keys in plain text.",
            rich_help_panel=_COMMON,
        ),
    ] = False
    debug: Annotated[
        bool,
        typer.Option("--debug", help="Show where an error came from.", rich_help_panel=_COMMON),
    ] = False
    meter: Meter = field(factory=Meter, init=False)

    @property
    def as_json(self) -> bool:
        """Whether standard output gets NDJSON."""
        return not sys.stdout.isatty() if self.json is None else self.json

    def client(
        self, *, numbers_base_url: str | None = None, numbers_api_key_file: str | None = None
    ) -> TelepathClient:
        """Return a client for `async with`; ask for the key where it is not given.

        Raises UsageError.
        """
        from telepath_async import TelepathClient

        return TelepathClient(
            read_secret(API_KEY, self.api_key_file),
            base_url=self.base_url,
            timeout=self.timeout,
            numbers_base_url=numbers_base_url,
            numbers_api_key=read_secret(NUMBERS_API_KEY, numbers_api_key_file)
            if numbers_base_url
            else None,
            on_event=self.meter,
        )

    def write(self, *values: object) -> None:
        """Write values as NDJSON."""
        write_ndjson(values, show_secrets=self.show_secrets)

    def show(self, value: object, fields: Iterable[tuple[str, object]]) -> None:
        """Write one value as NDJSON, or its fields as a table for people."""
        if self.as_json:
            self.write(value)
        else:
            render(fields_table(fields, show_secrets=self.show_secrets))

    def bar(self, title: str, unit: str, telepath: TelepathClient | None) -> Any:
        """Return a progress bar for `with`."""
        return progress_bar(
            title, unit, meter=self.meter, telepath=telepath, lines_on_terminal=self.as_json
        )


_SHARED: Final = [
    parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
    for parameter in inspect.signature(Shell, eval_str=True).parameters.values()
]
_NAMES: Final = frozenset(parameter.name for parameter in _SHARED)


def command(
    group: typer.Typer, name: str, *, examples: Iterable[str], options: Container[str] = _NAMES
) -> Callable[[Command[P]], Command[P]]:
    """Add a coroutine function to a group as a command with examples.

    `options`: which of the common options it has.
    """
    shared = [parameter for parameter in _SHARED if parameter.name in options]

    def add(function: Command[P]) -> Command[P]:
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]

        def invoke(**values: Any) -> int:
            shell = Shell(**{parameter.name: values.pop(parameter.name) for parameter in shared})
            return run(function(shell, **values), debug=shell.debug)  # type: ignore[call-arg]

        invoke.__doc__ = function.__doc__
        invoke.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]
        group.command(name, epilog=example_text(examples))(invoke)
        return function

    return add


def example_text(examples: Iterable[str]) -> str:
    """Return the end of a help text."""
    return help_lines("Examples:", examples)


def help_lines(title: str, lines: Iterable[str]) -> str:
    """Return a paragraph of a help text whose lines stay lines."""
    return "\n".join(["\b", title, *(f"  {line}" for line in lines)])


def run(work: Coroutine[Any, Any, int | None], *, debug: bool, logs_itself: bool = False) -> int:
    """Run a command to its end and return its exit code.

    SIGINT and SIGTERM cancel it; a second one ends it at once. `logs_itself`: it writes the log of
    the jobs where it belongs.
    """
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison]  # `>&-`
        work.close()
        echo("standard output is closed; send it to a file, or to /dev/null", kind="error")
        return USAGE
    signals: list[int] = []
    with nullcontext() if logs_itself else echo_warnings(debug=debug):
        try:
            code = asyncio.run(_cancelled_by_signals(work, signals))
            write_out("")
        except asyncio.CancelledError:
            return SIGNALLED + signals[0]
        except BrokenPipeError:
            return pipe_closed()
        except Exception as error:  # noqa: BLE001  # whatever it is, a person reads it
            if debug:
                print_traceback(error)
            echo(line_of(error), kind="error")
            return code_of(error)
    return OK if code is None else code


async def _cancelled_by_signals(
    work: Coroutine[Any, Any, int | None], signals: list[int]
) -> int | None:
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None

    def stop(number: int, frame: object) -> None:
        if signals:
            raise KeyboardInterrupt
        signals.append(number)
        loop.call_soon_threadsafe(task.cancel)

    before = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
    for number, _ in before:
        # Else a signal just before the loop goes to sleep is not seen until it wakes.
        loop.add_signal_handler(number, _wake)
        # At once, where the loop's own would wait for a write to a pipe that nobody reads.
        signal.signal(number, stop)
    try:
        return await work
    finally:
        for number, handler in before:
            loop.remove_signal_handler(number)
            signal.signal(number, handler)


def _wake() -> None:
    pass


def pipe_closed() -> int:
    """End without a message because the reader of standard output has gone (`| head`)."""
    discard(sys.stdout)
    return PIPE_CLOSED


@contextmanager
def unprinted(what: str, where: str) -> Iterator[None]:
    """Warn of a change that was made, and `where` it stands, when `what` cannot be printed."""
    try:
        yield
    except Exception:
        echo(f"{what} could not be printed; {where}", kind="warning")
        raise


@contextmanager
def resume_hint(hint: Callable[[], str], *, changes: bool = False) -> Iterator[None]:
    """Print how to resume when the block is interrupted, or fails."""
    try:
        yield
    except BrokenPipeError:  # the reader has what it wants
        if changes:
            echo(hint())
        raise
    except (asyncio.CancelledError, Exception) as error:
        if can_resume(error):
            echo(hint())
        raise
