"""The peers: what people write, or generate, when there is no SDK.

Each gets the same bytes and makes typed objects of them.
"""

import importlib
import json
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pydantic
import requests

from telepath_async.sandbox import openapi

CONNECTIONS = httpx.Limits(max_connections=100, max_keepalive_connections=100)


class PydanticCall(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow", frozen=True)

    id: str
    trunk_id: str | None = None
    from_number: str | None = pydantic.Field(default=None, alias="from")
    to_number: str | None = pydantic.Field(default=None, alias="to")
    direction: str | None = None
    status: str | None = None
    duration_seconds: float | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    carrier_lag_ms: float | None = None
    ai_latency_ms: float | None = None
    gateway_processing_ms: float | None = None


class PydanticMetrics(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow", frozen=True)

    carrier_lag_ms: float | None = None
    ai_latency_ms: float | None = None
    gateway_processing_ms: float | None = None
    packet_loss_percent: float | None = None
    jitter_ms: float | None = None
    codec_used: str | None = None


class PydanticTurn(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow", frozen=True)

    turn_number: int | None = None
    speaker: str | None = None
    duration_ms: float | None = None
    processing_time_ms: float | None = None


class PydanticDetails(PydanticCall):
    disconnect_reason: str | None = None
    metrics: PydanticMetrics | None = None
    turns: list[PydanticTurn] = []
    sip_trace: str | None = None


class PydanticPage(pydantic.BaseModel):
    calls: list[PydanticCall]
    pagination: dict[str, Any]


@asynccontextmanager
async def httpx_client(base_url: str, key: str) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(
        base_url=base_url, headers=headers, limits=CONNECTIONS, trust_env=False
    ) as client:
        yield client


@contextmanager
def generated_client() -> Iterator[Any]:
    """Generate a client from the sandbox's OpenAPI document, now, and import it."""
    with tempfile.TemporaryDirectory() as folder:
        document = Path(folder, "openapi.json")
        document.write_text(json.dumps(openapi("offset")))
        target = Path(folder, "generated_telepath")
        program = str(Path(sys.executable).with_name("openapi-python-client"))
        command = [
            program,
            "generate",
            "--path",
            str(document),
            "--output-path",
            str(target),
            "--meta",
            "none",
        ]
        subprocess.run(command, check=True, capture_output=True)
        sys.path.insert(0, folder)
        try:
            yield importlib.import_module("generated_telepath")
        finally:
            sys.path.remove(folder)


def seed_loop(base_url: str, key: str, rows: int) -> int:
    """The seed's own loop over requests, as its page shows it: one page after the other, dicts."""
    found, offset, limit = 0, 0, 50
    while found < rows:
        answer = requests.get(
            f"{base_url}/calls",
            headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
            params={"limit": limit, "offset": offset},
            timeout=30,
        )
        data = answer.json()
        found += len(data["calls"])
        if len(data["calls"]) < limit:
            break
        offset += limit
    return found
