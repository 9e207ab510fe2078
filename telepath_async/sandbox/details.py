"""Make up the full record of one call: its turns, SIP trace and timeline.

It follows from the call itself, and is the same each time.
"""

import random
from typing import Any

from .timestamps import iso, unix

Call = dict[str, Any]

_REASONS = {
    "connected": ("caller_hangup", "agent_hangup"),
    "completed": ("caller_hangup", "agent_hangup"),
    "disconnected": ("media_timeout", "carrier_bye"),
    "failed": ("busy", "no_answer", "rejected"),
}


def disconnect_reason(call: Call) -> str:
    """Return why the call ended, fitting its status."""
    return _rng(call, "reason").choice(_REASONS.get(call["status"], ("unknown",)))


def metrics(call: Call) -> dict[str, Any]:
    """Return the call's three latencies, and the quality of its media."""
    rng = _rng(call, "metrics")
    return {
        "carrier_lag_ms": call["carrier_lag_ms"],
        "ai_latency_ms": call["ai_latency_ms"],
        "gateway_processing_ms": call["gateway_processing_ms"],
        "packet_loss_percent": round(rng.expovariate(4), 2),
        "jitter_ms": round(rng.uniform(1, 12), 1),
        "codec_used": rng.choice(("PCMU", "PCMA", "opus")),
    }


def turns(call: Call) -> list[dict[str, Any]]:
    """Return who spoke when; the turns' durations add up to the call's."""
    rng = _rng(call, "turns")
    left_ms = (call["duration_seconds"] or 0) * 1000
    spoken: list[dict[str, Any]] = []
    while left_ms > 0:
        duration_ms = min(left_ms, rng.randint(800, 9_000))
        spoken.append(_turn(len(spoken) + 1, duration_ms, call["ai_latency_ms"] or 0, rng))
        left_ms -= duration_ms
    return spoken


def _turn(number: int, duration_ms: int, ai_latency_ms: int, rng: random.Random) -> dict[str, Any]:
    by_agent = number % 2 == 1  # the agent greets first
    return {
        "turn_number": number,
        "speaker": "agent" if by_agent else "caller",
        "duration_ms": duration_ms,
        "processing_time_ms": round(ai_latency_ms * rng.uniform(0.7, 1.3)) if by_agent else 0,
    }


def sip_trace(call: Call) -> str:
    """Return the call's SIP messages, one a line."""
    answered = call["status"] != "failed"
    invite = [f"INVITE sip:{call['to']}@sip.telepathvoice.com SIP/2.0", "SIP/2.0 100 Trying"]
    rest = (
        ["SIP/2.0 200 OK", "ACK", "BYE", "SIP/2.0 200 OK"]
        if answered
        else ["SIP/2.0 486 Busy Here", "ACK"]
    )
    return "\n".join([*invite, f"Call-ID: {call['id']}", *rest])


def timeline(call: Call) -> list[dict[str, str]]:
    """Return the call's events in order, each with its time."""
    start = int(unix(call["start_time"]))
    end = start + (call["duration_seconds"] or 0)
    answered = [] if call["status"] == "failed" else [("call.answered", start)]
    events = [("call.started", start), *answered, ("call.ended", end)]
    return [{"event": event, "timestamp": iso(moment)} for event, moment in events]


def _rng(call: Call, part: str) -> random.Random:
    return random.Random(f"{call['id']} {part}")
