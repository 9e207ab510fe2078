"""Show one call: who spoke when, how long each answer took, and which part of the way took it.

Nothing is fetched here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Final, TypeAlias

from attrs import frozen

from telepath_async import CallDetails, CallMetrics, Turn

from .output import NONE, fields_table, shown_text

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

Number: TypeAlias = int | float

_BAR: Final = 48
_TALK_BAR: Final = 28
_WAIT_BAR: Final = 12
_EIGHTHS: Final = " ▏▎▍▌▋▊▉"
_SPEAKER_STYLE: Final = {"caller": "cyan", "agent": "green"}
_PARTS: Final = (
    ("carrier", "carrier_lag_ms", "blue", "█"),
    ("AI", "ai_latency_ms", "magenta", "▓"),
    ("gateway", "gateway_processing_ms", "yellow", "▒"),
)


def call_renderables(call: CallDetails) -> Iterator[RenderableType]:
    """Yield what shows the call: its facts, latencies as a bar, turns as a timeline, events."""
    yield fields_table(_facts(call))
    parts = latency_parts(call)
    if parts:
        yield ""
        yield from _latency_bar(parts)
    if call.turns:
        yield ""
        yield _turns(call.turns)
    if call.timeline:
        yield ""
        yield fields_table(
            (shown_text(event.at), _event(event.type, event.extra)) for event in call.timeline
        )


def _event(kind: str | None, extra: dict[str, object]) -> str:
    return f"{kind or NONE} {shown_text(extra) if extra else ''}".rstrip()


def _facts(call: CallDetails) -> Iterator[tuple[str, object]]:
    metrics = call.metrics
    yield "call", call.id
    yield "status", " · ".join(filter(None, (call.status, call.direction, call.disconnect_reason)))
    yield "started (UTC)", call.start_time
    yield (
        "duration",
        None if call.duration_seconds is None else f"{shown_text(call.duration_seconds)} s",
    )
    yield "from → to", f"{call.from_number or NONE} → {call.to_number or NONE}"
    yield "trunk", call.trunk_id
    yield "line", " · ".join(_line(metrics)) or None
    yield "other fields", call.extra | metrics.extra or None


def _line(metrics: CallMetrics) -> Iterator[str]:
    if metrics.codec_used is not None:
        yield metrics.codec_used
    if metrics.packet_loss_percent is not None:
        yield f"{metrics.packet_loss_percent:g} % of packets lost"
    if metrics.jitter_ms is not None:
        yield f"jitter {metrics.jitter_ms:g} ms"


@frozen
class Part:
    """A part of the way, and the milliseconds that it takes of each answer."""

    name: str
    milliseconds: Number
    style: str
    mark: str


def latency_parts(call: CallDetails) -> list[Part]:
    """Return the known parts, of the call's metrics where they have them, else of the call."""
    known = (
        (name, getattr(call.metrics, field), getattr(call, field), style, mark)
        for name, field, style, mark in _PARTS
    )
    found = (
        (name, of_call if figure is None else figure, style, mark)
        for name, figure, of_call, style, mark in known
    )
    return [
        Part(name, figure, style, mark)
        for name, figure, style, mark in found
        if figure is not None and figure >= 0
    ]


def _latency_bar(parts: Sequence[Part]) -> Iterator[Text]:
    from rich.text import Text

    total = sum(part.milliseconds for part in parts)
    yield Text(f"an answer takes {shown_text(total)} ms", style="bold")
    widths = shares([part.milliseconds for part in parts], _BAR)
    yield Text.assemble(
        *((part.mark * width, part.style) for part, width in zip(parts, widths, strict=True))
    )
    for part in parts:
        share = f"{part.milliseconds / total:4.0%}" if total else ""
        yield Text.assemble(
            (f"{part.mark} ", part.style),
            f"{part.name:<8}{shown_text(part.milliseconds):>7} ms {share}",
        )


def shares(figures: Sequence[Number], width: int) -> list[int]:
    """Return `width` cells dealt out in proportion to the figures, so that they add up."""
    total = sum(figures)
    if not total:
        return [0] * len(figures)
    edges = [0]
    so_far: Number = 0
    for figure in figures:
        so_far += figure
        edges.append(round(so_far / total * width))
    return [after - before for before, after in pairwise(edges)]


def _turns(turns: Sequence[Turn]) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for title, justify in (
        ("#", "right"),
        ("speaker", "left"),
        ("who spoke when", "left"),
        ("spoke", "right"),
    ):
        table.add_column(title, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    table.add_column("processing", no_wrap=True)
    table.add_column("", justify="right", no_wrap=True)
    slowest = max((turn.processing_time_ms or 0 for turn in turns), default=0)
    for turn, (before, during) in zip(turns, timeline(turns, _TALK_BAR), strict=True):
        speaker = shown_text(turn.speaker)
        processing = turn.processing_time_ms
        table.add_row(
            shown_text(turn.turn_number),
            Text(speaker),
            Text(" " * before + "█" * during, style=_SPEAKER_STYLE.get(speaker, "")),
            NONE if turn.duration_ms is None else f"{turn.duration_ms / 1000:.1f} s",
            Text(
                smooth_bar(processing, slowest, _WAIT_BAR),
                style="bold red" if processing == slowest else "magenta",
            ),
            "" if not processing else f"{shown_text(processing)} ms",
        )
    return table


def timeline(turns: Sequence[Turn], width: int) -> list[tuple[int, int]]:
    """Return where each turn begins and how long it lasts, in cells.

    One turn comes after the other, each after its processing time.
    """
    moments: list[tuple[Number, Number]] = []
    now: Number = 0
    for turn in turns:
        begins = now + max(turn.processing_time_ms or 0, 0)
        now = begins + max(turn.duration_ms or 0, 0)
        moments.append((begins, now))
    whole = now or 1
    cells = (
        (min(int(begins / whole * width), width - 1), round(ends / whole * width))
        for begins, ends in moments
    )
    return [(first, max(last - first, 1)) for first, last in cells]


def smooth_bar(figure: Number | None, most: Number, width: int) -> str:
    """Return a bar of at most `width` cells, true to an eighth of a cell."""
    if not figure or figure < 0 or not most:
        return ""
    eighths = max(round(figure / most * width * 8), 1)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()
