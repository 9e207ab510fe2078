"""List every operation of the public face, with a good answer to it, for tables of faults."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from attrs import frozen

from telepath_async import LocalLimiter, RetryPolicy, TelepathClient
from tests.support.hostile import Hostile, Step, reply

TRUNK = {
    "id": "conn_1", "name": "Desk", "status": "active", "ai_provider": "openai",
    "sip_username": "desk-1", "sip_endpoint": "desk-1@sip.telepathvoice.com",
    "created_at": "2024-03-10T12:00:00Z",
}  # fmt: skip
CALL = {
    "id": "call_1", "trunk_id": "conn_1", "from": "+15550001", "to": "+15550002",
    "direction": "inbound", "status": "completed", "duration_seconds": 60,
    "start_time": "2024-03-10T12:00:00Z", "ai_latency_ms": 250,
}  # fmt: skip
DETAILS = CALL | {
    "metrics": {"jitter_ms": 2, "codec_used": "opus"},
    "turns": [{"turn_number": 1, "speaker": "caller"}],
    "timeline": [{"type": "answered", "at": "2024-03-10T12:00:01Z"}],
    "sip_trace": "INVITE",
}
NUMBER = {
    "id": "n1",
    "number": "+15550003",
    "label": "Desk",
    "inbound_agent": {"id": "a1", "llm_temperature": 0.5},
    "telephony_account_connection": {
        "id": "c1",
        "type": "account_connection_twilio",
        "credentials": {"sid": "AC"},
    },
}
ROTATED = {
    "id": "conn_1",
    "sip_username": "desk-1",
    "sip_password": "new-sip-password",
    "rotated_at": "2024-03-10T12:00:00Z",
}
OVERVIEW = {
    "total_calls": 5,
    "success_rate": 98.5,
    "avg_ai_latency_ms": 250,
    "by_trunk": {"conn_1": 5},
}

SPEC = {
    "name": "Desk",
    "ai_provider": "openai",
    "sip_username": "desk-1",
    "sip_password": "sip-password",
    "openai_api_key": "sk-1",
}


@frozen
class Operation:
    """`call` makes it; `body` and `status` are a good answer's."""

    name: str
    call: Callable[[TelepathClient], Awaitable[Any]]
    body: bytes
    status: int = 200

    @property
    def answer(self) -> Step:
        return reply(self.status, self.body)


async def _create_many(client: TelepathClient) -> Any:
    (outcome,) = [outcome async for outcome in client.trunks.create_many([SPEC])]
    if outcome.error is not None:
        raise outcome.error
    return outcome.trunk


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _page(name: str, row: object) -> bytes:
    return _json({name: [row], "pagination": {"limit": 100, "offset": 0, "total": 1}})


OPERATIONS = [
    Operation(
        "list trunks by offset",
        lambda client: client.trunks.list().collect(),
        _page("trunks", TRUNK),
    ),
    Operation(
        "list calls by offset", lambda client: client.calls.list().collect(), _page("calls", CALL)
    ),
    Operation(
        "list calls by cursor",
        lambda client: client.calls.list(prefetch=1).collect(),
        _json({"data": [CALL], "next_cursor": None, "has_more": False}),
    ),
    Operation("find", lambda client: client.trunks.find("desk-1"), _page("trunks", TRUNK)),
    Operation("get", lambda client: client.calls.get("call_1"), _json({"data": DETAILS})),
    Operation("create", lambda client: client.trunks.create(**SPEC), _json(TRUNK), 201),
    Operation("create many", _create_many, _json({"data": TRUNK}), 201),
    Operation(
        "update",
        lambda client: client.trunks.update("conn_1", name="Desk", openai_api_key="sk-1"),
        _json(TRUNK),
    ),
    Operation("rotate", lambda client: client.trunks.rotate_sip_password("conn_1"), _json(ROTATED)),
    Operation("overview", lambda client: client.analytics.overview(), _json(OVERVIEW)),
    Operation(
        "number",
        lambda client: client.numbers.update("+15550003", label="Desk"),
        _json(NUMBER),
        201,
    ),
    Operation("request", lambda client: client.request("GET", "/new"), b"[]"),
]
BY_NAME = {operation.name: operation for operation in OPERATIONS}


def no_limit() -> LocalLimiter:
    """Return a limiter that never waits."""
    return LocalLimiter(limit=10**7, burst=10**6)


def client_at(server: Hostile, **options: Any) -> TelepathClient:
    """Return a client that tries once, quickly."""
    defaults = {"limiter": no_limit(), "retry": RetryPolicy(max_attempts=1), "timeout": 2.0}
    return TelepathClient(
        **({"api_key": "key", "base_url": f"{server.url}/v1"} | defaults | options)
    )
