"""Calls: the record of each call, and all that is known about a single one."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import attrs
from attrs import frozen

from .fields import Listed, Model, OpenEnum, extra_fields, nested, wire

_LATENCIES: Final = ("carrier_lag_ms", "ai_latency_ms", "gateway_processing_ms")


class CallStatus(OpenEnum):
    """How a call ended, or that it goes on. API reference: List Calls."""

    COMPLETED = "completed"
    CONNECTED = "connected"
    FAILED = "failed"
    DISCONNECTED = "disconnected"


class CallDirection(OpenEnum):
    """Who called whom. API reference: List Calls."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


class Speaker(OpenEnum):
    """Who spoke a turn. API reference: Get Call."""

    CALLER = "caller"
    AGENT = "agent"


@frozen(kw_only=True, weakref_slot=False)
class Call(Listed):
    """One call. Latencies in milliseconds, duration in seconds, times in UTC.

    API reference: List Calls.
    """

    id: str
    trunk_id: str | None = None
    from_number: str | None = wire("from")
    to_number: str | None = wire("to")
    direction: CallDirection | None = None
    status: CallStatus | None = None
    duration_seconds: int | float | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    carrier_lag_ms: int | float | None = None
    ai_latency_ms: int | float | None = None
    gateway_processing_ms: int | float | None = None
    extra: dict[str, Any] = extra_fields()


@frozen(kw_only=True, weakref_slot=False)
class CallMetrics(Model):
    """The figures of one call: latencies and jitter in milliseconds, packet loss in percent."""

    carrier_lag_ms: int | float | None = None
    ai_latency_ms: int | float | None = None
    gateway_processing_ms: int | float | None = None
    packet_loss_percent: float | None = None
    jitter_ms: int | float | None = None
    codec_used: str | None = wire("codec_used", "codec")
    extra: dict[str, Any] = extra_fields()


@frozen(kw_only=True, weakref_slot=False)
class Turn(Model):
    """One turn of the conversation; both times in milliseconds."""

    turn_number: int | None = None
    speaker: Speaker | None = None
    duration_ms: int | float | None = None
    processing_time_ms: int | float | None = None
    extra: dict[str, Any] = extra_fields()


@frozen(kw_only=True, weakref_slot=False)
class TimelineEvent(Model):
    """Something that happened in a call.

    No page names its fields, so most of it may stand in `extra`.
    """

    type: str | None = wire("type", "event", "name")
    at: datetime | None = wire("at", "timestamp", "time")
    extra: dict[str, Any] = extra_fields()


@frozen(kw_only=True, weakref_slot=False)
class CallDetails(Call):
    """All that is known about one call. API reference: Get Call.

    `metrics` is always there; its fields are None where the server sends no figures. A latency
    stands both there and beside it, wherever the server put it. `sip_trace` is plain text.
    """

    disconnect_reason: str | None = None
    metrics: CallMetrics = nested(CallMetrics)
    turns: tuple[Turn, ...] = nested(tuple)
    timeline: tuple[TimelineEvent, ...] = nested(tuple, "timeline", "events", "timeline_events")
    sip_trace: str | None = None

    def __attrs_post_init__(self) -> None:
        for name in _LATENCIES:
            beside, inside = getattr(self, name), getattr(self.metrics, name)
            if beside is None:
                object.__setattr__(self, name, inside)
            elif inside is None:
                metrics = attrs.evolve(self.metrics, **{name: beside})
                object.__setattr__(self, "metrics", metrics)
