"""From cells to the figures on the page. Pure: the present is handed in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Final, TypeAlias

from attrs import evolve, field, frozen

from telepath_async.insights.cells import Cell, Cells, Filter, chosen

from .latencies import Parts, above, count, largest, mean, merged, nearest_ranks

Json: TypeAlias = dict[str, Any]

SUCCESSES: Final = ("connected", "completed")
FAILED: Final = "failed"
FEW: Final = 20  # a percentile of fewer calls means little, and is drawn thin
_MOST_STEPS: Final = 200
_STEPS: Final = (1, 2, 3, 4, 6, 8, 12, 24)
_CHART_PERCENTS: Final = (50, 95, 99)


@frozen(kw_only=True)
class Limits:
    """Latencies in ms above which an answer is called slow."""

    ai_ms: float = 400.0
    carrier_ms: float = 150.0


@frozen
class Span:
    """Whole hours since 1970, from `first` to `last`; `running`: the one that has not ended."""

    first: int
    last: int
    running: int

    @property
    def hours(self) -> range:
        return range(self.first, self.last + 1)

    @property
    def closed(self) -> range:
        """The hours that have ended."""
        return range(self.first, min(self.last + 1, self.running))

    @property
    def before(self) -> range:
        """As many hours as are closed, before the first."""
        return range(self.first - len(self.closed), self.first)

    @property
    def step(self) -> int:
        """How many hours stand in one bar."""
        fitting = (step for step in _STEPS if len(self.hours) <= step * _MOST_STEPS)
        return next(fitting, _STEPS[-1])

    @property
    def bars(self) -> list[range]:
        """The hours of each bar; bars of a day begin at midnight UTC."""
        step = self.step
        begins = range(self.first - self.first % step, self.last + 1, step)
        return [range(max(begin, self.first), min(begin + step, self.last + 1)) for begin in begins]


@frozen
class Sums:
    """The figures of some calls: their statuses, and the values of each latency."""

    statuses: Counter[str] = field(factory=Counter)
    carrier: Parts = field(factory=list)
    ai: Parts = field(factory=list)
    gateway: Parts = field(factory=list)

    @classmethod
    def of(cls, cells: Iterable[Cell]) -> Sums:
        """Count the calls of cells."""
        sums = cls()
        for cell in cells:
            sums.statuses.update(cell.statuses)
            for parts, values in zip(sums.parts, cell.latencies, strict=True):
                if values:
                    parts.append(values)
        return sums

    @property
    def parts(self) -> tuple[Parts, Parts, Parts]:
        """The latencies, in the order of a cell's."""
        return self.carrier, self.ai, self.gateway

    def merged(self) -> Sums:
        """Return the same with each latency that has percentiles in one part."""
        return evolve(self, carrier=merged(self.carrier), ai=merged(self.ai))

    def update(self, other: Sums) -> None:
        """Count the calls of others too."""
        self.statuses.update(other.statuses)
        for parts, more in zip(self.parts, other.parts, strict=True):
            parts.extend(more)

    @property
    def calls(self) -> int:
        return self.statuses.total()

    def percent(self, *statuses: str) -> float | None:
        """Return the share of calls with one of these statuses, in percent."""
        if not self.calls:
            return None
        return 100 * sum(self.statuses[status] for status in statuses) / self.calls


def total(parts: Iterable[Sums]) -> Sums:
    """Add sums up."""
    sums = Sums()
    for part in parts:
        sums.update(part)
    return sums


def by_hour(hours: Mapping[int, Cells], span: Iterable[int], wanted: Filter) -> dict[int, Sums]:
    """Return the sums of each hour that has calls."""
    found: dict[int, list[Cell]] = {}
    for hour, _, cell in chosen(hours, span, wanted):
        found.setdefault(hour, []).append(cell)
    return {hour: Sums.of(cells).merged() for hour, cells in found.items()}


def tiles(sums: Mapping[int, Sums], span: Span, limits: Limits, *, comparable: bool) -> Json:
    """Return the figures on top, each with its change over whole hours.

    `comparable`: whether the hours before are synced too.
    """
    now, after, before = (
        total(sums[hour] for hour in hours if hour in sums)
        for hours in (span.hours, span.closed, span.before)
    )
    known = comparable and bool(before.calls) and bool(after.calls)
    changes = _changes(_tile(after, limits), _tile(before, limits)) if known else {}
    return {
        name: {"value": value, "change": changes.get(name), "calls": now.calls}
        for name, value in _tile(now, limits).items()
    }


def _tile(sums: Sums, limits: Limits) -> dict[str, float | None]:
    p50, p95 = nearest_ranks(sums.ai, (50, 95))
    return {
        "calls": sums.calls,
        "success_percent": sums.percent(*SUCCESSES),
        "ai_p50_ms": p50,
        "ai_p95_ms": p95,
        "carrier_p95_ms": nearest_ranks(sums.carrier, (95,))[0],
        "above_limit": above(sums.ai, limits.ai_ms),
    }


def _changes(
    after: Mapping[str, float | None], before: Mapping[str, float | None]
) -> dict[str, float | None]:
    pairs = ((name, value, before[name]) for name, value in after.items())
    return {
        name: None if value is None or old is None else value - old for name, value, old in pairs
    }


def series(sums: Mapping[int, Sums], span: Span, limits: Limits) -> Json:
    """Return what the charts draw, a bar or a point for each step; empty ones are None."""
    bars = [total(sums[hour] for hour in bar if hour in sums) for bar in span.bars]
    carrier, ai, gateway = (
        [mean(parts) for parts in latency]
        for latency in zip(*(bar.parts for bar in bars), strict=True)
    )
    statuses = sorted(set(chain.from_iterable(bar.statuses for bar in bars)), key=_status_order)
    return {
        "times": [bar[0] * 3600 for bar in span.bars],
        "ends": [(bar[-1] + 1) * 3600 for bar in span.bars],
        "step_hours": span.step,
        "statuses": {status: [bar.statuses[status] for bar in bars] for status in statuses},
        "ai": _percentiles([bar.ai for bar in bars], ai, limits.ai_ms),
        "carrier": _percentiles([bar.carrier for bar in bars], carrier, limits.carrier_ms),
        "parts": {"carrier": carrier, "ai": ai, "gateway": gateway},
    }


def _status_order(status: str) -> tuple[int, str]:
    known = (*SUCCESSES, "disconnected", FAILED)
    return (known.index(status) if status in known else len(known), status)


def _percentiles(bars: Sequence[Parts], means: Sequence[float | None], limit_ms: float) -> Json:
    """Return percentiles of each bar, of how many calls, and where an alert would have fired."""
    ranks = [nearest_ranks(bar, _CHART_PERCENTS) for bar in bars]
    return {
        "calls": [count(bar) for bar in bars],
        **{f"p{percent}": [rank[i] for rank in ranks] for i, percent in enumerate(_CHART_PERCENTS)},
        "limit": limit_ms,
        "alerts": [
            average is not None and average > limit_ms and count(bar) >= FEW
            for average, bar in zip(means, bars, strict=True)
        ],
    }


def groups(
    hours: Mapping[int, Cells], span: Span, wanted: Filter, limits: Limits, *, by_trunk: bool
) -> list[Json]:
    """Return a line for each trunk (else: account) with its figures, the worst first."""
    found: dict[tuple[str, str], list[Cell]] = {}
    for _, (account, trunk, _), cell in chosen(hours, span.hours, wanted):
        found.setdefault((account, trunk if by_trunk else ""), []).append(cell)
    lines = [_group(key, cells, limits) for key, cells in found.items()]
    return sorted(lines, key=_worst_first)


def _worst_first(line: Json) -> tuple[float, int, str, str]:
    return -(line["above_percent"] or 0.0), -line["calls"], line["account"], line["trunk"]


def _group(key: tuple[str, str], cells: Sequence[Cell], limits: Limits) -> Json:
    sums = Sums.of(cells)
    p50, p95 = nearest_ranks(sums.ai, (50, 95))
    timed, slow = count(sums.ai), above(sums.ai, limits.ai_ms)
    return {
        "account": key[0],
        "trunk": key[1],
        "calls": sums.calls,
        "failed_percent": sums.percent(FAILED),
        "above_limit": slow,
        "above_percent": 100 * slow / timed if timed else None,
        "p50": p50,
        "p95": p95,
        "few": timed < FEW,
        "last": max(cell.last for cell in cells).replace(" ", "T") + "Z",
    }


def slowest_from(sums: Mapping[int, Sums], span: Span, most: int) -> tuple[float, list[int]]:
    """Return the AI latency of the `most`-th slowest call, and the hours with such calls."""
    slowest = largest(total(sums[hour] for hour in span.hours if hour in sums).ai, most)
    least = min(slowest, default=0.0)
    return least, [
        hour for hour in span.hours if hour in sums and largest(sums[hour].ai, 1) >= [least]
    ]
