"""Model the API on the hostile server: creates, rotates and updates are executed and counted.

It plays foul when told.

It takes one SIP username as often as it is sent, so that a create that comes twice shows. What it
did is in `created`, `rotated` and `updated`; `faults` are played one an exchange, in order of
arrival, and `fault_of(number)` after them.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs, urlsplit

from telepath_async import LocalLimiter, RetryPolicy, TelepathClient
from tests.support.hostile import Hostile, Received, Step, Then, answering, reply

KEY = "sk_live_promises"
SPEC: dict[str, Any] = {
    "name": "n",
    "ai_provider": "custom",
    "sip_password": "s3cur3P@ssw0rd!",
    "custom_endpoint": "wss://example.com/ai",
}


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one exchange.

    `answer`: makes other bytes of the real answer; `executes`: whether it is carried out; `cut`:
    send so many bytes of the answer; `read`: read so many of the request, and carry nothing out;
    `pause`: seconds.
    """

    then: Then = "keep"
    cut: int | None = None
    read: int | None = None
    answer: Callable[[bytes], bytes] = bytes
    executes: bool = True
    pause: float = 0.0


def refuse(status: int, *, executes: bool = False, body: bytes = b"{}", **headers: str) -> Fault:
    """Answer with this status, whether or not it was carried out."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Fault(answer=lambda _: reply(status, body, headers=named).bytes, executes=executes)


@dataclass
class TrunkServer(Hostile):
    """The server."""

    script: Any = None
    faults: deque[Fault] = field(default_factory=deque)
    fault_of: Callable[[int], Fault | None] = lambda number: None
    connection: str = "keep-alive"
    created: list[dict[str, Any]] = field(default_factory=list)
    rotated: list[tuple[str, str]] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    made: int = 0

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    def next_step(self) -> Step:
        number, self.taken = self.taken, self.taken + 1
        fault = self.faults.popleft() if self.faults else self.fault_of(number) or Fault()
        if fault.read is not None:
            return Step(then=fault.then, read=fault.read)
        return answering(lambda request: self._answer(request, fault))

    def _answer(self, request: Received, fault: Fault) -> Step:
        real = self.execute(request) if fault.executes else b""
        return Step(fault.answer(real)[: fault.cut], fault.then, pause=fault.pause)

    def forget(self) -> None:
        """Begin anew, on the same connections."""
        for seen in (self.requests, self.connections, self.created, self.rotated, self.updated):
            seen.clear()

    def execute(self, request: Received) -> bytes:
        """Do what was asked, and return the answer."""
        place = urlsplit(request.target)
        _v1, kind, *rest = place.path.strip("/").split("/")
        match request.method, kind, rest:
            case "POST", "trunks", []:
                trunk = {**json.loads(request.body), **self._stamp(), "status": "active"}
                self.created.append(trunk)
                return self._reply(201, trunk)
            case "POST", "trunks", [trunk_id, _action]:
                self.rotated.append((trunk_id, f"password-{len(self.rotated)}"))
                return self._reply(200, {"id": trunk_id, "sip_password": self.rotated[-1][1]})
            case "PATCH", "trunks", [trunk_id]:
                self.updated.append(trunk_id)
                return self._reply(200, {"id": trunk_id, "name": "n", "status": "active"})
            case "GET", "calls", [call_id]:
                return self._reply(200, {"id": call_id})
            case "GET", _, []:
                return self._reply(200, self._page(kind, parse_qs(place.query)))
        return self._reply(404, {"error": {"code": "not_found"}})

    def _stamp(self) -> dict[str, str]:
        self.made += 1
        return {"id": f"trunk_{self.made}", "created_at": datetime.now(UTC).isoformat()}

    def _page(self, kind: str, query: dict[str, list[str]]) -> dict[str, Any]:
        limit, offset = (
            int(query.get(name, [default])[0])
            for name, default in (("limit", "100"), ("offset", "0"))
        )
        rows = (
            self.created
            if kind == "trunks"
            else [{"id": f"call_{number}"} for number in range(500)]
        )
        return {
            kind: rows[offset : offset + limit],
            "pagination": {"limit": limit, "offset": offset, "total": len(rows)},
        }

    def _reply(self, status: int, body: dict[str, Any]) -> bytes:
        headers = {"Date": formatdate(usegmt=True), "Connection": self.connection}
        return reply(status, json.dumps(body).encode(), headers=headers).bytes


def client_of(server: Hostile, **options: Any) -> TelepathClient:
    """Return a client that hardly waits, with a limiter of its own that never holds it up."""
    chosen: dict[str, Any] = {
        "retry": RetryPolicy(backoff=0.0001, budget=10**9),
        "limiter": LocalLimiter(10**6, 60.0, 10**5),
    }
    return TelepathClient(KEY, base_url=f"{server.url}/v1", **(chosen | options))


def spec(username: str) -> dict[str, Any]:
    """Return what a create needs."""
    return {**SPEC, "sip_username": username}
