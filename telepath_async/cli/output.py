"""Print NDJSON for programs, tables for people, and all else as lines on standard error.

What a server sends is text of somebody else's: it reaches the terminal without control characters
and without markup. rich is imported where a table is rendered: NDJSON does without.
"""

from __future__ import annotations

import json
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TextIO, TypeVar

import msgspec
from attrs import frozen

from telepath_async import Secret
from telepath_async.models.plain import plain
from telepath_async.protocol.redaction import sanitize

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

T = TypeVar("T")

NONE: Final = "-"
_WIDEST: Final = 40  # of a column where room is short: one long name would leave no other
_DELETE: Final = b"\x7f"
_NOT_ASCII: Final = re.compile(r"[\x7f-\U0010ffff]")
_encoder: Final = msgspec.json.Encoder()


@frozen
class Column(Generic[T]):
    """A column of a table: its title, and what stands in it for a row.

    Where room is short, the last ones are left out first.
    """

    title: str
    value: Callable[[T], object]
    justify: Literal["left", "right"] = "left"


def write_ndjson(values: Iterable[object], *, show_secrets: bool) -> None:
    """Write a line of JSON for each value to standard output, at once: what was written is out.

    Models keep their field names; times are ISO 8601 in UTC.
    """
    show = Secret.reveal if show_secrets else str
    lines = _encoder.encode_lines([plain(value, show) for value in values])
    with to_standard_output():
        sys.stdout.flush()
        sys.stdout.buffer.write(escaped_json(lines))
        sys.stdout.buffer.flush()


def write_out(text: str) -> None:
    """Write text of our own to standard output, at once."""
    with to_standard_output():
        sys.stdout.write(text)
        sys.stdout.flush()


@contextmanager
def to_standard_output() -> Iterator[None]:
    """Name standard output in the error of a write to it."""
    try:
        yield
    except OSError as error:
        error.add_note("standard output")
        raise


def escaped_json(lines: bytes) -> bytes:
    r"""Return JSON of the same meaning with `\u` escapes for what could drive a terminal.

    JSON itself escapes only the controls below U+0020.
    """
    if lines.isascii() and _DELETE not in lines:
        return lines
    return _NOT_ASCII.sub(_escaped, lines.decode()).encode()


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    return character if character.isprintable() else json.dumps(character)[1:-1]


def json_line(value: object) -> bytes:
    """Return a line of JSON with its secrets in plain text: for a program's standard input."""
    return _encoder.encode(plain(value, Secret.reveal)) + b"\n"


def echo(text: str, *, kind: Literal["error", "warning", "note"] = "note") -> None:
    """Write a line to standard error, with its kind before it."""
    write_text(sys.stderr, f"{kind}: {text}")


def print_traceback(error: BaseException | None) -> None:
    """Print where an error came from on standard error."""
    write_text(sys.stderr, "".join(traceback.format_exception(error)).rstrip("\n"))


def write_text(stream: TextIO, text: str) -> None:
    """Write lines for people, without what could drive their terminal.

    Where nobody can read them (a full disk, a reader that has gone), the command goes on.
    """
    try:
        stream.write("".join(f"{printable(line.expandtabs())}\n" for line in text.split("\n")))
        stream.flush()
    except OSError:
        discard(stream)


def discard(stream: TextIO) -> None:
    """Send what waits in a stream, and all that comes, nowhere: Python flushes it at the end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def counted(number: int, thing: str) -> str:
    """Return `1 trunk`, `2 trunks`, `1,000 trunks`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def console() -> Console:
    """Return rich's console on standard output; it colours nothing by guess."""
    from rich.console import Console

    class Printer(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # rich itself would end the process, by 1

    return Printer(highlight=False, soft_wrap=False, emoji=False, markup=False)


def render(*renderables: RenderableType) -> None:
    """Print tables and other things for people."""
    out = console()
    with to_standard_output():
        for renderable in renderables:
            out.print(renderable)


def render_rows(
    rows: Sequence[T], columns: Sequence[Column[T]], *, show_secrets: bool = False
) -> None:
    """Print a table with as many columns as fit into the terminal; very long values are folded."""
    from rich.measure import Measurement

    out = console()
    unbounded = out.options.update(max_width=10_000)
    shown = list(columns)
    widest: int | None = None
    table = _table(rows, shown, show_secrets, widest)
    while len(shown) > 1 and Measurement.get(out, unbounded, table).maximum > out.width:
        if widest is None:
            widest = _WIDEST
        else:
            shown.pop()
        table = _table(rows, shown, show_secrets, widest)
    with to_standard_output():
        out.print(table)
    if len(shown) < len(columns):
        echo(
            f"columns left out for want of room: {len(columns) - len(shown)}; widen the "
            "terminal, or use --json"
        )


def _table(
    rows: Sequence[T], columns: Sequence[Column[T]], show_secrets: bool, widest: int | None
) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.title, justify=column.justify, overflow="fold", max_width=widest)
    for row in rows:
        table.add_row(*(Text(shown_text(column.value(row), show_secrets)) for column in columns))
    return table


def fields_table(fields: Iterable[tuple[str, object]], *, show_secrets: bool = False) -> Table:
    """Return a table of names and values, for one thing; what is not known is left out."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in fields:
        if value is not None:
            table.add_row(name, Text(shown_text(value, show_secrets)))
    return table


def shown_text(value: Any, show_secrets: bool = False) -> str:
    """Return a value as people read it: times in UTC, no control characters."""
    if value is None:
        return NONE
    if isinstance(value, Secret):
        return printable(value.reveal()) if show_secrets else str(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return _shown_time(value)
    if isinstance(value, int):  # `.1f` makes a float of it, which has bounds
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.1f}".removesuffix(".0")
    if isinstance(value, dict | list | tuple):
        value = plain(value, Secret.reveal if show_secrets else str)
        return printable(_encoder.encode(value).decode())
    return printable(str(value))


def _shown_time(moment: datetime) -> str:
    try:
        return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    except OverflowError:  # of year 1 or 9999, which UTC's calendar cannot hold
        return moment.isoformat(" ", "seconds")


def printable(text: str) -> str:
    """Return text that cannot move the cursor, ring the bell or forge a line."""
    return sanitize(text, "·")
