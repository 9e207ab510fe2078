"""Find who is to blame, since when: two periods, what changed between them, and for whom. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Final, Literal, TypeAlias

from attrs import frozen

from .cells import Cells
from .compare import Change, chance, compare, is_large
from .groups import (
    ENOUGH,
    EVERYBODY,
    MEASURES,
    Group,
    Hourly,
    Measure,
    Sample,
    group_calls,
    merged,
)
from .scan import standing_out

Verdict: TypeAlias = Literal["changed", "nothing", "too few"]
Providers: TypeAlias = Mapping[tuple[str, str], tuple[str, str]]  # of trunks: name and provider

NAMES: Final[dict[Measure, str]] = {
    "ai": "AI", "carrier": "carrier", "gateway": "gateway", "failed": "failed",
}  # fmt: skip
_WHAT: Final[dict[Measure, str]] = {
    "ai": "AI latency",
    "carrier": "carrier lag",
    "gateway": "gateway processing",
    "failed": "failed calls",
}
_FALSE_ALARMS: Final = 0.05


@frozen
class Period:
    """Whole hours, from `since` to before `until`, in UTC."""

    since: datetime
    until: datetime

    @classmethod
    def of(cls, hours: range) -> Period:
        """Return the period of consecutive hours since 1970."""
        return cls(
            *(datetime.fromtimestamp(hour * 3600, UTC) for hour in (hours.start, hours.stop))
        )

    def __str__(self) -> str:
        last = f"{self.until:%Y-%m-%d %H:%M}"
        if self.since.date() == self.until.date():
            last = f"{self.until:%H:%M}"
        return f"{self.since:%Y-%m-%d %H:%M} to {last} UTC"


@frozen(kw_only=True)
class TrunkChange:
    """What changed for one trunk; `certain`: beyond chance."""

    account: str
    trunk_id: str
    name: str
    provider: str
    change: Change
    certain: bool


@frozen(kw_only=True)
class Explanation:
    """What changed between two periods; they are None where no change stands out in a week.

    `changes`: of all calls, a figure each; `measure`: the one to blame; `blamed`: on which trunks,
    or of which provider, or "all trunks"; `trunks`: that figure's change for each.
    """

    verdict: Verdict
    before: Period | None = None
    after: Period | None = None
    changes: tuple[Change, ...] = ()
    measure: Measure | None = None
    blamed: str | None = None
    trunks: tuple[TrunkChange, ...] = ()

    @property
    def summary(self) -> str:
        """One sentence."""
        if self.verdict == "too few":
            return f"there are too few calls to tell: {ENOUGH} in each period, at least"
        if self.measure is None:
            return "nothing has changed beyond chance"
        return f"{_WHAT[self.measure]} of {self.blamed}, {self.after}"

    @property
    def evidence(self) -> tuple[str, ...]:
        """The figures that it rests on, each with its 95 % interval."""
        parts = [_figure(change, full=change.measure == self.measure) for change in self.changes]
        certain = [one for one in self.trunks if one.certain]
        if certain:
            parts.append("trunks: " + ", ".join(f"{t.name} {_interval(t.change)}" for t in certain))
        return tuple(parts)

    def __str__(self) -> str:
        return ": ".join(filter(None, (self.summary, "; ".join(self.evidence))))


def _figure(change: Change, *, full: bool) -> str:
    if not full:
        return f"{NAMES[change.measure]} {_interval(change)}"
    what, unit = ("", "%") if change.measure == "failed" else (" p95", "ms")
    return (
        f"{NAMES[change.measure]}{what} {change.before:.0f} -> {change.after:.0f} {unit}, "
        f"{_interval(change)}"
    )


def _interval(change: Change) -> str:
    return f"{change.difference:+z.0f} [{change.low:+z.0f}, {change.high:+z.0f}]"


def explain_week(
    hours: Mapping[int, Cells], span: range, trunks: Providers, *, account: str | None, seed: int
) -> Explanation:
    """Explain the change that stands out most in some hours."""
    groups = group_calls(hours, span, account)
    if merged(groups[EVERYBODY], span).calls < 2 * ENOUGH:
        return Explanation(verdict="too few")
    window = standing_out(groups, span)
    if window is None:
        return Explanation(verdict="nothing")
    earlier = range(span.start, window.hours.start)
    before = earlier if _enough(groups[window.group], earlier) else _later(span, window.hours)
    return _explained(groups, before, window.hours, trunks, seed, blame=window.measure)


def explain_periods(
    hours: Mapping[int, Cells],
    before: range,
    after: range,
    trunks: Providers,
    *,
    account: str | None,
    seed: int,
) -> Explanation:
    """Explain what changed from one period to another."""
    groups = group_calls(hours, [*before, *after], account)
    return _explained(groups, before, after, trunks, seed)


def _enough(hourly: Hourly, span: range) -> bool:
    return merged(hourly, span).calls >= ENOUGH


def _later(span: range, window: range) -> range:
    return range(window.stop, span.stop)


def _explained(
    groups: Mapping[Group, Hourly],
    before: range,
    after: range,
    trunks: Providers,
    seed: int,
    blame: Measure | None = None,
) -> Explanation:
    rng = Random(seed)
    pairs = {group: (merged(h, before), merged(h, after)) for group, h in groups.items()}
    changes = tuple(
        change
        for change in (compare(measure, *pairs[EVERYBODY], rng) for measure in MEASURES)
        if change is not None
    )
    measure = _beyond_chance(pairs) if blame is None else blame
    lines = () if measure is None else tuple(_trunk_changes(pairs, measure, trunks, rng))
    verdict: Verdict = "nothing" if measure is None else "changed"
    return Explanation(
        verdict=verdict if changes else "too few",
        before=Period.of(before),
        after=Period.of(after),
        changes=changes,
        measure=measure,
        blamed=None if measure is None else _blamed(lines),
        trunks=lines,
    )


def _beyond_chance(pairs: Mapping[Group, tuple[Sample, Sample]]) -> Measure | None:
    """Return the measure whose change is the least likely to be chance, if it is beyond that."""
    likely = _FALSE_ALARMS / (len(pairs) * len(MEASURES))
    found: Measure | None = None
    for pair in pairs.values():
        for measure in MEASURES:
            if is_large(measure, *pair) and chance(measure, *pair) < likely:
                likely, found = chance(measure, *pair), measure
    return found


def _trunk_changes(
    pairs: Mapping[Group, tuple[Sample, Sample]], measure: Measure, trunks: Providers, rng: Random
) -> Iterator[TrunkChange]:
    for group, pair in pairs.items():
        change = None if group == EVERYBODY else compare(measure, *pair, rng)
        if change is not None:
            key = (group.account or "", group.trunk or "")
            name, provider = trunks.get(key, (key[1], ""))
            likely = chance(measure, *pair) < _FALSE_ALARMS / len(pairs)
            yield TrunkChange(
                account=key[0],
                trunk_id=key[1],
                name=name,
                provider=provider,
                change=change,
                certain=likely and is_large(measure, *pair),
            )


def _blamed(lines: Sequence[TrunkChange]) -> str:
    """Return whose change it is: one trunk's, one provider's, some trunks', or all trunks'."""
    certain = [line for line in lines if line.certain]
    if len(certain) in (0, len(lines)) and len(lines) != 1:
        return "all trunks"
    if len(certain) <= 1:
        (line,) = certain or lines
        return f"trunk {line.name} ({line.provider})" if line.provider else f"trunk {line.name}"
    of_provider = [line for line in lines if line.provider == certain[0].provider]
    if certain == of_provider:
        return f"provider {certain[0].provider}"
    return "trunks " + ", ".join(line.name for line in certain)
