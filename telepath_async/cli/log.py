"""Print what the SDK logs as the command's own lines: at once, or as its last ones."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from .output import echo, print_traceback

_MOST_PAGES: Final = 10


class _WarningEcho(logging.Handler):
    def __init__(self, *, debug: bool) -> None:
        super().__init__(logging.WARNING)
        self._debug = debug

    def emit(self, record: logging.LogRecord) -> None:
        """Print a warning like one of our own."""
        if self._debug and record.exc_info:
            print_traceback(record.exc_info[1])
        echo(record.getMessage(), kind="warning")


@contextmanager
def echo_warnings(*, debug: bool) -> Iterator[None]:
    """Print the SDK's warnings while the block runs."""
    logger, handler = logging.getLogger("telepath_async"), _WarningEcho(debug=debug)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


@contextmanager
def odd_rows_last() -> Iterator[None]:
    """Warn of odd rows when the block has ended, however it does: after a table, and not at length.

    There is one warning for each page that has some.
    """
    logger, pages = logging.getLogger("telepath_async.lists"), _Pages()
    logger.addFilter(pages)
    try:
        yield
    finally:
        logger.removeFilter(pages)
        for line in pages.first:
            echo(line, kind="warning")
        if pages.others:
            echo(f"{pages.others:,} more pages have such rows")


class _Pages(logging.Filter):
    def __init__(self) -> None:
        super().__init__()
        self.first: list[str] = []
        self.others = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep a warning for later."""
        if len(self.first) < _MOST_PAGES:
            self.first.append(record.getMessage())
        else:
            self.others += 1
        return False
