"""Calls: the record of each call, and all that is known about a single one."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

import msgspec

from .fields import Listed, Model, OpenEnum, extra_fields, named


class CallStatus(OpenEnum):
    """Seed 003 (`completed`) and the public page of /calls (the rest)."""

    COMPLETED = "completed"
    CONNECTED = "connected"
    FAILED = "failed"
    DISCONNECTED = "disconnected"


class CallDirection(OpenEnum):
    """Seed 003."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


class Speaker(OpenEnum):
    """Who spoke a turn. Public page of /calls/{id}."""

    CALLER = "caller"
    AGENT = "agent"


class Call(Listed, frozen=True):
    """One call. Latencies in milliseconds, duration in seconds, times in UTC.

    Seed 003; public page of /calls.
    """

    trunk_id: str | None = None
    from_number: str | None = named("from")
    to_number: str | None = named("to")
    direction: CallDirection | None = None
    status: CallStatus | None = None
    duration_seconds: int | float | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    carrier_lag_ms: int | float | None = None
    ai_latency_ms: int | float | None = None
    gateway_processing_ms: int | float | None = None
    extra: dict[str, Any] = extra_fields()


class CallMetrics(Model, frozen=True):
    """The figures of one call: latencies and jitter in milliseconds, packet loss in percent."""

    _other_names: ClassVar[dict[str, str]] = {"codec": "codec_used"}

    carrier_lag_ms: int | float | None = None
    ai_latency_ms: int | float | None = None
    gateway_processing_ms: int | float | None = None
    packet_loss_percent: float | None = None
    jitter_ms: int | float | None = None
    codec_used: str | None = None
    extra: dict[str, Any] = extra_fields()


class Turn(Model, frozen=True):
    """One turn of the conversation; both times in milliseconds."""

    turn_number: int | None = None
    speaker: Speaker | None = None
    duration_ms: int | float | None = None
    processing_time_ms: int | float | None = None
    extra: dict[str, Any] = extra_fields()


class TimelineEvent(Model, frozen=True):
    """Something that happened in a call.

    No page shows its fields, so that most of it may stand in `extra`.
    """

    _other_names: ClassVar[dict[str, str]] = {
        "event": "type",
        "name": "type",
        "timestamp": "at",
        "time": "at",
    }
    _guessed: ClassVar[tuple[str, ...]] = ("type", "at")

    type: str | None = None
    at: datetime | None = None
    extra: dict[str, Any] = extra_fields()


class CallDetails(Call, frozen=True):
    """All that is known about one call. Seed 003; public page of /calls/{id}.

    `metrics` is always there; its fields are None where the server sends no figures. `sip_trace` is
    plain text.
    """

    _other_names: ClassVar[dict[str, str]] = {"events": "timeline", "timeline_events": "timeline"}
    _guessed: ClassVar[tuple[str, ...]] = ("timeline",)

    disconnect_reason: str | None = None
    metrics: CallMetrics = msgspec.field(default_factory=CallMetrics)
    turns: tuple[Turn, ...] = ()
    timeline: tuple[TimelineEvent, ...] = ()
    sip_trace: str | None = None
