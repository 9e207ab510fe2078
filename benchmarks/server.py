"""Serve just enough of the API for the benchmarks, at the least possible cost.

`python benchmarks/server.py [--latency-ms 50]` is a process of its own. It knows one call, lists of
calls in both styles (cut by `from` and `to`), a list of trunks, and creates. It
prints its base URL and serves until its standard input closes.
"""

import argparse
import asyncio
import sys
from datetime import UTC, datetime
from email.utils import formatdate
from functools import lru_cache
from urllib.parse import parse_qsl

BEGIN = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
STEP = 60  # seconds between two calls
TRUNKS = 200


def call(index: int) -> bytes:
    start = datetime.fromtimestamp(BEGIN + index * STEP, UTC)
    end = datetime.fromtimestamp(BEGIN + index * STEP + 47, UTC)
    return (
        b'{"id":"call_%08d","trunk_id":"conn_abc123xyz","from":"+15551234567","to":"+15557654321",'
        b'"direction":"inbound","status":"completed","duration_seconds":47,"start_time":"%s",'
        b'"end_time":"%s","carrier_lag_ms":52,"ai_latency_ms":248,"gateway_processing_ms":12}'
    ) % (index, f"{start:%Y-%m-%dT%H:%M:%SZ}".encode(), f"{end:%Y-%m-%dT%H:%M:%SZ}".encode())


def details(index: int) -> bytes:
    return call(index)[:-1] + (
        b',"disconnect_reason":"caller_hangup","metrics":{"carrier_lag_ms":52,"ai_latency_ms":248,'
        b'"gateway_processing_ms":12,"packet_loss_percent":0.1,"jitter_ms":2.5,"codec_used":"PCMU"},'
        b'"turns":[{"turn_number":1,"speaker":"agent","duration_ms":5921,"processing_time_ms":305},'
        b'{"turn_number":2,"speaker":"caller","duration_ms":1321,"processing_time_ms":0}],'
        b'"sip_trace":"INVITE sip:+15557654321@sip.telepathvoice.com SIP/2.0"}'
    )


def trunk(index: int, style: str) -> bytes:
    """Return a trunk as seed 002 shows it (`offset`), or as seed 003 does (`cursor`)."""
    if style == "offset":
        return (
            b'{"id":"conn_%06d","name":"Customer Support","status":"active","ai_provider":"openai",'
            b'"sip_username":"support-%06d","created_at":"2024-02-15T10:30:00Z",'
            b'"updated_at":"2024-03-05T14:22:15Z",'
            b'"metrics":{"calls_today":142,"success_rate":97.2,"avg_latency_ms":245}}'
        ) % (index, index)
    return (
        b'{"id":"trunk_%06d","name":"My AI Agent","provider":"openai",'
        b'"sip_endpoint":"sip.telepathvoice.com","sip_username":"trunk_%06d","status":"active",'
        b'"created_at":"2026-03-10T12:00:00Z","updated_at":"2026-03-10T12:00:00Z"}'
    ) % (index, index)


@lru_cache
def trunks(style: str, first: int) -> bytes:
    """Return up to 100 of the 200 trunks, as the seeds show a list."""
    last = min(first + 100, TRUNKS)
    body = b",".join(trunk(index, style) for index in range(first, last))
    if style == "offset":
        pagination = b'"pagination":{"limit":100,"offset":%d,"total":%d}' % (first, TRUNKS)
        return b'{"trunks":[%s],%s}' % (body, pagination)
    more = b'"%d","has_more":true' % last if last < TRUNKS else b'null,"has_more":false'
    return b'{"data":[%s],"next_cursor":%s}' % (body, more)


@lru_cache(maxsize=20_000)
def rows(first: int, last: int) -> bytes:
    return b",".join(call(index) for index in range(first, last))


def page(query: dict[str, str], style: str, size: int) -> bytes:
    low, high = span(query, size)
    limit = min(int(query.get("limit", 20)), 100)
    if style == "offset":
        offset = int(query.get("offset", 0))
        body = rows(low + offset, min(low + offset + limit, high))
        return b'{"calls":[%s],"pagination":{"limit":%d,"offset":%d,"total":%d}}' % (
            body,
            limit,
            offset,
            high - low,
        )
    first = int(query.get("cursor", low))
    last = min(first + limit, high)
    more = (
        b'"next_cursor":"%d","has_more":true' % last
        if last < high
        else b'"next_cursor":null,"has_more":false'
    )
    return b'{"data":[%s],%s}' % (rows(first, last), more)


def span(query: dict[str, str], size: int) -> tuple[int, int]:
    """Return the first call of the date range, and the one behind the last."""
    since, until = query.get("from"), query.get("to")
    low = 0 if since is None else max(0, -(-(seconds(since) - BEGIN) // STEP))
    high = size if until is None else min(size, int((seconds(until) - BEGIN) // STEP) + 1)
    return int(low), max(int(low), int(high))


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


class Api(asyncio.Protocol):
    def __init__(self, style: str, size: int, latency: float) -> None:
        self.style, self.size, self.latency = style, size, latency
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end]
            length = 0
            if head.startswith(b"P"):
                at = head.lower().find(b"content-length:")
                length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.buffer) < end + 4 + length:
                return
            body, self.buffer = (
                self.buffer[end + 4 : end + 4 + length],
                self.buffer[end + 4 + length :],
            )
            answer = self.answer(head.split(b" ", 2)[1].decode(), body)
            if self.latency:
                asyncio.get_running_loop().call_later(self.latency, self.write, answer)
            else:
                self.transport.write(answer)

    def write(self, answer: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(answer)

    def answer(self, target: str, body: bytes) -> bytes:
        return head(self.content(target, body), self.size)

    def content(self, target: str, body: bytes) -> bytes:
        path, _, query = target.partition("?")
        if path == "/v1/trunks" and not body:
            asked = dict(parse_qsl(query))
            return trunks(self.style, int(asked.get("offset", asked.get("cursor", 0))))
        if path == "/v1/trunks":
            username = body.split(b'"sip_username":"', 1)[1].split(b'"', 1)[0]
            return (
                b'{"id":"conn_%s","name":"n","status":"active","ai_provider":"openai","sip_username":"%s",'
                b'"created_at":"2026-03-10T12:00:00Z"}'
            ) % (username, username)
        if path == "/v1/calls":
            return page(dict(parse_qsl(query)), self.style, self.size)
        return details(7)


# Every answer of the API carries them, and the SDK learns from each; here nothing is ever used up.
LIMITS = (
    b"Date: %s\r\nX-RateLimit-Limit: 6000\r\n"
    b"X-RateLimit-Remaining: 999999999\r\nX-RateLimit-Reset: 1767225660\r\n"
)


@lru_cache(maxsize=4096)
def head(content: bytes, size: int) -> bytes:
    """Return an answer; the server's time is two minutes after the last call."""
    date = formatdate(BEGIN + size * STEP + 120, usegmt=True).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n" % (
        LIMITS % date,
        len(content),
    )
    return head + content


async def main(style: str, size: int, latency: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Api(style, size, latency), "127.0.0.1", 0, backlog=2048
    )
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--style", choices=["offset", "cursor"], default="offset")
    parser.add_argument("--size", type=int, default=10_000)
    parser.add_argument("--latency-ms", type=float, default=0.0)
    options = parser.parse_args()
    asyncio.run(main(options.style, options.size, options.latency_ms / 1000))
