"""What the OpenAPI document shows: the API reference's own values.

The dialects bring them into their shapes.
"""

from typing import Any

from .dialect import Dialect

Json = dict[str, Any]

NEW_TRUNKS: dict[str, Json] = {
    "openai": {
        "name": "Production OpenAI Agent",
        "ai_provider": "openai",
        "sip_username": "agent-prod-01",
        "sip_password": "s3cur3P@ssw0rd!",
        "openai_api_key": "sk-openai-abc123...",
        "system_prompt": "You are a helpful customer service agent.",
    },
    "elevenlabs": {
        "name": "ElevenLabs Sales Agent",
        "ai_provider": "elevenlabs",
        "sip_username": "el-sales-01",
        "sip_password": "s3cur3P@ssw0rd!",
        "elevenlabs_api_key": "el_api_abc123...",
        "elevenlabs_agent_id": "agent_xyz789...",
    },
    "custom": {
        "name": "Custom WebSocket Agent",
        "ai_provider": "custom",
        "sip_username": "custom-agent-01",
        "sip_password": "s3cur3P@ssw0rd!",
        "custom_endpoint": "wss://your-agent.example.com/voice",
    },
}

TRUNK_CHANGES: Json = {
    "name": "Production OpenAI Agent v2",
    "system_prompt": "You are a knowledgeable support specialist.",
}

TRUNK_METRICS: Json = {"calls_today": 142, "success_rate": 97.2, "avg_latency_ms": 245}

OVERVIEW: Json = {
    "total_calls": 12_450,
    "success_rate": 97.2,
    "avg_ai_latency_ms": 245.3,
    "avg_carrier_lag_ms": 61.8,
    "avg_gateway_processing_ms": 15.4,
    "avg_duration_seconds": 187.5,
}

NUMBER_CHANGES: Json = {
    "label": "My Phone Number",
    "outbound_only": False,
    "description": "Business line for customer service",
    "example_context": {},
    "inbound_agent": "agent_123",
}

NUMBER: Json = {
    "id": "550e8400-e29b-41d4-a716-446655440000",
    "user_id": "550e8400-e29b-41d4-a716-446655440000",
    "number": "+15550100001",
    "active": True,
    "inbound_agent_name": "Agent agent_123",
    "telephony_provider": "twilio",
    "telephony_account_connection": "550e8400-e29b-41d4-a716-446655440000",
    **NUMBER_CHANGES,
}


def trunk_id(dialect: Dialect) -> str:
    """Return the id of the example's trunk."""
    return f"{dialect.trunk_id_prefix}abc123xyz"


def call_id(dialect: Dialect) -> str:
    """Return the id of the example's call."""
    return f"{dialect.call_id_prefix}abc123xyz"


def trunk(dialect: Dialect) -> Json:
    """Return the example's trunk in the sandbox's neutral form."""
    return {
        "id": trunk_id(dialect),
        "name": "Production OpenAI Agent",
        "status": "active",
        "provider": "openai",
        "sip_username": "agent-prod-01",
        "created_at": "2024-03-10T12:00:00Z",
        "updated_at": "2024-03-10T15:30:00Z",
    }


def call(dialect: Dialect) -> Json:
    """Return the example's call as lists show it."""
    return {
        "id": call_id(dialect),
        "trunk_id": trunk_id(dialect),
        "from": "+15551234567",
        "to": "+15550100001",
        "direction": "inbound",
        "status": dialect.call_statuses[0],
        "duration_seconds": 24,
        "start_time": "2024-03-10T12:00:00Z",
        "end_time": "2024-03-10T12:00:24Z",
        "carrier_lag_ms": 62,
        "ai_latency_ms": 245,
        "gateway_processing_ms": 15,
    }


def credentials(dialect: Dialect) -> Json:
    """Return the example's rotated credentials."""
    return {
        "id": trunk_id(dialect),
        "sip_username": "agent-prod-01",
        "sip_password": "n3wS3cur3P@ssw0rd!",
        "rotated_at": "2024-03-10T15:30:00Z",
    }
