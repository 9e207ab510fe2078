"""When an alert fires, when it has recovered, and which calls explain it.

No I/O, no clock: `now` is handed in.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from heapq import nlargest
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from attrs import evolve, field, fields_dict, frozen

from telepath_async import AnalyticsOverview, Call, CallStatus, UsageError
from telepath_async.checks import check_iterable, check_number, check_timedelta, shown
from telepath_async.protocol.strict import strict_converter, structure_json

if TYPE_CHECKING:
    from cattrs import Converter

Metric: TypeAlias = Literal[
    "avg_ai_latency_ms", "avg_carrier_lag_ms", "avg_gateway_processing_ms", "success_rate"
]
Standings: TypeAlias = Mapping[str, "Standing"]

# The field of a call that the average is of.
_OF_A_CALL: Final[dict[str, str]] = {
    "avg_ai_latency_ms": "ai_latency_ms",
    "avg_carrier_lag_ms": "carrier_lag_ms",
    "avg_gateway_processing_ms": "gateway_processing_ms",
    "success_rate": "status",
}
_SUCCEEDED: Final = (CallStatus.COMPLETED, CallStatus.CONNECTED)
_PERFECT_RATE: Final = 100.0
_NUMBER: Final = re.compile(r"\s*\d{1,15}(\.\d{1,15})?\s*")
_HYSTERESIS: Final = 0.1
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


@frozen
class Threshold:
    """A bound of one figure of the overview: milliseconds, or percent for `success_rate`.

    The alert fires when the figure has been above `limit` (`success_rate`: below it) for
    `for_at_least`, and has recovered when it has been at `recovery`, or better, for as long.
    `recovery=None`: a tenth better than the limit (for 400 ms: 360; for 95 %: 95.5). Raises
    UsageError.
    """

    metric: Metric
    limit: float
    recovery: float | None = field(default=None, kw_only=True)
    for_at_least: timedelta = field(default=timedelta(0), kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.metric not in tuple(_OF_A_CALL):  # it may have no hash
            raise UsageError(
                f"metric must be one of {', '.join(_OF_A_CALL)}, not {shown(self.metric)}"
            )
        most = _PERFECT_RATE if self.metric == "success_rate" else math.inf
        for name, figure in (("limit", self.limit), ("recovery", self.recovery)):
            if figure is not None or name == "limit":
                number = check_number(name, figure, most=most)
                if self.metric == "success_rate" and 0 < number <= 1:
                    raise UsageError(
                        f"{name} of success_rate must be percent, not a fraction: "
                        f"{100 * number:g} instead of {number:g}"
                    )
        check_timedelta("for_at_least", self.for_at_least)
        if self.is_beyond(self.recovers_at):
            raise UsageError(
                f"recovery ({self.recovery!r}) must be at or on the good side of the limit "
                f"({self.limit!r})"
            )

    @property
    def recovers_at(self) -> float:
        """The figure at which it has recovered."""
        if self.recovery is not None:
            return self.recovery
        perfect = _PERFECT_RATE if self.metric == "success_rate" else 0
        return self.limit + _HYSTERESIS * (perfect - self.limit)

    def is_beyond(self, value: float) -> bool:
        """Whether the figure is on the bad side of the limit."""
        return value < self.limit if self.metric == "success_rate" else value > self.limit

    def is_well(self, value: float) -> bool:
        """Whether the figure is good enough to have recovered."""
        return (
            value >= self.recovers_at
            if self.metric == "success_rate"
            else value <= self.recovers_at
        )


@frozen
class Standing:
    """How an alert stands.

    `firing`: whether it fires; `since`: since when the figures have been against that; `missing`:
    whether the last overview had no such figure.
    """

    firing: bool = False
    since: datetime | None = None
    missing: bool = False


@frozen(kw_only=True)
class LatencyAlert:
    """A threshold that was crossed, or has recovered: `value` is the figure over the calls from
    `since` to `at`. `no_figure`: the overview has calls, but not this figure; `value` is None.

    `worst_calls`: those that explain a crossing, the worst (`success_rate`: the latest) first, as
    far as calls could be looked at.
    """

    kind: Literal["crossed", "recovered", "no_figure"]
    threshold: Threshold
    value: float | None
    since: datetime
    at: datetime
    overview: AnalyticsOverview
    worst_calls: tuple[Call, ...] = ()


def checked_thresholds(thresholds: Iterable[Threshold]) -> tuple[Threshold, ...]:
    """Return the thresholds. Raises UsageError unless there are some, one for each figure."""
    checked = tuple(check_iterable("thresholds", thresholds, "Thresholds"))
    if not checked or not all(isinstance(threshold, Threshold) for threshold in checked):
        raise UsageError("thresholds must be some Thresholds")
    if len({threshold.metric for threshold in checked}) < len(checked):
        raise UsageError("thresholds must name each metric once")
    return checked


def decide(
    thresholds: Sequence[Threshold],
    standings: Standings,
    overview: AnalyticsOverview,
    *,
    since: datetime,
    now: datetime,
) -> tuple[dict[str, Standing], list[LatencyAlert]]:
    """Return how the alerts stand now, and those that have changed.

    A figure that is missing neither fires nor recovers anything, and is reported once. Without
    calls nothing is reported.
    """
    after: dict[str, Standing] = {
        wanted.metric: standings.get(wanted.metric, Standing()) for wanted in thresholds
    }
    if overview.total_calls == 0:
        return after, []
    alerts: list[LatencyAlert] = []
    for threshold in thresholds:
        standing, value = after[threshold.metric], figure_of(overview, threshold.metric)
        after[threshold.metric] = next_standing(threshold, standing, value, now)
        kind = _change(standing, after[threshold.metric])
        if kind is not None:
            alerts.append(
                LatencyAlert(
                    kind=kind,
                    threshold=threshold,
                    value=value,
                    since=since,
                    at=now,
                    overview=overview,
                )
            )
    return after, alerts


def figure_of(overview: AnalyticsOverview, metric: str) -> float | None:
    """Return a figure of the overview, also where it came as text: `"900"`."""
    value: float | None = getattr(overview, metric)
    if value is not None:
        return value
    names = fields_dict(AnalyticsOverview)[metric].metadata["names"]
    texts = (overview.extra.get(name) for name in names)
    return next(
        (float(text) for text in texts if isinstance(text, str) and _NUMBER.fullmatch(text)), None
    )


def _change(
    before: Standing, after: Standing
) -> Literal["crossed", "recovered", "no_figure"] | None:
    if after.missing:
        return None if before.missing else "no_figure"
    if after.firing == before.firing:
        return None
    return "crossed" if after.firing else "recovered"


def next_standing(
    threshold: Threshold, standing: Standing, value: float | None, now: datetime
) -> Standing:
    """Return how the alert stands after this figure; None: there was none."""
    if value is None:
        return evolve(standing, missing=True)
    standing = evolve(standing, missing=False)
    against = threshold.is_well(value) if standing.firing else threshold.is_beyond(value)
    if not against:
        return evolve(standing, since=None)
    since = now if standing.since is None else min(standing.since, now)  # a clock may be set back
    if now - since < threshold.for_at_least:
        return evolve(standing, since=since)
    return Standing(firing=not standing.firing)


def explained(alert: LatencyAlert, calls: Iterable[Call], worst: int) -> LatencyAlert:
    """Return the alert with the `worst` calls that explain it."""
    if alert.threshold.metric == "success_rate":
        failed = (call for call in calls if call.status not in (None, *_SUCCEEDED))
        return evolve(
            alert,
            worst_calls=tuple(
                nlargest(worst, failed, key=lambda call: call.start_time or _LONG_AGO)
            ),
        )
    name = _OF_A_CALL[alert.threshold.metric]
    slow = (call for call in calls if (getattr(call, name) or 0) > alert.threshold.limit)
    return evolve(
        alert, worst_calls=tuple(nlargest(worst, slow, key=lambda call: float(getattr(call, name))))
    )


def write_state(standings: Standings) -> str:
    """Return how the alerts stand, as a short JSON string."""
    return json.dumps(_converter().unstructure(standings))


def read_state(text: str | None) -> dict[str, Standing]:
    """Return how the alerts stood.

    Raises UsageError for a text that `write_state` has not written.
    """
    if text is None:
        return {}
    try:
        return structure_json(_converter(), text, dict[str, Standing])
    except ValueError as error:
        why = str(error)
    raise UsageError(f"state must be the `state` of an earlier poll, or None ({why})")


@cache
def _converter() -> Converter:
    return strict_converter(forbid_extra_keys=True)
