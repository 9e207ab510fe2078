"""Progress on standard error: a bar with the rate, the share of the rate limit, and the time left.

None without a terminal.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from attrs import define, field

from telepath_async import Event, RequestStarted

if TYPE_CHECKING:
    from telepath_async import TelepathClient

_DEFAULT_LIMIT: Final = 6_000


@define
class Meter:
    """Count the requests, for the share of the limit that they take."""

    began: float = field(factory=time.monotonic)
    requests: int = 0

    def __call__(self, event: Event) -> None:
        self.requests += isinstance(event, RequestStarted)

    def share(self, telepath: TelepathClient | None) -> float:
        """Return the requests per minute so far as a share of what the key may send."""
        seen = telepath.rate_limit if telepath else None
        limit = (seen and seen.limit) or _DEFAULT_LIMIT
        minutes = max(time.monotonic() - self.began, 1.0) / 60
        return self.requests / minutes / limit


class Bar:
    """A progress bar that shows nothing, without a terminal."""

    def show(self, done: int, total: int | None = None) -> None:
        """Show how far it is; `total` None: unknown."""


class _VisibleBar(Bar):
    def __init__(
        self, title: str, unit: str, meter: Meter, telepath: TelepathClient | None
    ) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._unit = unit
        self._meter = meter
        self._telepath = telepath
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=16),
            TextColumn("{task.fields[status]}", markup=False),
            TimeRemainingColumn(compact=True),
            console=Console(stderr=True, highlight=False),
            transient=True,
            redirect_stdout=False,  # it may be a file
        )
        self._began = time.monotonic()
        self._task = self.progress.add_task(title, total=None, status="")
        self.show(0)

    def show(self, done: int, total: int | None = None) -> None:
        seconds = max(time.monotonic() - self._began, 0.1)
        of = "" if total is None else f"/{total:,}"
        status = (
            f"{done:,}{of} {self._unit} {done / seconds:,.0f}/s "
            f"{self._meter.share(self._telepath):.0%} of limit"
        )
        self.progress.update(self._task, completed=done, total=total, status=status)


@contextmanager
def progress_bar(
    title: str,
    unit: str,
    *,
    meter: Meter,
    telepath: TelepathClient | None,
    lines_on_terminal: bool = False,
) -> Iterator[Bar]:
    """Show a bar while the block runs.

    `lines_on_terminal`: the block prints where the bar would stand.
    """
    if not sys.stderr.isatty() or (lines_on_terminal and sys.stdout.isatty()):
        yield Bar()
        return
    bar = _VisibleBar(title, unit, meter, telepath)
    with bar.progress:
        yield bar
