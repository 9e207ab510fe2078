"""12. An answer is bounded in bytes, time and depth, whatever the server sends.

One exchange at a time, with its cap and its timeout, is proven in `tests/test_transport.py`; here,
what the public face does with its defaults, how much memory that takes, and how deep an answer may
be.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import subprocess
import sys
import time
import tracemalloc
import zlib

import pytest

from telepath_async import PagingError, RequestTimeout, ResponseError, TelepathError
from tests.support.hostile import Hostile, cut, drip, endless, reply
from tests.support.operations import BY_NAME, OPERATIONS, TRUNK, client_at

MIB = 2**20
DEPTHS = (90, 300, 400, 450, 480, 700, 900, 960, 1000, 5000, 100_000)


def bomb() -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    packed = b"".join(packer.compress(b" " * MIB) for _ in range(64)) + packer.flush()
    assert len(packed) <= 66_000
    return packed


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("name", ["list calls by offset", "create", "rotate"])
async def test_a_gzip_bomb_of_64_mib_peaks_under_24_mib_with_the_default_cap(
    name: str, status: int
) -> None:
    headers = {"Content-Encoding": "gzip"}
    async with (
        Hostile([reply(status, bomb(), headers=headers)]) as server,
        client_at(server, timeout=20.0) as client,
    ):
        with pytest.raises(TelepathError):
            await client.with_options(timeout=0.01).calls.get("c")  # imports and pools are warm now
        tracemalloc.start()
        try:
            with pytest.raises(TelepathError) as caught:
                await BY_NAME[name].call(client)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 24 * MIB
    if isinstance(caught.value, ResponseError):
        assert caught.value.raw == b" " * MIB


IN_A_PROCESS_OF_ITS_OWN = """
import asyncio, resource, sys
from telepath_async import LocalLimiter, TelepathClient, TelepathError

async def main():
    async with TelepathClient("key", base_url=sys.argv[1], timeout=20.0) as client:
        try:
            await client.calls.get("small")
        except TelepathError:
            pass
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            await client.calls.get("large")
        except TelepathError as error:
            print(type(error).__name__, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in other units elsewhere")
async def test_a_gzip_bomb_takes_less_than_24_mib_of_a_process() -> None:
    script = [reply(404), reply(200, bomb(), headers={"Content-Encoding": "gzip"})]
    async with Hostile(script) as server:
        command = [sys.executable, "-c", IN_A_PROCESS_OF_ITS_OWN, server.url]
        done = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, check=True, timeout=30
        )
    kind, kilobytes = done.stdout.split()
    assert kind == "ResponseError"
    assert int(kilobytes) < 24 * 1024


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
ENDLESS = {
    "body": endless(OK + b"\r\n", b" " * 50_000),
    "chunks": endless(CHUNKED, b"c350\r\n" + b" " * 50_000 + b"\r\n"),
    "small chunks": endless(CHUNKED, b"1\r\n \r\n" * 5_000),
    "one chunk": endless(CHUNKED + b"fffffffffffffff\r\n", b" " * 50_000),
    "chunk size": endless(CHUNKED, b"0" * 50_000),
    "chunk extension": endless(CHUNKED + b"1;x=", b"x" * 50_000),
    "trailers": endless(CHUNKED + b"2\r\n{}\r\n0\r\n", b"X-More: and more\r\n" * 2_000),
    "headers": endless(OK, b"X-More: and more\r\n" * 2_000),
    "one header": endless(OK + b"X-More: ", b"x" * 50_000),
    "header's name": endless(OK, b"x" * 50_000),
    "status line": endless(b"HTTP/1.1 200 ", b"x" * 50_000),
    "empty lines": endless(b"", b"\r\n" * 20_000),
    "1xx": endless(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 1_000),
    "100": endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000),
    "gzip": endless(
        OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"")[:10],
        b"\x00\x50\xc3\xaf\x3c" + b" " * 50_000,
    ),
    "gzip members": endless(OK + b"Content-Encoding: gzip\r\n\r\n", gzip.compress(b"") * 1_000),
    "content-length": endless(OK + b"Content-Length: 99999999999999\r\n\r\n", b" " * 50_000),
}


@pytest.mark.parametrize("what", ENDLESS)
async def test_what_has_no_end_ends_in_time_and_in_little_memory(what: str) -> None:
    async with (
        Hostile([ENDLESS[what]]) as server,
        client_at(server, max_response_bytes=MIB, timeout=0.4) as client,
    ):
        tracemalloc.start()
        began = time.monotonic()
        try:
            with pytest.raises(TelepathError):
                await client.calls.get("c")
            took, peak = time.monotonic() - began, tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert took < 10.0
        assert peak < 24 * MIB
        await server.until(lambda it: it.open == 0)


@pytest.mark.parametrize("place", ["head", "body"])
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
async def test_a_slow_drip_ends_with_the_calls_own_timeout(operation: object, place: str) -> None:
    whole = BY_NAME["get"].answer
    step = (
        drip(whole, 0.05)
        if place == "head"
        else drip(reply(200, b" " * 5000 + b"{}"), 0.05, size=25)
    )
    async with Hostile([step]) as server, client_at(server, timeout=0.1) as client:
        began = time.monotonic()
        with pytest.raises(TelepathError):
            await operation.call(client)  # type: ignore[attr-defined]
        assert time.monotonic() - began < 4.0


async def test_a_list_of_slow_pages_is_bounded_page_by_page() -> None:
    page = cut(reply(200, b'{"data": [], "next_cursor": "%d"}' % time.monotonic_ns()), -1, "hang")
    async with Hostile([page]) as server, client_at(server, timeout=0.1) as client:
        with pytest.raises(RequestTimeout):
            await client.calls.list(prefetch=8).collect()


def nested(depth: int, kind: str, leaf: str = "1") -> str:
    opening, closing = {
        "list": ("[", "]"),
        "object": ('{"a":', "}"),
        "credential": ('{"token":[', "]}"),
    }[kind]
    return opening * depth + leaf + closing * depth


@pytest.mark.parametrize("kind", ["list", "object", "credential"])
@pytest.mark.parametrize("depth", DEPTHS)
async def test_an_answer_of_any_depth_is_read_or_is_our_error(depth: int, kind: str) -> None:
    deep = nested(depth, kind)
    row = json.dumps(TRUNK)[:-1]
    bodies = [
        deep,
        f'{{"data": {deep}}}',
        f'{row}, "new": {deep}}}',
        f'{row}, "metrics": {{"new": {deep}}}}}',
        f'{row}, "metrics": {deep}, "credentials": {deep}}}',
        f'{{"trunks": [{row}, "new": {deep}}}]}}',
        f'{{"data": [{row}, "token": {deep}}}], "next_cursor": null, "pagination": {deep}}}',
        f'{{"error": {deep}}}',
        f'{{"error": {{"message": {deep}, "code": {deep}}}}}',
        f'{{"number": "+15550003", "inbound_agent": {deep}}}',
    ]
    for status in (200, 400):
        for body in bodies:
            async with (
                Hostile([reply(status, body.encode())]) as server,
                client_at(server) as client,
            ):
                for name in (
                    "list trunks by offset",
                    "update",
                    "rotate",
                    "get",
                    "overview",
                    "number",
                    "request",
                ):
                    try:
                        result = await BY_NAME[name].call(client)
                    except TelepathError:
                        continue
                    if name == "request":
                        try:
                            result.json()
                        except ResponseError:
                            continue


NUMBERS = [
    "1" * 5_000, "-" + "9" * 100_000, "1e400", "-1e400", "1e-400", "0." + "3" * 50_000, "1" * 25,
    "1e99999999", "NaN", "Infinity", "-0", "1E+0", "9223372036854775808", "0.1e1", "01", "1.",
]  # fmt: skip


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number[:12])
async def test_a_number_of_any_size_is_read_or_is_our_error_in_no_time(number: str) -> None:
    bodies = [
        number,
        f'{{"id": "c", "duration_seconds": {number}, "ai_latency_ms": {number}, "new": {number}}}',
        f'{{"trunks": [], "pagination": {{"total": {number}, "limit": {number}, "offset": 0}}}}',
        f'{{"total_calls": {number}, "success_rate": {number}}}',
        f'{{"error": {{"message": {number}}}}}',
    ]
    began = time.monotonic()
    for status in (200, 429):
        for body in bodies:
            headers = {
                "Retry-After": number[:200],
                "X-RateLimit-Reset": number[:200],
                "X-RateLimit-Limit": number[:200],
            }
            async with Hostile([reply(status, body.encode(), headers=headers)]) as server:
                for name in ("list trunks by offset", "get", "overview"):
                    async with client_at(server) as client:  # not paused by the 429 before
                        with contextlib.suppress(TelepathError):
                            await BY_NAME[name].call(client)
    assert time.monotonic() - began < 20.0


async def test_a_list_whose_rows_have_no_ids_is_not_asked_for_page_by_page_forever() -> None:
    page = reply(200, b'{"trunks": [{"name": "a"}, {"name": "b"}]}')
    async with Hostile([page]) as server, client_at(server) as client:
        with pytest.raises(PagingError, match="the same page twice, without a usable id"):
            await client.trunks.list(page_size=2).collect()
    assert len(server.requests) <= 3
