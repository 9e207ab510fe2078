"""The calls of an hour, by account, trunk and direction: all that figures are made of. Pure."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import TypeAlias

from attrs import define, field, frozen

from telepath_async.sync.reading import CallRow

Key: TypeAlias = tuple[str, str, str]  # account, trunk, direction
Cells: TypeAlias = dict[Key, "Cell"]


def _values() -> array[float]:
    return array("d")


@define
class Cell:
    """Some calls of one hour: their statuses, every latency, and when the last one started."""

    statuses: Counter[str] = field(factory=Counter)
    carrier: array[float] = field(factory=_values)
    ai: array[float] = field(factory=_values)
    gateway: array[float] = field(factory=_values)
    last: str = ""

    @property
    def latencies(self) -> tuple[array[float], array[float], array[float]]:
        return self.carrier, self.ai, self.gateway

    def sort(self) -> None:
        """Put the values of each latency in ascending order."""
        for values in self.latencies:
            values[:] = array("d", sorted(values))


@frozen(kw_only=True)
class Filter:
    """Which calls are wanted; None: all."""

    account: str | None = None
    trunk: str | None = None
    direction: str | None = None

    def takes(self, key: Key) -> bool:
        """Whether the calls of a cell are wanted."""
        wanted = (self.account, self.trunk, self.direction)
        return all(want is None or want == have for want, have in zip(wanted, key, strict=True))


@lru_cache(maxsize=10_000)
def hour_of(text: str) -> int:
    """Return the hour in which a second such as `2026-11-28 14:05:09` lies, since 1970."""
    return int(datetime.fromisoformat(f"{text[:13]}:00:00").replace(tzinfo=UTC).timestamp()) // 3600


def add_rows(hours: Mapping[int, Cells], rows: Iterable[CallRow]) -> None:
    """Count calls into the cells of their hours."""
    for second, account, trunk, direction, status, carrier, ai, gateway in rows:
        cells = hours[hour_of(second[:13])]
        key = (account, trunk or "", direction or "")
        cell = cells.get(key)
        if cell is None:
            cell = cells[key] = Cell()
        cell.statuses[status or "unknown"] += 1
        if carrier is not None:
            cell.carrier.append(carrier)
        if ai is not None:
            cell.ai.append(ai)
        if gateway is not None:
            cell.gateway.append(gateway)
        if second > cell.last:
            cell.last = second


def chosen(
    hours: Mapping[int, Cells], span: Iterable[int], wanted: Filter
) -> Iterator[tuple[int, Key, Cell]]:
    """Return the cells of some hours that a filter takes."""
    for hour in span:
        for key, cell in hours.get(hour, {}).items():
            if wanted.takes(key):
                yield hour, key, cell
