"""What is still to be reported to Redis: kept until a request that carried it was acknowledged."""

from __future__ import annotations

from datetime import UTC, datetime
from math import inf
from typing import Final

from attrs import define, evolve, frozen

from telepath_async import RateLimit

from .messages import ApiWindow

_NEVER: Final = datetime.min.replace(tzinfo=UTC)


@frozen
class Report:
    """What was learned: the API's window, a new limit; `urgent`: the others must know at once."""

    window: RateLimit | None = None
    new_limit: bool = False
    urgent: bool = False

    def __or__(self, other: Report) -> Report:
        return Report(
            strictest(self.window, other.window),
            self.new_limit or other.new_limit,
            self.urgent or other.urgent,
        )


@define
class Reports:
    """The pending report, and the one that the last request carried.

    `strictest`, `window_ends`: the least that the API gave for its present window.
    """

    pending: Report = Report()
    in_flight: Report = Report()
    strictest: RateLimit | None = None
    window_ends: float = -inf

    def add(self, report: Report) -> None:
        """Add to the pending report."""
        self.pending |= report

    def send(self) -> Report:
        """Return the pending report, which a request carries now."""
        self.in_flight, self.pending = self.pending, Report()
        return self.in_flight

    def requeue(self) -> None:
        """Report again what the last request carried: it was not acknowledged."""
        self.pending |= self.in_flight

    def learn(self, seen: RateLimit, resets_in: float, now: float) -> bool:
        """Note the API's figures for its window; return whether it is the strictest so far."""
        known = None if self.window_ends <= now else self.strictest
        self.strictest = strictest(seen, known)
        is_strictest = self.strictest is seen
        if is_strictest:
            self.window_ends = now + resets_in
        self.pending = evolve(self.pending, window=self.strictest)
        return is_strictest

    def api_window(self, report: Report, now: float) -> ApiWindow | None:
        """Return a report's window, if it has not ended."""
        window = report.window
        if window is None or self.window_ends <= now:
            return None
        assert window.remaining is not None
        assert window.reset_at is not None
        return ApiWindow(
            remaining=window.remaining,
            reset=window.reset_at.timestamp(),
            resets_in=self.window_ends - now,
        )


def strictest(*seen: RateLimit | None) -> RateLimit | None:
    """Return which of several answers counts: of the latest window, the one with the least left."""
    return max(
        (answer for answer in seen if answer is not None),
        key=lambda answer: (answer.reset_at or _NEVER, -(answer.remaining or 0)),
        default=None,
    )
