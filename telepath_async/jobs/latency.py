"""`poll_latency` and `watch_latency`: ask for the figures, have `alerts.py` decide, and notify.

After all interactive calls.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Final, NoReturn

from attrs import evolve, frozen

from telepath_async import (
    AnalyticsOverview,
    Call,
    ClientClosedError,
    TelepathClient,
    TelepathError,
    UsageError,
)
from telepath_async.checks import (
    check_function,
    check_seconds,
    check_timedelta,
    check_whole,
)
from telepath_async.spans import LONGEST

from .alerts import (
    LatencyAlert,
    Standings,
    Threshold,
    checked_thresholds,
    decide,
    explained,
    read_state,
    write_state,
)

_SHORTEST_INTERVAL_SECONDS: Final = 1.0  # a hundredth of the API's limit
_log: Final = logging.getLogger("telepath_async.jobs")


@frozen(kw_only=True)
class LatencyPoll:
    """What one poll found.

    `alerts`: what has changed; `no_figure`: the metrics that the overview does not have, told or
    not; `state`: hand it to the next poll (a short JSON string, to be stored
    as it is); `overview`: the figures, or None; `error`: why there are none, or why an alert's
    calls are not all there. A poll that failed leaves the state as it was.
    """

    at: datetime
    state: str
    alerts: tuple[LatencyAlert, ...] = ()
    no_figure: tuple[str, ...] = ()
    overview: AnalyticsOverview | None = None
    error: TelepathError | None = None


async def poll_latency(
    telepath: TelepathClient,
    thresholds: Iterable[Threshold],
    state: str | None = None,
    *,
    window: timedelta = timedelta(minutes=15),
    trunk_id: str | None = None,
    worst: int = 5,
    calls_to_examine: int = 1000,
) -> LatencyPoll:
    """Hold the figures of the last `window` against the thresholds, once; for cron and the like.

    `state`: that of the poll before, or None. `trunk_id`: only this trunk's calls. An alert that
    crosses carries its `worst` calls, out of at most `calls_to_examine` of the window (100 to a
    request). Store the state after the alerts have been passed on, and each is reported once.
    Requests go in the bulk lane.

    Raises UsageError and ClientClosedError. Any other failure is the poll's `error`.
    """
    wanted, standings = checked_thresholds(thresholds), read_state(state)
    check_timedelta("window", window, exclusive=True, most=LONGEST)
    check_whole("worst", worst, 0)
    now = datetime.now(UTC)
    since = now - window
    bulk = telepath.with_options(priority="bulk")
    # Lazy: nothing is sent yet.
    listed = bulk.calls.list(since=since, trunk_id=trunk_id, max_items=calls_to_examine)
    try:
        overview = await bulk.analytics.overview(since=since, trunk_id=trunk_id)
    except (UsageError, ClientClosedError):
        raise
    except TelepathError as error:
        return LatencyPoll(at=now, state=write_state(standings), error=error)
    after, alerts = decide(wanted, standings, overview, since=since, now=now)
    calls: list[Call] = []
    failed: TelepathError | None = None
    if any(alert.kind == "crossed" for alert in alerts):
        try:
            async for call in listed:
                calls.append(call)  # noqa: PERF401  # what came before an error counts
        except TelepathError as error:
            failed = error
    notified = tuple(
        explained(alert, calls, worst) if alert.kind == "crossed" else alert for alert in alerts
    )
    return LatencyPoll(
        at=now,
        state=write_state(after),
        alerts=notified,
        no_figure=tuple(metric for metric, standing in after.items() if standing.missing),
        overview=overview,
        error=failed,
    )


async def watch_latency(
    telepath: TelepathClient,
    thresholds: Iterable[Threshold],
    on_alert: Callable[[LatencyAlert], Awaitable[object]],
    interval: float = 60.0,
    *,
    state: str | None = None,
    on_poll: Callable[[LatencyPoll], object] | None = None,
    window: timedelta = timedelta(minutes=15),
    trunk_id: str | None = None,
    worst: int = 5,
    calls_to_examine: int = 1000,
) -> NoReturn:
    """Poll every `interval` seconds (from 1) until cancelled, and await `on_alert(alert)` for each
    alert.

    The polls keep to their times, however long one takes; those that it overruns are left out. A
    poll that fails is logged, and is never the end. An alert whose `on_alert` raises is logged, and
    decided again at the next poll. `on_poll`: called after each poll; its `state` is what has
    been passed on, to be stored. The rest as in `poll_latency`.

    Raises UsageError.
    """
    check_function("on_alert", on_alert, "coroutine function that takes a LatencyAlert")
    check_seconds("interval", interval, least=_SHORTEST_INTERVAL_SECONDS)
    if on_poll is not None:
        check_function("on_poll", on_poll, "function that takes a LatencyPoll")
    wanted = checked_thresholds(thresholds)
    clock = asyncio.get_running_loop().time
    due = clock()
    while True:
        before = read_state(state)
        poll = await poll_latency(
            telepath,
            wanted,
            state,
            window=window,
            trunk_id=trunk_id,
            worst=worst,
            calls_to_examine=calls_to_examine,
        )
        if poll.error is not None:
            _log.warning("a poll of the latency failed: %s", poll.error)
        poll = await _passed_on(poll, before, on_alert)
        state = poll.state
        if on_poll is not None:
            on_poll(poll)
        due = next_due(due, interval, clock())
        await asyncio.sleep(due - clock())


def next_due(due: float, interval: float, now: float) -> float:
    """Return when the next poll is due: whole intervals after this one was, and not in the past."""
    return due + interval * max(1, math.ceil((now - due) / interval))


async def _passed_on(
    poll: LatencyPoll, before: Standings, on_alert: Callable[[LatencyAlert], Awaitable[object]]
) -> LatencyPoll:
    """Return the poll, with the state of before for each alert that was not passed on."""
    after = read_state(poll.state)
    for alert in poll.alerts:
        metric = alert.threshold.metric
        try:
            await on_alert(alert)
        except Exception:  # noqa: BLE001  # whatever a pager's library raises
            _log.exception("on_alert failed for %s; it is tried again at the next poll", metric)
            after.pop(metric)
            after |= {metric: before[metric]} if metric in before else {}
    return evolve(poll, state=write_state(after))
