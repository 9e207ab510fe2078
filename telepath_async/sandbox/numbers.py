"""Serve the phone numbers, by the one endpoint that another vendor documents.

API reference: Update Number.
"""

import random
import uuid
from collections.abc import Mapping
from typing import Any

Number = dict[str, Any]

LINES = tuple(f"+1555010000{line}" for line in range(1, 6))


def make_numbers(rng: random.Random) -> dict[str, Number]:
    """Make up the numbers, by their E.164 form."""
    user_id = _uuid(rng)
    return {line: _number(rng, line, user_id) for line in LINES}


def update_number(number: Number, changes: Mapping[str, Any]) -> None:
    """Change a number in place; its `inbound_agent_name` follows its agent."""
    number |= changes
    agent = number["inbound_agent"]
    if agent is None:
        number["inbound_agent_name"] = None
    elif isinstance(agent, dict):
        number["inbound_agent_name"] = agent.get("name")
    else:
        number["inbound_agent_name"] = f"Agent {agent}"


def _number(rng: random.Random, line: str, user_id: str) -> Number:
    return {
        "id": _uuid(rng),
        "user_id": user_id,
        "number": line,
        "active": True,
        "label": f"Line {line[-1]}",
        "inbound_agent_name": "Agent agent_123",
        "outbound_only": False,
        "example_context": {},
        "telephony_provider": rng.choice(("twilio", "vonage")),
        "description": None,
        "inbound_agent": "agent_123",
        "telephony_account_connection": _uuid(rng),
    }


def _uuid(rng: random.Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))
