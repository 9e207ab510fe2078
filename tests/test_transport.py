"""Test that a request ends in one answer or one error of ours, when a server plays foul."""

from __future__ import annotations

import asyncio
import gc
import gzip
import math
import socket
import threading
import time
import traceback
import types
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientSession
from hypothesis import given, settings
from hypothesis import strategies as st

from telepath_async import transport
from telepath_async.errors import (
    ConnectionFailed,
    ConnectionLost,
    RequestTimeout,
    ResponseError,
    TelepathError,
    TransportError,
)
from telepath_async.protocol.encoding import MAX_REST
from telepath_async.protocol.messages import Request, Response
from telepath_async.secret import Secret
from tests.support.answers import ANSWERS
from tests.support.hostile import (
    CLOSE,
    HANG,
    RESET,
    Hostile,
    Received,
    Step,
    answering,
    chunked,
    cut,
    cut_request,
    deaf,
    drip,
    endless,
    raw,
    reply,
)
from tests.support.keys import KEY
from tests.support.threads import bluntly, hush, server_in_a_thread
from tests.support.tls import needs_openssl, server_context

PASSWORD = "seeded-sip-password"
SESSION_KEY = "seeded-header-value"
SECRETS = (KEY, PASSWORD, SESSION_KEY)
PACKAGE = str(Path(transport.__file__).parent)

GET = Request(method="GET", path="/calls", template="/calls")
POST = Request(
    method="POST",
    path="/trunks",
    template="/trunks",
    body=f'{{"sip_password":"{PASSWORD}"}}'.encode(),
    repeatable=False,
    secrets=(Secret(PASSWORD),),
)


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    async for opened in transport.hold_open():
        yield opened


async def send(
    session: ClientSession,
    url: str,
    request: Request = GET,
    *,
    timeout: float | None = 2.0,
    until: float = math.inf,
    max_bytes: int = 1_000_000,
    proxy: str | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    origin = transport.Origin(
        base_url=url,
        api_key=Secret(KEY),
        max_bytes=max_bytes,
        proxy=None if proxy is None else Secret(proxy),
    )
    hidden = {
        name: Secret(value)
        for name, value in ({"X-Session": SESSION_KEY} if headers is None else headers).items()
    }
    return await transport.send(
        transport.Http(session),
        origin,
        request,
        headers=origin.headers(hidden),
        timeout=timeout,
        until=until,
    )


async def failure(
    session: ClientSession, url: str, request: Request = GET, **options: Any
) -> TelepathError:
    with pytest.raises(TelepathError) as caught:
        await send(session, url, request, **options)
    assert_clean(caught.value)
    return caught.value


def assert_clean(error: BaseException) -> None:
    """Assert that the chain holds only our errors, and no secret in messages or locals."""
    for link in chain_of(error):
        assert isinstance(link, TelepathError), f"{link!r} is in the chain"
        shown = f"{link} {link!r} {link.args!r}"
        for frame in frames_of(link):
            # Crash reporters show a value by its repr, and look into containers.
            shown += "".join(f"\n{name} = {value!r}" for name, value in frame.f_locals.items())
        assert not [secret for secret in SECRETS if secret in shown], shown
        assert not [
            secret for secret in SECRETS if secret in "".join(traceback.format_exception(link))
        ]


def chain_of(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        assert error.__cause__ is None or error.__context__ in (None, error.__cause__)
        error = error.__cause__ or error.__context__


def frames_of(error: BaseException) -> Iterator[types.FrameType]:
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_filename.startswith(PACKAGE):
            yield frame


# What goes out.


async def test_a_request_carries_one_key_and_says_who_sends_it(session: ClientSession) -> None:
    async with Hostile([reply()]) as server:
        await send(session, f"{server.url}/v1", POST)
    (request,) = server.requests
    assert (request.method, request.target, request.body) == ("POST", "/v1/trunks", POST.body)
    assert request.all("Authorization") == [f"Bearer {KEY}"]
    assert request.all("Accept") == ["application/json"]
    assert request.all("Content-Type") == ["application/json"]
    assert request.all("X-Session") == [SESSION_KEY]
    assert request.all("User-Agent") == [transport.USER_AGENT]
    assert transport.USER_AGENT.startswith("telepath-async/0.")
    assert f"aiohttp {aiohttp.__version__}" in transport.USER_AGENT


async def test_a_large_body_arrives_whole_and_without_a_warning(session: ClientSession) -> None:
    large = Request(method="PATCH", path="/x", template="/x", body=bytes(range(256)) * 20_000)
    async with Hostile([reply()]) as server:
        await send(session, server.url, large)
    assert server.requests[0].body == large.body
    assert server.requests[0].all("Content-Length") == ["5120000"]
    assert server.requests[0].all("Content-Type") == ["application/json"]


async def test_a_callers_header_takes_the_place_of_ours_whatever_its_case(
    session: ClientSession,
) -> None:
    async with Hostile([reply()]) as server:
        await send(session, server.url, headers={"user-agent": "mine", "ACCEPT": "text/csv"})
    assert server.requests[0].all("User-Agent") == ["mine"]
    assert server.requests[0].all("Accept") == ["text/csv"]


async def test_a_callers_own_session_adds_no_key_and_no_cookie_and_runs_no_middleware() -> None:
    ran = []

    async def middleware(request: aiohttp.ClientRequest, handler: Any) -> aiohttp.ClientResponse:
        ran.append(request)
        return await handler(request)  # type: ignore[no-any-return]

    own = ClientSession(
        headers={
            "Authorization": "Basic theirs",
            "User-Agent": "theirs",
            "Cookie": "a=header",
            "X-Theirs": "kept",
        },
        cookies={"b": "jar"},
        cookie_jar=aiohttp.CookieJar(unsafe=True),
        middlewares=(middleware,),
        raise_for_status=True,
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=0.001),
    )
    async with (
        Hostile([reply(404, gzip.compress(b"{}"), headers={"Content-Encoding": "gzip"})]) as server,
        own,
    ):
        response = await send(own, server.url)
    (request,) = server.requests
    assert (response.status, response.body) == (404, b"{}")
    assert request.all("Authorization") == [f"Bearer {KEY}"]
    assert request.all("User-Agent") == [transport.USER_AGENT]
    assert request.all("Cookie") == []
    assert request.all("X-Theirs") == ["kept"]
    assert ran == []


# What comes in.


async def test_an_answer_has_its_status_headers_and_body(session: ClientSession) -> None:
    async with Hostile([reply(418, b"short and stout", headers={"X-Request-Id": "r1"})]) as server:
        response = await send(session, server.url)
    assert (response.status, response.body, response.request_id) == (418, b"short and stout", "r1")
    assert response.endpoint == "GET /calls"


@pytest.mark.parametrize("status", [200, 401])
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "nonsense"])
async def test_a_plain_body_with_a_wrong_label_is_read_as_it_came(
    session: ClientSession, status: int, encoding: str
) -> None:
    step = reply(status, b'{"a": 1}', headers={"Content-Encoding": encoding})
    async with Hostile([step]) as server:
        response = await send(session, server.url)
    assert (response.status, response.body) == (status, b'{"a": 1}')


CAP = 100
CAPPED = {
    "with its head": lambda body: reply(200, body),
    "after its head": lambda body: drip(reply(200, body), 0.001, 60),
    "byte by byte": lambda body: drip(reply(200, body), 0.0001),
    "in chunks": lambda body: chunked(body[:50], body[50:], b""),
    "to the end of the connection": lambda body: raw(b"HTTP/1.1 200 OK\r\n\r\n" + body, "close"),
    "compressed": lambda body: reply(
        200, gzip.compress(body), headers={"Content-Encoding": "gzip"}
    ),
}


@pytest.mark.parametrize("arrives", CAPPED.values(), ids=CAPPED)
async def test_a_body_of_just_the_cap_passes_and_one_byte_more_does_not(
    session: ClientSession, arrives: Callable[[bytes], Step]
) -> None:
    async with Hostile([arrives(b"x" * CAP)]) as server:
        assert (await send(session, server.url, max_bytes=CAP)).body == b"x" * CAP
    async with Hostile([arrives(b"x" * (CAP + 1))]) as server:
        error = await failure(session, server.url, max_bytes=CAP)
    assert isinstance(error, ResponseError)
    assert (error.status, error.raw) == (200, b"x" * CAP)
    assert "larger than max_response_bytes (100)" in str(error)


async def test_a_large_body_of_just_the_cap_is_whole(session: ClientSession) -> None:
    """What is cut keeps a megabyte; what is not keeps all."""
    body = bytes(2 * MAX_REST)
    for step in (reply(200, body), drip(reply(200, body), 0.0, 300_000)):
        async with Hostile([step]) as server:
            assert (await send(session, server.url, max_bytes=len(body))).body == body


async def test_the_body_of_an_error_is_cut_at_the_cap_and_its_status_stays(
    session: ClientSession,
) -> None:
    async with Hostile([reply(503, b"x" * 1000)]) as server:
        response = await send(session, server.url, max_bytes=10)
    assert (response.status, response.body) == (503, b"x" * 10)


@pytest.mark.parametrize("status", [200, 500])
async def test_a_body_without_end_is_cut_and_its_connection_closed(
    session: ClientSession, status: int
) -> None:
    head = f"HTTP/1.1 {status} OK\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    async with Hostile([endless(head, b"3e8\r\n" + b"x" * 1000 + b"\r\n")]) as server:
        if status == 200:
            assert isinstance(await failure(session, server.url, max_bytes=50_000), ResponseError)
        else:
            assert len((await send(session, server.url, max_bytes=50_000)).body) == 50_000
        await server.until(lambda it: it.open == 0)


LARGE_HEADS = {
    "value": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 9000 + b"\r\n",
    "name": b"HTTP/1.1 200 OK\r\n" + b"X" * 9000 + b": x\r\n",
    "reason": b"HTTP/1.1 200 " + b"x" * 9000 + b"\r\n",
    "many": b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 200,
}


@pytest.mark.parametrize("kind", LARGE_HEADS)
async def test_headers_larger_than_is_read_are_named(session: ClientSession, kind: str) -> None:
    async with Hostile([raw(LARGE_HEADS[kind] + b"Content-Length: 2\r\n\r\n{}")]) as server:
        error = await failure(session, server.url, POST)
    assert isinstance(error, ResponseError)
    assert error.status == 0
    assert "the headers of the answer are larger than is read (8,190 bytes each" in str(error)


async def test_headers_of_a_proxy_larger_than_is_read_are_named_and_nothing_was_sent(
    session: ClientSession,
) -> None:
    async with Hostile([raw(LARGE_HEADS["many"] + b"\r\n")]) as proxy:
        error = await failure(session, "https://api.telepath.invalid/v1", POST, proxy=proxy.url)
    assert isinstance(error, ConnectionFailed)
    assert error.permanent
    assert "headers of the answer are larger than is read" in str(error)
    assert "nothing was sent" in str(error)


async def test_endless_headers_are_an_error(session: ClientSession) -> None:
    async with Hostile([endless(b"HTTP/1.1 200 OK\r\n", b"X-More: and more\r\n")]) as server:
        assert isinstance(await failure(session, server.url), ResponseError)


# What breaks, and where.

ANSWER = reply(200, b'{"id": "trunk_1"}', headers={"X-Request-Id": "r1"})
CUTS = sorted(
    {
        0,
        1,
        9,
        ANSWER.bytes.index(b"\r\n\r\n"),
        ANSWER.bytes.index(b"\r\n\r\n") + 4,
        len(ANSWER.bytes) - 1,
    }
)


@pytest.mark.parametrize("then", ["close", "reset"])
@pytest.mark.parametrize("at", CUTS)
@pytest.mark.parametrize("request_", [GET, POST], ids=["GET", "POST"])
async def test_an_answer_cut_anywhere_is_a_lost_connection_and_was_sent_once(
    session: ClientSession, request_: Request, at: int, then: Any
) -> None:
    async with Hostile([cut(ANSWER, at, then)]) as server:
        error = await failure(session, server.url, request_)
    assert isinstance(error, ConnectionLost)
    assert error.sent
    assert len(server.requests) == 1
    assert ("look before you repeat it" in str(error)) is (request_ is POST)


async def test_a_whole_answer_counts_whatever_happens_to_the_connection_afterwards(
    session: ClientSession,
) -> None:
    for then in ("close", "reset", "hang"):
        async with Hostile([Step(ANSWER.data, then)]) as server:
            assert (await send(session, server.url)).status == 200


@pytest.mark.parametrize(
    "step",
    [
        reply(200, b"{}", length=3, then="close"),
        reply(200, b"{}", length="-1"),
        reply(200, b"{}", length="two"),
        chunked(b"{}", then="close"),
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"),
        raw(b"SSH-2.0-OpenSSH_9.6\r\n"),
        raw(b"\x00\xff" * 50),
        raw(b"HTTP/1.1 200 OK\r\nA: b\r\n\x00: c\r\n\r\n"),
        raw(b"HTTP/9.9 200 OK\r\n\r\n", "close"),
        cut_request(0, "close"),
        cut_request(0, "reset"),
        cut_request(10, "close"),
        cut_request(10, "reset"),
        CLOSE,
        RESET,
    ],
)
async def test_nonsense_is_a_lost_connection(session: ClientSession, step: Step) -> None:
    async with Hostile([step]) as server:
        error = await failure(session, server.url, POST)
    assert isinstance(error, ConnectionLost)
    assert error.sent
    assert f"POST /trunks at {server.url}: the connection broke" in str(error)


async def test_more_bytes_than_the_length_says_never_reach_the_next_call(
    session: ClientSession,
) -> None:
    evil = reply(200, b'{"evil": 1}').bytes
    async with Hostile([raw(reply(200, b"{}").bytes + evil), reply(200, b'{"good": 1}')]) as server:
        assert (await send(session, server.url)).body == b"{}"
        await asyncio.sleep(0.02)
        assert (await send(session, server.url)).body == b'{"good": 1}'


async def test_nobody_there_means_that_nothing_was_sent(session: ClientSession) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        error = await failure(session, f"http://127.0.0.1:{unheard.getsockname()[1]}", POST)
    assert isinstance(error, ConnectionFailed)
    assert not error.sent
    assert "nothing was sent; check base_url, network and proxy" in str(error)


async def test_a_process_without_a_file_to_open_is_named_and_nothing_was_sent(
    session: ClientSession,
) -> None:
    resource = pytest.importorskip("resource", reason="not on Windows")
    async with Hostile([ANSWER]) as server:
        with socket.socket() as unheard:  # what is imported for an error is imported here
            unheard.bind(("127.0.0.1", 0))
            await failure(session, f"http://127.0.0.1:{unheard.getsockname()[1]}")
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
        try:
            error = await failure(session, server.url)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert isinstance(error, ConnectionFailed)
    assert not error.sent
    assert "nothing was sent; raise the limit of open files (ulimit -n)" in str(error)


async def test_a_host_that_no_one_knows_means_that_nothing_was_sent(session: ClientSession) -> None:
    error = await failure(session, "https://telepath.invalid")
    assert isinstance(error, ConnectionFailed)


async def test_a_server_without_tls_behind_https_was_sent_nothing(session: ClientSession) -> None:
    async with Hostile([Step(b"HTTP/1.1 400 Bad\r\n\r\n", "close", read=1)]) as server:
        error = await failure(session, server.url.replace("http:", "https:"))
    assert isinstance(error, ConnectionFailed)
    assert KEY.encode() not in server.received


async def test_a_timeout_while_connecting_means_that_nothing_was_sent(
    session: ClientSession,
) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        with socket.create_connection(full.getsockname()):  # takes the one place in the queue
            error = await failure(session, f"http://127.0.0.1:{full.getsockname()[1]}", timeout=0.1)
    assert isinstance(error, RequestTimeout)
    assert not error.sent
    assert "no complete answer within 0.1 s, it was never sent" in str(error)


async def test_a_timeout_while_waiting_for_a_connection_means_that_nothing_was_sent() -> None:
    async with (
        Hostile([HANG]) as server,
        ClientSession(connector=aiohttp.TCPConnector(limit=1)) as own,
        asyncio.TaskGroup() as group,
    ):
        first = group.create_task(failure(own, server.url, timeout=0.2))
        await server.until(lambda it: len(it.requests) == 1)
        second = await failure(own, server.url, timeout=0.05)
        assert isinstance(second, RequestTimeout)
        assert not second.sent
        late = await first
        assert isinstance(late, RequestTimeout)
        assert late.sent


@pytest.mark.parametrize("step", [HANG, cut(ANSWER, 20, "hang"), cut(ANSWER, -1, "hang"), deaf()])
async def test_a_timeout_while_waiting_for_the_answer_may_have_been_carried_out(
    session: ClientSession, step: Step
) -> None:
    async with Hostile([step]) as server:
        error = await failure(session, server.url, POST, timeout=0.1)
        assert isinstance(error, RequestTimeout)
        assert error.sent
        await server.until(
            lambda it: it.open == 0 or step.deaf
        )  # a deaf one does not hear that we are gone


async def test_a_body_that_the_server_refuses_to_read_ends_with_the_timeout(
    session: ClientSession,
) -> None:
    large = Request(
        method="POST", path="/x", template="/x", body=b"x" * 20_000_000, repeatable=False
    )
    async with Hostile([deaf()]) as server:
        error = await failure(session, server.url, large, timeout=1.0)
    assert isinstance(error, RequestTimeout)
    assert error.sent


@pytest.mark.parametrize("bound", ["of the attempt", "of the call"])
async def test_an_answer_that_came_in_time_is_read_after_a_busy_loop(
    session: ClientSession, bound: str
) -> None:
    is_busy = threading.Event()

    def wait_and_answer(_: Received) -> Step:
        is_busy.wait()
        return reply(200, b'{"sip_password": "new"}')

    def keep_busy() -> None:
        is_busy.set()
        time.sleep(0.5)

    loop = asyncio.get_running_loop()
    with server_in_a_thread(answering(wait_and_answer)) as server:
        loop.call_later(0.2, keep_busy)
        response = await send(
            session,
            server.url,
            POST,
            timeout=0.4 if bound == "of the attempt" else None,
            until=math.inf if bound == "of the attempt" else loop.time() + 0.4,
        )
    assert response.body == b'{"sip_password": "new"}'


async def test_without_a_timeout_a_slow_answer_is_waited_for(session: ClientSession) -> None:
    async with Hostile([drip(reply(200, b"{}"), 0.002)]) as server:
        assert (await send(session, server.url, timeout=None)).body == b"{}"


@pytest.mark.parametrize(
    "step",
    [CLOSE, RESET, cut_request(0, "close"), cut_request(0, "reset"), cut_request(20, "reset")],
)
@pytest.mark.parametrize("request_", [GET, POST], ids=["GET", "POST"])
async def test_a_kept_connection_that_dies_under_a_request_is_not_resent_behind_our_back(
    session: ClientSession, request_: Request, step: Step
) -> None:
    async with Hostile([reply(), step, reply()]) as server:
        await send(session, server.url, request_)
        error = await failure(session, server.url, request_)
    assert isinstance(error, ConnectionLost)
    assert error.sent
    assert len(server.connections) == 1
    assert server.received.count(b"HTTP/1.1\r\n") == 2


async def test_an_idle_connection_that_the_server_has_closed_is_not_used_again(
    session: ClientSession,
) -> None:
    async with Hostile([reply(then="close")]) as server:
        for _ in range(3):
            await send(session, server.url, POST)
            await server.until(lambda it: it.open == 0)
            await asyncio.sleep(0.01)  # the FIN arrives
    assert [request.connection for request in server.requests] == [0, 1, 2]


async def test_a_cancelled_exchange_closes_its_connection_and_the_late_answer_reaches_nobody(
    session: ClientSession,
) -> None:
    async with Hostile(
        [drip(reply(200, b'{"late": 1}'), 0.001), reply(200, b'{"mine": 1}')]
    ) as server:
        task = asyncio.create_task(send(session, server.url))
        await server.until(lambda it: len(it.requests) == 1)
        await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await send(session, server.url)).body == b'{"mine": 1}'
        await server.until(lambda it: it.open == 1)


# Proxies.


async def test_a_proxy_is_asked_and_gets_its_own_password(session: ClientSession) -> None:
    async with Hostile([reply(200, b"{}")]) as proxy:
        await send(session, "http://127.0.0.1:1/v1", proxy=proxy.url.replace("//", "//user:pass@"))
    (request,) = proxy.requests
    assert request.target == "http://127.0.0.1:1/v1/calls"
    assert request.all("Proxy-Authorization") == ["Basic dXNlcjpwYXNz"]
    assert request.all("Authorization") == [f"Bearer {KEY}"]


async def test_the_proxy_of_an_https_origin_never_sees_the_key(session: ClientSession) -> None:
    async with Hostile([reply(407, b"", then="close")]) as proxy:
        error = await failure(
            session,
            "https://api.telepath.invalid/v1",
            proxy=proxy.url.replace("//", "//user:pass@"),
        )
    assert isinstance(error, ConnectionFailed)
    assert proxy.requests[0].method == "CONNECT"
    assert KEY.encode() not in proxy.received
    assert "pass@" not in str(error)


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (407, "check the user and the password in proxy"),
        (403, "ask whoever runs the proxy, or go without it"),
        (502, "ask whoever runs the proxy, or go without it"),
        (503, "ask whoever runs the proxy, or go without it"),
    ],
)
async def test_what_a_proxy_refuses_is_named_with_its_status(
    session: ClientSession, status: int, remedy: str
) -> None:
    async with Hostile([reply(status, b"", then="close")]) as proxy:
        error = await failure(session, "https://api.telepath.invalid/v1", proxy=proxy.url)
    assert isinstance(error, ConnectionFailed)
    assert error.permanent
    assert f"the proxy refused the connection ({status} Whatever), nothing was sent; {remedy}" in (
        str(error)
    )


async def test_a_proxy_that_echoes_its_password_shows_it_in_no_error(
    session: ClientSession,
) -> None:
    refused = Step(b"HTTP/1.1 407 bad login ada:pass%2Fw0rd pass/w0rd\r\n\r\n", "close")
    async with Hostile([refused]) as proxy:
        error = await failure(
            session,
            "https://api.telepath.invalid/v1",
            proxy=proxy.url.replace("//", "//ada:pass%2Fw0rd@"),
        )
    assert "(407 bad login ada:********** **********)" in str(error)


async def test_a_proxy_that_is_not_there_is_named(session: ClientSession) -> None:
    error = await failure(session, "https://api.telepath.invalid/v1", proxy="http://127.0.0.1:1")
    assert isinstance(error, ConnectionFailed)
    assert not error.permanent
    assert "no connection (the proxy: " in str(error)


@needs_openssl
async def test_a_certificate_that_is_not_valid_is_named(session: ClientSession) -> None:
    async with Hostile([reply()], tls=server_context()) as server:
        error = await failure(session, server.url)
        assert isinstance(error, ConnectionFailed)
        assert error.permanent
        assert "the server's certificate is not valid (self-signed certificate" in str(error)
        assert server.requests == []


# Any bytes at all.


async def _against(answer: bytes, request: Request) -> None:
    async with Hostile([raw(answer, "close")]) as server:
        async for session in transport.hold_open():
            try:
                await send(session, server.url, request, timeout=5)
            except TransportError as error:
                assert_clean(error)
        assert len(server.requests) == 1


@settings(max_examples=150)
@given(answer=ANSWERS | st.binary(max_size=60), request=st.sampled_from([GET, POST]))
def test_whatever_a_server_says_only_our_errors_come_out(answer: bytes, request: Request) -> None:
    asyncio.run(_against(answer, request))


# Sessions.


async def test_a_session_of_ours_takes_nothing_from_the_environment_and_keeps_no_cookie() -> None:
    async for session in transport.hold_open():
        assert not session.trust_env
        assert isinstance(session.cookie_jar, aiohttp.DummyCookieJar)
        assert transport.loop_of(session) is asyncio.get_running_loop()
    assert session.closed


async def test_a_session_that_closes_under_a_call_that_waits_for_a_connection_sent_nothing() -> (
    None
):
    connector = aiohttp.TCPConnector(limit=1)
    async with Hostile([HANG]) as server, ClientSession(connector=connector) as session:
        calls = [asyncio.ensure_future(failure(session, server.url, POST)) for _ in range(2)]
        await server.until(lambda server: len(server.requests) == 1)
        await session.close()
        sent = {error.sent for error in await asyncio.gather(*calls)}
    assert sent == {True, False}


async def _leave_open(url: str) -> ClientSession:
    session = ClientSession(cookie_jar=aiohttp.DummyCookieJar())
    await send(session, url)
    return session


async def test_a_session_whose_loop_was_closed_is_abandoned_without_a_warning() -> None:
    async with Hostile([reply()]) as server:
        session = await asyncio.to_thread(lambda: bluntly(_leave_open(server.url)))
        assert server.open == 1
        await transport.abandon(session)
        await server.until(lambda it: it.open == 0)
    assert session.closed
    del session
    gc.collect()  # a warning would fail the test


async def test_a_session_abandoned_while_a_host_was_looked_up_goes_without_a_word() -> None:
    session = await asyncio.to_thread(lambda: bluntly(_look_up_and_leave()))
    await transport.abandon(session)
    assert session.closed
    del session
    gc.collect()


async def _look_up_and_leave() -> ClientSession:
    looking = asyncio.Event()

    class NeverFound(aiohttp.abc.AbstractResolver):
        async def resolve(self, *args: Any, **kwargs: Any) -> Any:
            looking.set()
            await asyncio.Event().wait()

        async def close(self) -> None:
            pass

    session = ClientSession(connector=aiohttp.TCPConnector(resolver=NeverFound()))
    task = asyncio.create_task(send(session, "http://telepath.invalid"))
    await looking.wait()
    hush(asyncio.get_running_loop())
    _ABANDONED.append(task)
    return session


_ABANDONED: list[asyncio.Task[Response]] = []
