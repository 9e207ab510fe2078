"""`TELEPATH_LOG`: the events of every client, in the log of `telepath_async`."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Final

import attrs

from .errors import UsageError
from .events import CallEnded, Event, RetryScheduled, Throttled

_LEVELS: Final = {"info": logging.INFO, "debug": logging.DEBUG}
_AT_INFO: Final = (CallEnded, RetryScheduled, Throttled)
_log: Final = logging.getLogger("telepath_async")


def logged(on_event: Callable[[Event], object] | None) -> Callable[[Event], object] | None:
    """Return a listener that logs every event, then calls `on_event`; without TELEPATH_LOG, that.

    At `info`: how calls ended, and what they waited for; at `debug`: each attempt too. The log goes
    to standard error where the program has set up no logging.

    Raises UsageError when TELEPATH_LOG is neither.
    """
    wanted = os.environ.get("TELEPATH_LOG", "").lower()
    if not wanted:
        return on_event
    if wanted not in _LEVELS:
        raise UsageError(f"TELEPATH_LOG must be info or debug, not {wanted[:40]!r}")
    logging.basicConfig(format="%(asctime)s %(name)s %(message)s")
    _log.setLevel(_LEVELS[wanted])

    def listener(event: Event) -> None:
        level = logging.INFO if isinstance(event, _AT_INFO) else logging.DEBUG
        if _log.isEnabledFor(level):
            _log.log(level, "%s", _line(event))
        if on_event is not None:
            on_event(event)

    return listener


def _line(event: Event) -> str:
    values = attrs.asdict(event, recurse=False).items()
    details = (
        f"{name}={value:.3f}" if name == "seconds" else f"{name}={value}" for name, value in values
    )
    return " ".join([type(event).__name__, *details])
