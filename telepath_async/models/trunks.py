"""Trunks: what links a SIP identity to an AI agent."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

import msgspec

from ..secret import Secret
from .fields import Listed, Model, OpenEnum, extra_fields


class TrunkStatus(OpenEnum):
    """Seed 002."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    ERROR = "error"


class AIProvider(OpenEnum):
    """Seed 001."""

    OPENAI = "openai"
    ELEVENLABS = "elevenlabs"
    CUSTOM = "custom"


class TrunkMetrics(Model, frozen=True):
    """Today's figures of a trunk: `success_rate` in percent (0-100), `avg_latency_ms` in milliseconds. Seed 002."""

    calls_today: int | None = None
    success_rate: float | None = None
    avg_latency_ms: int | float | None = None
    extra: dict[str, Any] = extra_fields()


class Trunk(Listed, frozen=True):
    """A SIP trunk. Seeds 000, 001, 002 and 003.

    `sip_endpoint` is `username@host` where the answer or the trunk names the user, else the host
    alone. `metrics` is always there; its fields are None where the server sends no figures.
    """

    _other_names: ClassVar[dict[str, str]] = {"provider": "ai_provider"}

    name: str
    status: TrunkStatus
    ai_provider: AIProvider | None = None
    sip_username: str | None = None
    sip_endpoint: str | None = None
    sip_password: Secret | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    metrics: TrunkMetrics = msgspec.field(default_factory=TrunkMetrics)
    extra: dict[str, Any] = extra_fields()


class SipCredentials(Model, frozen=True):
    """What a rotation returns: the only time that the new password is shown.

    Public page of rotate-sip-password.
    """

    sip_password: Secret
    id: str | None = None
    sip_username: str | None = None
    rotated_at: datetime | None = None
    extra: dict[str, Any] = extra_fields()
