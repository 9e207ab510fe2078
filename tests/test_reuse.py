"""An idle connection is looked at before it is used again: on real sockets."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp.client_proto import ResponseHandler

from telepath_async import LocalLimiter, RetryPolicy, TelepathClient
from telepath_async.errors import ConnectionLost
from telepath_async.events import Event, RetryScheduled
from telepath_async.reuse import drop_stale
from tests.support.hostile import CLOSE, RESET, Hostile, Received, Step, answering, cut, reply
from tests.support.keys import KEY
from tests.support.threads import server_in_a_thread
from tests.support.tls import client_context, needs_openssl, server_context
from tests.support.wiring import session_of

OLD_AGE = 0.03
"""Seconds after which the server closes an idle connection."""

BAD_REQUEST = reply(400, b'{"error": {"message": "idle too long"}}').bytes


class Pipe(asyncio.Transport):
    """A transport without a socket, as on a named pipe of Windows."""

    closed = False

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


@asynccontextmanager
async def client_at(
    url: str, session: aiohttp.ClientSession | None = None, **options: Any
) -> AsyncIterator[TelepathClient]:
    async with TelepathClient(
        KEY, base_url=url, limiter=LocalLimiter(1_000_000), session=session, **options
    ) as client:
        yield client


@asynccontextmanager
async def own_session(*, tls: bool = False) -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(ssl=client_context() if tls else True)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session


def echo(request: Received) -> bytes:
    """Answer with the target, so that every call can tell its own answer."""
    return reply(200, request.target.encode()).bytes


def echo_then(stray: bytes, then: Any = "keep") -> Step:
    """Answer, and send more by itself when the connection has been idle for a while."""
    return answering(lambda request: Step([echo(request), stray], then, pause=OLD_AGE))


ECHO = answering(lambda request: Step(echo(request)))
STRAYS = {
    "answer": echo_then(reply(200, b"stray").bytes),
    "garbage": echo_then(b"\x00"),
    "400 and close": echo_then(BAD_REQUEST, "close"),
    "close": echo_then(b"", "close"),
    "reset": echo_then(b"", "reset"),
}
a_stray = pytest.mark.parametrize("stray", STRAYS.values(), ids=STRAYS)
a_busy_loop = pytest.mark.parametrize("wait", [time.sleep, None], ids=["busy loop", "idle loop"])
whose = pytest.mark.parametrize("own", [False, True], ids=["our session", "own session"])


async def pass_time(server: Hostile, wait: Callable[[float], None] | None, pieces: int = 2) -> None:
    """Let the server's idle time pass, with the loop at work for others or blocked."""
    for _ in range(4):  # the last bytes have arrived, and the end has
        while True:
            if wait is None:
                await asyncio.sleep(OLD_AGE)
            else:
                wait(OLD_AGE)
            if server.sent >= pieces:
                break


@whose
@a_busy_loop
@a_stray
async def test_what_came_on_an_idle_connection_is_no_answer_to_the_next_call(
    stray: Step, wait: Callable[[float], None] | None, own: bool
) -> None:
    with server_in_a_thread(stray, ECHO) as server:
        async with (
            own_session() as session,
            client_at(server.url, session if own else None) as client,
        ):
            assert (await client.request("GET", "/c1")).body == b"/c1"
            await pass_time(server, wait)
            for number in range(2, 6):
                assert (await client.request("POST", f"/c{number}")).body == b"/c%d" % number
        assert [request.target for request in server.requests] == [f"/c{n}" for n in range(1, 6)]
        assert [request.connection for request in server.requests] == [0, 1, 1, 1, 1]


@needs_openssl
@a_busy_loop
@pytest.mark.parametrize("kind", ["answer", "400 and close", "close"])
async def test_what_came_on_an_idle_connection_under_tls_is_no_answer_to_the_next_call(
    kind: str, wait: Callable[[float], None] | None
) -> None:
    with server_in_a_thread(STRAYS[kind], ECHO, tls=server_context()) as server:
        async with own_session(tls=True) as session, client_at(server.url, session) as client:
            assert (await client.request("GET", "/c1")).body == b"/c1"
            await pass_time(server, wait)
            for number in range(2, 6):
                assert (await client.request("POST", f"/c{number}")).body == b"/c%d" % number
        assert [request.connection for request in server.requests] == [0, 1, 1, 1, 1]


async def test_a_good_idle_connection_is_used_again() -> None:
    async with Hostile([ECHO]) as server, client_at(server.url) as client:
        for number in range(20):
            await client.request("POST", f"/{number}")
    assert len(server.connections) == 1


async def test_only_as_many_as_needed_of_many_idle_connections_are_looked_at() -> None:
    """A stale one in front of good ones goes, and the good ones stay."""

    def choose(request: Received) -> Step:
        first = request.connection == 0
        return Step([echo(request), b"stray" if first else b""], pause=OLD_AGE)

    async with Hostile([answering(choose)]) as server, client_at(server.url) as client:
        await asyncio.gather(*(client.request("GET", f"/{n}") for n in range(5)))
        await pass_time(server, None, pieces=10)
        for number in range(8):
            assert (await client.request("POST", f"/b{number}")).body == b"/b%d" % number
    assert len(server.connections) == 5


async def test_a_poller_that_keeps_meeting_the_servers_keep_alive_costs_nothing() -> None:
    """Each idle connection dies in the moment in which it is used."""
    events: list[Event] = []
    async with (
        Hostile(lambda number: CLOSE if number % 2 else ECHO) as server,
        client_at(server.url, on_event=events.append) as client,
    ):
        for number in range(400):
            assert (await client.request("GET", f"/{number}")).body == b"/%d" % number
        assert session_of(client).key.budget.spent == 0
    assert len(server.requests) == 799
    retries = [event for event in events if isinstance(event, RetryScheduled)]
    assert {(event.seconds, event.reason) for event in retries} == {(0.0, "ConnectionLost")}


async def test_it_is_sent_again_even_where_there_are_no_retries() -> None:
    never = RetryPolicy(max_attempts=1)
    async with Hostile([ECHO, RESET, ECHO]) as server, client_at(server.url, retry=never) as client:
        await client.request("GET", "/a")
        assert (await client.request("GET", "/b")).body == b"/b"
    assert [request.connection for request in server.requests] == [0, 0, 1]


async def test_it_is_free_once_and_then_costs_what_a_retry_costs() -> None:
    quick = RetryPolicy(backoff=0.001)
    async with Hostile([ECHO, CLOSE]) as server, client_at(server.url, retry=quick) as client:
        await client.request("GET", "/a")
        with pytest.raises(ConnectionLost):
            await client.request("GET", "/b")
        assert session_of(client).key.budget.spent == 15
    assert len(server.requests) == 1 + 1 + 4


async def test_the_neighbours_of_a_connection_that_died_are_not_used_either() -> None:
    """They are as old: all that idled at the time are closed, and the second try opens one."""

    def choose(request: Received) -> Step:
        return Step(echo(request)) if "warm" in request.target else CLOSE

    def script(number: int) -> Step:
        return answering(choose) if number < 11 else ECHO

    async with Hostile(script) as server, client_at(server.url) as client:
        await asyncio.gather(*(client.request("GET", f"/warm{n}") for n in range(10)))
        assert (await client.request("GET", "/x")).body == b"/x"
    assert [request.connection for request in server.requests][10:] == [0, 10]


async def test_a_part_of_an_answer_is_an_outage_and_is_paid_for() -> None:
    quick = RetryPolicy(backoff=0.001)
    begun = cut(reply(200, b"{}"), 12)
    async with Hostile([ECHO, begun, ECHO]) as server, client_at(server.url, retry=quick) as client:
        await client.request("GET", "/a")
        await client.request("GET", "/b")
        assert session_of(client).key.budget.spent == 4


async def test_what_must_not_be_repeated_is_not_sent_again() -> None:
    async with Hostile([ECHO, CLOSE, ECHO]) as server, client_at(server.url) as client:
        await client.request("POST", "/a")
        with pytest.raises(ConnectionLost):
            await client.request("POST", "/b")
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("age", "good"), [(0, True), (1_400, True), (1_490, False), (1_600, False)]
)
async def test_an_idle_connection_without_a_socket_is_believed_until_it_is_old(
    age: float, good: bool
) -> None:
    """One that is not used is closed, and not only forgotten."""
    protocol, pipe = ResponseHandler(asyncio.get_running_loop()), Pipe()
    protocol.connection_made(pipe)
    idle = deque([(protocol, time.monotonic() - age)])
    connector: Any = SimpleNamespace(_conns={"pipe": idle}, _keepalive_timeout=1_500.0)
    key: Any = "pipe"
    assert drop_stale(connector, key) is good
    assert (len(idle), pipe.closed) == (int(good), not good)
