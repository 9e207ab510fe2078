"""The schemas of the OpenAPI document: what goes in, and what comes out in each style.

The limits on what goes in are those of `validation`, by reference.
"""

from collections.abc import Collection
from typing import Any

from .dialect import CursorDialect, Dialect, OffsetDialect
from .trunks import PROVIDERS
from .validation import E164, REQUIRED_BY_PROVIDER, SHORTEST_SIP_PASSWORD, SIP_USERNAME, WEBSOCKET

Json = dict[str, Any]

_TEXT: Json = {"type": "string"}
_TEXT_OR_NULL: Json = {"type": ["string", "null"]}
_COUNT: Json = {"type": "integer", "minimum": 0}
_MILLISECONDS: Json = {"type": "integer", "minimum": 0, "description": "Milliseconds."}
_PERCENT: Json = {"type": "number", "minimum": 0, "maximum": 100}
_FLAG: Json = {"type": "boolean"}
_MOMENT: Json = {"type": "string", "format": "date-time"}
_UUID: Json = {"type": "string", "format": "uuid"}


def text(*examples: str, **more: Any) -> Json:
    """Return the schema of a text; the examples do not exclude others."""
    return {"type": "string", **more, "examples": list(examples)}


def ref(name: str) -> Json:
    """Return a reference to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def answer_schema(dialect: Dialect, name: str) -> Json:
    """Return a reference to the schema of an answer that shows one object."""
    return ref(name if dialect.style == "offset" else f"{name}Envelope")


def schemas(dialect: Dialect) -> dict[str, Json]:
    """Return all schemas of one style by name."""
    return (
        _REQUESTS
        | _BOTH_STYLES
        | (_offset_schemas() if dialect.style == "offset" else _cursor_schemas())
    )


def _record(description: str, fields: Json, optional: Collection[str] = ()) -> Json:
    required = [name for name in fields if name not in optional]
    return {
        "type": "object",
        "description": description,
        "required": required,
        "properties": fields,
    }


def _open(record: Json) -> Json:
    return record | {"additionalProperties": True}


def _list_of(name: str) -> Json:
    return {"type": "array", "items": ref(name)}


# What goes in.

_PROVIDER_SETTINGS: Json = {
    "openai_api_key": text("sk-openai-abc123...", writeOnly=True),
    "elevenlabs_api_key": text("el_api_abc123...", writeOnly=True),
    "elevenlabs_agent_id": text("agent_xyz789..."),
    "custom_endpoint": text("wss://your-agent.example.com/voice", pattern=f"^{WEBSOCKET}"),
    "system_prompt": text("You are a helpful assistant."),
}


def _new_trunk(provider: str) -> Json:
    needed = REQUIRED_BY_PROVIDER[provider]
    settings = {
        name: schema | {"minLength": 1} if name in needed else schema
        for name, schema in _PROVIDER_SETTINGS.items()
    }
    fields = {
        "name": text("Production OpenAI Agent", minLength=1),
        "ai_provider": {"type": "string", "const": provider},
        "sip_username": text(
            "agent-prod-01", description="Unique.", pattern=f"^{SIP_USERNAME.pattern}$"
        ),
        "sip_password": text("s3cur3P@ssw0rd!", writeOnly=True, minLength=SHORTEST_SIP_PASSWORD),
        **settings,
    }
    return _record(
        f"A trunk to `{provider}`. Unknown fields are kept.", fields, settings.keys() - set(needed)
    )


_NEW_TRUNKS = {
    f"New{name}Trunk": provider
    for name, provider in zip(("OpenAI", "ElevenLabs", "Custom"), PROVIDERS, strict=True)
}

_INBOUND_AGENT: Json = {
    "description": "An id, an agent object, or null.",
    "anyOf": [
        _TEXT,
        {"type": "object", "properties": {"id": _TEXT, "name": _TEXT_OR_NULL}},
        {"type": "null"},
    ],
}

_NUMBER_SETTINGS: Json = {
    "label": _TEXT_OR_NULL,
    "outbound_only": _FLAG,
    "description": _TEXT_OR_NULL,
    "example_context": {"type": ["object", "null"], "additionalProperties": _TEXT},
    "inbound_agent": _INBOUND_AGENT,
}

_REQUESTS: dict[str, Json] = {
    **{name: _new_trunk(provider) for name, provider in _NEW_TRUNKS.items()},
    "NewTrunk": {
        "description": "What must be given depends on `ai_provider`.",
        "oneOf": [ref(name) for name in _NEW_TRUNKS],
        "discriminator": {
            "propertyName": "ai_provider",
            "mapping": {provider: ref(name)["$ref"] for name, provider in _NEW_TRUNKS.items()},
        },
    },
    "TrunkChanges": {
        "type": "object",
        "description": "Only what is given changes. Read-only fields change nothing; unknown "
        "ones (such as `vad`) are kept.",
        "properties": {
            "name": text("Production OpenAI Agent v2", minLength=1),
            **_PROVIDER_SETTINGS,
        },
    },
    "NumberChanges": {
        "type": "object",
        "description": "Only what is given changes. Unknown fields change nothing.",
        "properties": _NUMBER_SETTINGS,
    },
}

# What comes out.

_PROVIDER = text(*PROVIDERS)
TRUNK_STATUS = text("active", "inactive", "error")
DIRECTION = text("inbound", "outbound")
_TRUNK_METRICS = _record(
    "The trunk's last 24 hours.",
    {"calls_today": _COUNT, "success_rate": _PERCENT, "avg_latency_ms": _MILLISECONDS},
)
_LATENCIES: Json = {
    "carrier_lag_ms": _MILLISECONDS,
    "ai_latency_ms": _MILLISECONDS,
    "gateway_processing_ms": _MILLISECONDS,
}
_MEDIA: Json = {
    "packet_loss_percent": _PERCENT,
    "jitter_ms": {"type": "number", "minimum": 0},
    "codec_used": text("PCMU", "opus"),
}
_AVERAGE: Json = {
    "type": ["number", "null"],
    "minimum": 0,
    "description": "Null without calls.",
}

_BOTH_STYLES: dict[str, Json] = {
    "SipCredentials": _record(
        "A trunk's new password, shown this once; the old one is invalid.",
        {"id": _TEXT, "sip_username": _TEXT, "sip_password": _TEXT, "rotated_at": _MOMENT},
    ),
    "CallMetrics": _record(
        "The call's latencies and the quality of its media.", _LATENCIES | _MEDIA
    ),
    "CallTurn": _record(
        "Who spoke, and for how long.",
        {
            "turn_number": {"type": "integer", "minimum": 1},
            "speaker": text("agent", "caller"),
            "duration_ms": _MILLISECONDS,
            "processing_time_ms": _MILLISECONDS,
        },
    ),
    "AnalyticsOverview": _record(
        "Averages over the calls selected.",
        {
            "total_calls": _COUNT,
            "success_rate": _AVERAGE | {"maximum": 100},
            "avg_ai_latency_ms": _AVERAGE,
            "avg_carrier_lag_ms": _AVERAGE,
            "avg_gateway_processing_ms": _AVERAGE,
            "avg_duration_seconds": _AVERAGE,
        },
    ),
    "PhoneNumber": _record(
        "A phone number and the agent that answers it.",
        {
            "id": _UUID,
            "user_id": _UUID,
            "number": text("+15550100001", pattern=f"^{E164.pattern}$"),
            "active": _FLAG,
            "inbound_agent_name": _TEXT_OR_NULL,
            "telephony_provider": text("twilio", "vonage"),
            "telephony_account_connection": {
                "anyOf": [_TEXT, {"type": "object"}],
                "description": "An id, or an object.",
            },
            **_NUMBER_SETTINGS,
        },
    ),
}


def _error(optional: Collection[str]) -> Json:
    fields = {
        "code": _TEXT,
        "message": _TEXT,
        "status": {"type": "integer", "description": "The HTTP status again."},
    }
    return _record(
        "Why the request was refused.", {"error": _record("Branch on `code`.", fields, optional)}
    )


def _call(statuses: Collection[str]) -> Json:
    return {
        "id": _TEXT,
        "trunk_id": _TEXT,
        "from": _TEXT,
        "to": _TEXT,
        "direction": DIRECTION,
        "status": text(*statuses),
        "duration_seconds": _COUNT,
        "start_time": _MOMENT,
        "end_time": _MOMENT,
    }


_CALL_DETAILS: Json = {
    "disconnect_reason": text("caller_hangup", "agent_hangup"),
    "metrics": ref("CallMetrics"),
    "turns": _list_of("CallTurn"),
    "sip_trace": text(
        "INVITE sip:+15550100001@sip.telepathvoice.com SIP/2.0", description="One message a line."
    ),
}


def _offset_schemas() -> dict[str, Json]:
    head = {"id": _TEXT, "name": _TEXT, "status": TRUNK_STATUS}
    trunk = head | {
        "ai_provider": _PROVIDER,
        "sip_username": _TEXT,
        "sip_endpoint": _TEXT,
        "created_at": _MOMENT,
    }
    call = _call(OffsetDialect.call_statuses)
    return {
        "Trunk": _record("A trunk just created.", trunk),
        "ListedTrunk": _open(
            _record(
                "A trunk, the figures of its last day, and the fields that clients added.",
                trunk | {"updated_at": _MOMENT, "metrics": ref("TrunkMetrics")},
            )
        ),
        "UpdatedTrunk": _record("A trunk just updated.", head | {"updated_at": _MOMENT}),
        "TrunkMetrics": _TRUNK_METRICS,
        "Call": _record("A call.", call | _LATENCIES),
        "CallDetails": _record("Everything about a call.", call | _CALL_DETAILS),
        "Pagination": _record(
            "The position in the list.", {"limit": _COUNT, "offset": _COUNT, "total": _COUNT}
        ),
        "TrunkPage": _record(
            "A page of trunks.",
            {"trunks": _list_of("ListedTrunk"), "pagination": ref("Pagination")},
        ),
        "CallPage": _record(
            "A page of calls.", {"calls": _list_of("Call"), "pagination": ref("Pagination")}
        ),
        "Error": _error(optional=["status"]),
    }


def _cursor_schemas() -> dict[str, Json]:
    call = _call(CursorDialect.call_statuses) | _LATENCIES
    trunk = {
        "id": _TEXT,
        "name": _TEXT,
        "provider": _PROVIDER,
        "sip_endpoint": _TEXT,
        "sip_username": _TEXT,
        "status": TRUNK_STATUS,
        "created_at": _MOMENT,
        "updated_at": _MOMENT,
    }
    own = {
        "Trunk": _open(_record("A trunk, and the fields that clients added.", trunk)),
        "Call": _record("A call.", call),
        "CallDetails": _record(
            "Everything about a call.", call | _CALL_DETAILS | {"timeline": _list_of("CallEvent")}
        ),
        "CallEvent": _record(
            "What happened, and when.",
            {"event": text("call.started", "call.ended"), "timestamp": _MOMENT},
        ),
        "TrunkPage": _cursor_page("Trunk"),
        "CallPage": _cursor_page("Call"),
        "Error": _error(optional=[]),
    }
    enveloped = ("Trunk", "SipCredentials", "CallDetails", "AnalyticsOverview")
    return own | {
        f"{name}Envelope": _record("The answer's envelope.", {"data": ref(name)})
        for name in enveloped
    }


def _cursor_page(name: str) -> Json:
    next_cursor = _TEXT_OR_NULL | {"description": "Null on the last page. Pass it back unchanged."}
    return _record(
        "A page.", {"data": _list_of(name), "next_cursor": next_cursor, "has_more": _FLAG}
    )
