"""Handle one request: record, count, perhaps fail on purpose, authenticate, execute, answer."""

import asyncio
import hmac
import itertools
import json
import secrets
from collections.abc import Mapping
from typing import Any

import attrs
from aiohttp import web

from .contract import openapi
from .dialect import Dialect
from .faults import Fault, FaultQueue
from .handlers import Invocation, find_handler, path_segments
from .problem import ApiProblem, plain_problem
from .ratelimit import FixedWindow
from .recorded import RecordedRequest
from .world import World

# A server left running must not grow without bound.
MOST_REQUESTS_REMEMBERED = 100_000
_THROTTLED = "rate_limit_exceeded"


@attrs.frozen
class Reply:
    """An answer, ready to be sent."""

    status: int
    body: bytes
    headers: Mapping[str, str]


class Gateway:
    """Answer the requests of one sandbox, each held back for `latency` seconds."""

    def __init__(
        self, world: World, dialect: Dialect, api_key: str, limit: FixedWindow, latency: float
    ) -> None:
        self.requests: list[RecordedRequest] = []
        self.faults = FaultQueue()
        self.throttled = 0
        self._world = world
        self._dialect = dialect
        self._authorization = f"Bearer {api_key}".encode()
        self._limit = limit
        self._latency = latency
        self._request_prefix = f"req_{secrets.token_hex(4)}"
        self._request_numbers = itertools.count(1)
        self._in_flight: set[asyncio.Task[Any]] = set()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, or drop its connection."""
        task = asyncio.current_task()
        assert task is not None  # a coroutine always runs in one
        self._in_flight.add(task)
        try:
            if (request.method, request.path) == ("GET", "/openapi.json"):
                return web.json_response(openapi(self._dialect.style, server="/v1"))
            return await self._exchange(request)
        except ConnectionError:  # the client has left; aiohttp would log a traceback
            return web.Response()
        finally:
            self._in_flight.discard(task)

    async def cancel(self) -> None:
        """Cut off every request in flight, delayed ones too."""
        tasks = tuple(self._in_flight)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _exchange(self, request: web.BaseRequest) -> web.StreamResponse:
        record, unreadable = await self._record(request)
        refusal = self._admit(record) or unreadable
        fault = self._fault(record, refusal)
        reply = self._reply(record, refusal, fault)
        delay = self._latency + (fault.delay if fault else 0)
        if delay:
            await asyncio.sleep(delay)
        if reply is None or (fault and fault.drop):
            return await _drop(request, reply)
        record.status = reply.status
        return web.Response(status=reply.status, body=reply.body, headers=reply.headers)

    async def _record(self, request: web.BaseRequest) -> tuple[RecordedRequest, ApiProblem | None]:
        unreadable, body = None, b""
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            unreadable = plain_problem(413, "The request body is too large")
        except web.RequestPayloadError:
            unreadable = plain_problem(400, "The request body does not match Content-Encoding")
        target = request.raw_path  # as sent; to a proxy, clients send the whole URL
        target = target if target.startswith("/") else request.rel_url.raw_path_qs
        path, _, query = target.partition("?")
        at = asyncio.get_running_loop().time()
        record = RecordedRequest(request.method, path, query, request.headers.copy(), body, at)
        if len(self.requests) >= MOST_REQUESTS_REMEMBERED:
            del self.requests[: MOST_REQUESTS_REMEMBERED // 2]
        self.requests.append(record)
        return record, unreadable

    def _admit(self, record: RecordedRequest) -> ApiProblem | None:
        """Check the key, and count the request against the key's limit.

        A request with another key counts nowhere.
        """
        given = record.headers.get("Authorization", "").encode(errors="surrogateescape")
        if not hmac.compare_digest(given, self._authorization):
            return self._dialect.bad_key()
        if self._limit.spend():
            return None
        self.throttled += 1
        wait = self._limit.retry_after()
        return ApiProblem(
            429,
            _THROTTLED,
            f"Rate limit exceeded. Try again in {wait} s",
            {"Retry-After": str(wait)},
        )

    def _fault(self, record: RecordedRequest, refusal: ApiProblem | None) -> Fault | None:
        """Take the fault meant for this request; one that is over the limit never gets as far."""
        if refusal and refusal.code == _THROTTLED:
            return None
        return self.faults.take(record.method, path_segments(record.path))

    def _reply(
        self, record: RecordedRequest, refusal: ApiProblem | None, fault: Fault | None
    ) -> Reply | None:
        """Return the answer, or None to close the connection without one."""
        if fault is None:
            return self._execute(record, refusal)
        reply = self._execute(record, refusal) if fault.executes else None
        if fault.status is not None:
            return self._scripted(fault.status, fault)
        return None if fault.drop == "after" else reply

    def _scripted(self, status: int, fault: Fault) -> Reply:
        reply = self._say(
            status,
            self._dialect.error(plain_problem(status, "Scripted by fail_next")),
            fault.headers,
        )
        return reply if fault.body is None else attrs.evolve(reply, body=fault.body)

    def _execute(self, record: RecordedRequest, refusal: ApiProblem | None) -> Reply:
        try:
            if refusal:
                raise refusal
            self._world.catch_up()
            handler, resource_id = find_handler(record.method, path_segments(record.path))
            invocation = Invocation(
                self._world, self._dialect, resource_id, dict(record.query), record.body
            )
            return self._say(*handler(invocation))
        except ApiProblem as problem:
            return self._say(problem.status, self._dialect.error(problem), problem.headers)

    def _say(
        self, status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> Reply:
        own = {
            "Content-Type": "application/json",
            "X-Request-Id": f"{self._request_prefix}{next(self._request_numbers):08x}",
            **self._limit.headers(),
        }
        encoded = json.dumps(body, separators=(",", ":")).encode()
        return Reply(status, encoded, _overridden(own, headers) if headers else own)


def _overridden(own: Mapping[str, str], headers: Mapping[str, str]) -> Mapping[str, str]:
    names = {name.lower() for name in headers}
    return {name: value for name, value in own.items() if name.lower() not in names} | dict(headers)


async def _drop(request: web.BaseRequest, cut_reply: Reply | None) -> web.StreamResponse:
    """Abort the connection; before that, send the head and the first half of `cut_reply`."""
    response = web.StreamResponse()
    if cut_reply is not None:
        response = web.StreamResponse(status=cut_reply.status, headers=cut_reply.headers)
        response.content_length = len(cut_reply.body)
        await response.prepare(request)
        await response.write(cut_reply.body[: len(cut_reply.body) // 2])
    if request.transport:
        request.transport.abort()
    return response
