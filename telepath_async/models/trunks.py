"""Trunks: what links a SIP identity to an AI agent."""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from attrs import frozen

from ..secret import Secret
from .fields import Listed, Model, OpenEnum, derived, extra_fields, nested, wire

_SIP_SCHEME: Final = re.compile(r"^sip:(//)?", re.IGNORECASE)
_HOST: Final = re.compile(r"[A-Za-z0-9.-]+(:\d+)?")


def _sip_address(endpoint: str | None, trunk: Trunk) -> str | None:
    if not endpoint:
        return endpoint
    address, is_host = _without_scheme(endpoint)
    return f"{trunk.sip_username}@{address}" if is_host and trunk.sip_username else address


@lru_cache(maxsize=256)  # the trunks of an account share their host
def _without_scheme(endpoint: str) -> tuple[str, bool]:
    """Return what `sip:`, `sip://` or nothing stands before, and whether it is a host alone."""
    address = _SIP_SCHEME.sub("", endpoint)
    return address, _HOST.fullmatch(address) is not None


class TrunkStatus(OpenEnum):
    """Whether calls go through; `UNKNOWN`: not in the answer. API reference: List Trunks."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    ERROR = "error"
    UNKNOWN = "unknown"


class AIProvider(OpenEnum):
    """Whose agent answers. API reference: Create Trunk."""

    OPENAI = "openai"
    ELEVENLABS = "elevenlabs"
    CUSTOM = "custom"


@frozen(kw_only=True, weakref_slot=False)
class TrunkMetrics(Model):
    """Today's figures of a trunk: `success_rate` in percent (0-100), `avg_latency_ms` in ms.

    API reference: List Trunks.
    """

    calls_today: int | None = None
    success_rate: float | None = None
    avg_latency_ms: int | float | None = None
    extra: dict[str, Any] = extra_fields()


@frozen(kw_only=True, weakref_slot=False)
class Trunk(Listed):
    """A SIP trunk. API reference: List Trunks, Create Trunk, Update Trunk.

    `name` and `status` stand in every documented answer, so they are never None: `""` and `UNKNOWN`
    where the server leaves them out. `sip_endpoint` is `username@host` where the answer or the
    trunk names the user, else the host alone. `metrics` is always there; its fields are None where
    the server sends no figures.
    """

    id: str
    name: str = ""
    status: TrunkStatus = TrunkStatus.UNKNOWN
    ai_provider: AIProvider | None = wire("ai_provider", "provider")
    sip_username: str | None = None
    sip_endpoint: str | None = derived(_sip_address)
    sip_password: Secret | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    metrics: TrunkMetrics = nested(TrunkMetrics)
    extra: dict[str, Any] = extra_fields()


@frozen(kw_only=True, weakref_slot=False)
class SipCredentials(Model):
    """What a rotation returns: the only time that the new password is shown.

    API reference: Rotate SIP Password.
    """

    sip_password: Secret
    id: str | None = None
    sip_username: str | None = None
    rotated_at: datetime | None = None
    extra: dict[str, Any] = extra_fields()
