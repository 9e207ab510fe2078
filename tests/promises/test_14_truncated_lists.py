"""Promise 14: never take a list that was cut off for a success.

All rows come, or an error whose checkpoint goes on with just the rest.

Every page is cut at every byte, under every way to say how long it is. Errors between pages:
`tests/test_paginator.py`.
"""

from __future__ import annotations

import gzip
import itertools
import json
import random
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest

from telepath_async import TelepathClient, TelepathError
from tests.support.hostile import Hostile, Received, Step, answering, cut, raw, reply
from tests.support.operations import client_at

pytestmark = pytest.mark.long

ROWS = [f"c{number}" for number in range(7)]
PAGE = 3
NEW_ROWS = {"offset": PAGE - 1, "cursor": PAGE}  # of each page after the first


def rows_before(number: int, style: str) -> list[str]:
    """Return the rows that come before this page of the walk."""
    return ROWS[: PAGE + (number - 1) * NEW_ROWS[style]] if number else []


def page_of(request: Received, style: str) -> tuple[int, bytes]:
    """Return the number of the page that was asked for, and its body."""
    query = {name: values[0] for name, values in parse_qs(urlsplit(request.target).query).items()}
    first = int(query.get("offset") or query.get("cursor") or 0)
    rows = [{"id": row} for row in ROWS[first : first + int(query["limit"])]]
    if style == "offset":
        body: dict[str, object] = {
            "calls": rows,
            "pagination": {"total": len(ROWS), "limit": PAGE, "offset": first},
        }
    else:
        after = first + len(rows)
        body = {
            "data": rows,
            "next_cursor": str(after) if after < len(ROWS) else None,
            "has_more": after < len(ROWS),
        }
    return first // NEW_ROWS[style], json.dumps(body, separators=(",", ":")).encode()


OK = b"HTTP/1.1 200 OK\r\n"


def in_chunks(body: bytes) -> bytes:
    pieces = [body[at : at + 20] for at in range(0, len(body), 20)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in [*pieces, b""])


FRAMES: dict[str, Callable[[bytes], bytes]] = {
    "length": lambda body: reply(200, body).bytes,
    "no length": lambda body: OK + b"\r\n" + body,
    "chunked": lambda body: OK + b"Transfer-Encoding: chunked\r\n\r\n" + in_chunks(body),
    "gzip": lambda body: (
        reply(200, gzip.compress(body), headers={"Content-Encoding": "gzip"}).bytes
    ),
    "gzip, no length": lambda body: OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(body),
    "gzip in members": lambda body: (
        OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(body[:20]) + gzip.compress(body[20:])
    ),
    "gzip in chunks": lambda body: (
        OK
        + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
        + in_chunks(gzip.compress(body))
    ),
}


async def walk(
    client: TelepathClient, prefetch: int, resume: str | None = None
) -> tuple[list[str], str, bool]:
    """Return the rows that came, the checkpoint behind them, and whether the list ended well."""
    calls = client.calls.list(page_size=PAGE, prefetch=prefetch, resume=resume)
    got: list[str] = []
    try:
        async for call in calls:
            got.append(call.id)  # noqa: PERF401
    except TelepathError:
        return got, calls.checkpoint, False
    return got, calls.checkpoint, True


async def check(
    server: Hostile,
    style: str,
    number: int,
    bad: Callable[[bytes], Step],
    prefetch: int,
    timeout: float | None = None,
) -> bool:
    """Let one answer to page `number` be `bad`. Return whether the walk ended well.

    `timeout`: where `bad` never ends.
    """
    fault: Callable[[bytes], Step] | None = bad

    def choose(request: Received) -> Step:
        nonlocal fault
        asked, body = page_of(request, style)
        if asked == number and fault is not None:
            step, fault = fault(body), None
            return step
        return reply(200, body)

    server.script = [answering(choose)]
    async with client_at(server, timeout=timeout) as client:
        got, checkpoint, well = await walk(client, prefetch)
    # Where the whole page came and then its connection died, the next page may be the one that is
    # lost. A busy machine may have run out of the time on an earlier page.
    lost_at = range(number + 2) if timeout else (number, number + 1)
    assert got == ROWS if well else got in [rows_before(page, style) for page in lost_at]
    if not well:
        async with client_at(server) as another:  # on connections that nothing has happened to
            rest, _, healed = await walk(another, prefetch, checkpoint)
        assert healed
        assert got + rest == ROWS
    return well


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("style", ["offset", "cursor"])
async def test_a_page_cut_at_any_byte_loses_no_row_in_silence(style: str, frame: str) -> None:
    how = random.Random(f"{style} {frame}")
    ways = itertools.cycle(itertools.product(("close", "reset"), (0, 3)))
    async with Hostile([]) as server:
        for number in range(3):
            longest = len(
                FRAMES[frame](
                    page_of(Received(0, b"GET /?limit=3&offset=2 HTTP/1.1", b""), style)[1]
                )
            )
            for at in range(0, longest + 4, 2):
                then, prefetch = next(ways)
                await check(
                    server, style, number,
                    lambda body: cut(raw(FRAMES[frame](body)), at + how.randrange(2), then),  # type: ignore[arg-type]  # noqa: B023
                    prefetch,
                )  # fmt: skip


@pytest.mark.parametrize("prefetch", [0, 3])
@pytest.mark.parametrize("then", ["close", "reset", "keep"])
@pytest.mark.parametrize("style", ["offset", "cursor"])
async def test_a_page_with_a_length_that_lies_loses_no_row_in_silence(
    style: str, then: str, prefetch: int
) -> None:
    async with Hostile([]) as server:
        for number in range(3):
            for lie in (-60, -20, -3, -2, -1, 1, 2, 40) if then != "keep" else (-40, 1):
                bad = lambda body: reply(200, body, length=len(body) + lie, then=then)  # type: ignore[arg-type]  # noqa: B023, E731
                assert not await check(
                    server, style, number, bad, prefetch, 0.2 if then == "keep" else None
                )


@pytest.mark.parametrize("style", ["offset", "cursor"])
async def test_a_page_whose_end_alone_is_lost_may_be_whole(style: str) -> None:
    """Cut off what is not a part of the JSON: gzip's checksum, or the end of the connection."""
    async with Hostile([]) as server:
        assert await check(
            server, style, 1, lambda body: raw(FRAMES["no length"](body), "close"), 0
        )
        assert not await check(
            server, style, 1, lambda body: cut(raw(FRAMES["no length"](body)), -1, "close"), 0
        )
