"""`telepath analytics`: overview, watch."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from attrs import define

from telepath_async import AnalyticsOverview, UsageError

from .calls import COLUMNS as CALL_COLUMNS
from .exits import FAILED, OK, PARTLY, code_of
from .hooks import check_hook, run_hook
from .options import Since, TrunkId, Until, named_file, span_option
from .output import echo, json_line, render, render_rows, shown_text
from .shell import Shell, command

if TYPE_CHECKING:
    from telepath_async.jobs import LatencyAlert

_EXEC_SECONDS: Final = 60.0

group: Final = typer.Typer(
    help="Figures over all calls, and alerts when they are bad.", no_args_is_help=True
)


@command(group, "overview", examples=["telepath analytics overview --since 24h"])
async def overview(
    shell: Shell, *, since: Since = None, until: Until = None, trunk_id: TrunkId = None
) -> None:
    """Show the aggregated figures."""
    async with shell.client() as telepath:
        figures = await telepath.analytics.overview(since=since, until=until, trunk_id=trunk_id)
    shell.show(figures, _figures(figures))


def _figures(overview: AnalyticsOverview) -> Iterable[tuple[str, object]]:
    yield "calls", overview.total_calls
    yield "success", _with_unit(overview.success_rate, "%")
    yield "AI latency", _with_unit(overview.avg_ai_latency_ms, "ms on average")
    yield "carrier lag", _with_unit(overview.avg_carrier_lag_ms, "ms on average")
    yield "gateway processing", _with_unit(overview.avg_gateway_processing_ms, "ms on average")
    yield "duration", _with_unit(overview.avg_duration_seconds, "s on average")
    yield "other fields", overview.extra or None


def _with_unit(figure: float | None, unit: str) -> str | None:
    return None if figure is None else f"{shown_text(figure)} {unit}"


class _PolledOnce(Exception):
    """Ends a watch that is to poll once."""


@command(
    group,
    "watch",
    examples=[
        "telepath analytics watch --max-ai-latency-ms 400 --min-success-rate 95 --exec "
        "./page-somebody",
        "telepath analytics watch --max-ai-latency-ms 400 --once --state alerts.json   # from cron",
    ],
)
async def watch(
    shell: Shell,
    *,
    max_ai_latency_ms: Annotated[
        float | None, typer.Option(min=0, metavar="MS", help="Alert above this average AI latency.")
    ] = None,
    max_carrier_lag_ms: Annotated[
        float | None,
        typer.Option(min=0, metavar="MS", help="Alert above this average carrier lag."),
    ] = None,
    min_success_rate: Annotated[
        float | None,
        typer.Option(min=0, max=100, metavar="PERCENT", help="Alert below this rate of success."),
    ] = None,
    for_at_least: Annotated[
        timedelta, span_option("Alert when it has been so for this long:", "0s")
    ] = timedelta(0),
    interval: Annotated[timedelta, span_option("Between two polls:", "60s")] = timedelta(
        seconds=60
    ),
    window: Annotated[timedelta, span_option("Look at the calls of this span:", "15m")] = timedelta(
        minutes=15
    ),
    trunk_id: TrunkId = None,
    once: Annotated[
        bool, typer.Option("--once", help="Poll once, and end: for cron; with --state.")
    ] = False,
    state: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Remember here which alerts were sent, from one run to the next.",
            callback=named_file(),
        ),
    ] = None,
    exec_: Annotated[
        str | None,
        typer.Option(
            "--exec",
            metavar="CMD",
            help="Run this for each alert, with the alert as a JSON line on its standard input.",
        ),
    ] = None,
) -> int:
    """Alert when latency or success is bad.

    Once when a figure crosses its limit, with the calls that explain it, once when it has
    recovered, and once when the server gives no such figure (with --once: exit code 8). An alert
    whose --exec command fails, or has not ended after a minute, is sent again at the next poll.
    """
    from telepath_async.jobs import LatencyPoll, Threshold, watch_latency

    limits = {
        "avg_ai_latency_ms": max_ai_latency_ms,
        "avg_carrier_lag_ms": max_carrier_lag_ms,
        "success_rate": min_success_rate,
    }
    thresholds = [
        Threshold(metric, limit, for_at_least=for_at_least)  # type: ignore[arg-type]
        for metric, limit in limits.items()
        if limit is not None
    ]
    if not thresholds:
        raise UsageError(
            "nothing to watch: give --max-ai-latency-ms, --max-carrier-lag-ms or --min-success-rate"
        )
    if exec_ is not None:
        check_hook("--exec", exec_)
    polls: list[LatencyPoll] = []
    alerts = _Alerts(shell, exec_)

    def on_poll(poll: LatencyPoll) -> None:
        _save_state(state, poll.state)
        if alerts.unprinted is not None:
            raise alerts.unprinted
        if once:
            polls.append(poll)
            raise _PolledOnce

    if not once:
        echo(f"polling every {interval.total_seconds():g} s; Ctrl-C ends it")
    async with shell.client() as telepath:
        with suppress(_PolledOnce):
            await watch_latency(
                telepath,
                thresholds,
                alerts.send,
                interval.total_seconds(),
                state=_open_state(state),
                on_poll=on_poll,
                window=window,
                trunk_id=trunk_id,
            )
    if polls[0].error is not None:  # it is in the log already
        return code_of(polls[0].error)
    if alerts.unsent:
        return FAILED
    return PARTLY if polls[0].no_figure else OK


@define
class _Alerts:
    """Sends each alert to the `--exec` command, and prints it.

    `unsent`: how many could not be sent; `unprinted`: why standard output took none.
    """

    shell: Shell
    command: str | None
    unsent: int = 0
    unprinted: OSError | None = None

    async def send(self, alert: LatencyAlert) -> None:
        self.unsent += 1
        # First: it may be the pager, and standard output a pipe that nobody reads any more.
        if self.command is not None:
            async with asyncio.timeout(_EXEC_SECONDS):
                await run_hook(self.command, json_line(alert))
        try:
            _show_alert(self.shell, alert)
        except OSError as error:
            self.unprinted = self.unprinted or error
        self.unsent -= 1


def _open_state(state: Path | None) -> str | None:
    """Return the state of earlier polls. Raises OSError, before an alert, if none can be kept."""
    try:
        text = "" if state is None else state.read_text(encoding="utf-8")
    except FileNotFoundError:
        text = ""
    except UnicodeDecodeError:
        raise UsageError(f"--state: {state} is not a state of earlier polls; move it") from None
    _save_state(state, text)
    return text or None


def _save_state(state: Path | None, text: str) -> None:
    if state is not None:
        new = state.with_name(f"{state.name}.new")
        new.write_text(text, encoding="utf-8")
        os.replace(new, state)


def _show_alert(shell: Shell, alert: LatencyAlert) -> None:
    if shell.as_json:
        shell.write(alert)
        return
    from rich.panel import Panel

    colour = {"crossed": "red", "recovered": "green", "no_figure": "yellow"}[alert.kind]
    figure = "missing" if alert.value is None else shown_text(alert.value)
    text = (
        f"{alert.threshold.metric} is {figure}, the limit {shown_text(alert.threshold.limit)}\n"
        f"over the calls from {shown_text(alert.since)} to {shown_text(alert.at)} UTC"
    )
    title = alert.kind.replace("_", " ")
    render(Panel(text, title=title, title_align="left", border_style=colour))
    if alert.worst_calls:
        render_rows(alert.worst_calls, CALL_COLUMNS)
