"""The calls of everybody and of each trunk, hour by hour, and what is measured of them. Pure."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, TypeAlias

from attrs import define, field, frozen

from .cells import Cell, Cells

Measure: TypeAlias = Literal["ai", "carrier", "gateway", "failed"]
MEASURES: Final[tuple[Measure, ...]] = ("ai", "carrier", "gateway", "failed")
LATENCIES: Final[tuple[Measure, ...]] = ("ai", "carrier", "gateway")
ENOUGH: Final = 20  # calls, below which a period is not judged
_MOST_TRUNKS: Final = 12


@frozen(order=True)
class Group:
    """One trunk's calls; `trunk=None`: everybody's."""

    account: str | None = None
    trunk: str | None = None


EVERYBODY: Final = Group()


@define
class Sample:
    """Some calls: how many, how many failed, and every latency."""

    calls: int = 0
    failed: int = 0
    ai: array[float] = field(factory=lambda: array("d"))
    carrier: array[float] = field(factory=lambda: array("d"))
    gateway: array[float] = field(factory=lambda: array("d"))

    def add(self, cell: Cell) -> None:
        """Count the calls of a cell."""
        self.calls += cell.statuses.total()
        self.failed += cell.statuses["failed"]
        self.ai.extend(cell.ai)
        self.carrier.extend(cell.carrier)
        self.gateway.extend(cell.gateway)

    def latencies(self, measure: Measure) -> array[float]:
        """Return the values of a latency."""
        values: array[float] = getattr(self, measure)
        return values

    def events(self, measure: Measure, threshold: float) -> tuple[int, int]:
        """Return of how many calls how many failed, or were slower than a threshold."""
        if measure == "failed":
            return self.calls, self.failed
        values = self.latencies(measure)
        return len(values), sum(value > threshold for value in values)


Hourly: TypeAlias = dict[int, Sample]


def group_calls(
    hours: Mapping[int, Cells], span: Iterable[int], account: str | None = None
) -> dict[Group, Hourly]:
    """Return everybody's calls and those of the busiest trunks, by hour."""
    found: dict[Group, Hourly] = {EVERYBODY: {}}
    for hour in span:
        for (owner, trunk, _), cell in hours.get(hour, {}).items():
            if account in (None, owner):
                for group in (EVERYBODY, Group(owner, trunk)):
                    found.setdefault(group, {}).setdefault(hour, Sample()).add(cell)
    counts = Counter(
        {
            group: sum(sample.calls for sample in hourly.values())
            for group, hourly in found.items()
            if group != EVERYBODY
        }
    )
    busy = [group for group, count in counts.most_common(_MOST_TRUNKS) if count >= 2 * ENOUGH]
    return {group: found[group] for group in (EVERYBODY, *busy)}


def merged(hourly: Hourly, span: Iterable[int]) -> Sample:
    """Return the calls of some hours together."""
    whole = Sample()
    for sample in (hourly[hour] for hour in span if hour in hourly):
        whole.calls += sample.calls
        whole.failed += sample.failed
        for measure in LATENCIES:
            whole.latencies(measure).extend(sample.latencies(measure))
    return whole


def nearest_rank(ordered: Sequence[float], percent: int) -> float:
    """Return a percentile of ascending values: the ceil(n * percent / 100)-th."""
    return ordered[max(1, -(-len(ordered) * percent // 100)) - 1]
