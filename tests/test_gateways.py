"""What stands between us and the API, as it is: nginx, HAProxy and Squid."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any

import aiohttp
import pytest

from telepath_async import LocalLimiter, RetryPolicy, TelepathClient
from telepath_async.errors import (
    APIError,
    AuthenticationError,
    ConnectionFailed,
    OutcomeUnknown,
    PermissionDeniedError,
    ResponseError,
    ServerError,
)
from telepath_async.events import Event, RequestStarted
from telepath_async.sandbox import Sandbox
from tests.support.gateways import free_port, haproxy, nginx, squid
from tests.support.hostile import Hostile, Step, answering, reply
from tests.support.keys import KEY
from tests.support.tls import certificate, client_context, needs_openssl, server_context
from tests.support.trunk_server import TrunkServer, spec
from tests.support.wiring import session_of

PAGE_HINT = "`.raw` holds its page"


@asynccontextmanager
async def client_at(
    url: str, key: str = KEY, **options: Any
) -> AsyncIterator[tuple[TelepathClient, list[Event]]]:
    events: list[Event] = []
    chosen: dict[str, Any] = {
        "limiter": LocalLimiter(10**6, 60.0, 10**5),
        "retry": RetryPolicy(backoff=0.001),
    }
    async with TelepathClient(
        key, base_url=f"{url}/v1", on_event=events.append, **(chosen | options)
    ) as client:
        yield client, events


def attempts(events: list[Event]) -> int:
    return sum(isinstance(event, RequestStarted) for event in events)


def proxy_pass(port: int) -> str:
    return f"location / {{ proxy_pass http://127.0.0.1:{port}; proxy_http_version 1.1; }}"


def port_of(url: str) -> int:
    return int(url.split("/v1")[0].rsplit(":", 1)[1])


async def get(client: TelepathClient) -> object:
    return await client.calls.get("c")


async def create(client: TelepathClient) -> object:
    return await client.trunks.create(**spec("u"), system_prompt="x" * 5000)


ANSWERS_200 = "location / { return 200; }"
REFUSALS: dict[str, tuple[Callable[[], AbstractContextManager[str]], Any, Any, str]] = {
    "403 of nginx": (
        lambda: nginx("location / { deny all; }"), get, PermissionDeniedError, "'403 Forbidden'"
    ),
    "413 of nginx": (
        lambda: nginx(f"client_max_body_size 1k; {ANSWERS_200}"), create, APIError,
        "'413 Request Entity Too Large'",
    ),
    "308 of nginx": (
        lambda: nginx("location / { return 308 https://elsewhere.invalid$request_uri; }"), create,
        APIError, "308: .* redirected, which is never followed",
    ),
    "large headers": (
        lambda: nginx(f'set $part "{"x" * 4000}"; '
                      'location / { add_header X-Big "$part$part$part"; return 200; }'),
        get, ResponseError, "the headers of the answer are larger",
    ),
    "401 of HAProxy": (
        lambda: haproxy("http-request deny deny_status 401"), get, AuthenticationError, "'401 "
    ),
    "403 of HAProxy": (
        lambda: haproxy("http-request deny deny_status 403"), get, PermissionDeniedError, "'403 "
    ),
}  # fmt: skip


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_a_refusal_of_a_gateway_is_named_and_not_tried_again(refusal: str) -> None:
    gateway, call, kind, words = REFUSALS[refusal]
    with gateway() as url:
        async with client_at(url) as (client, events):
            with pytest.raises(kind, match=words) as caught:
                await call(client)
    assert type(caught.value) is kind
    assert attempts(events) == 1
    if isinstance(caught.value, AuthenticationError | PermissionDeniedError):
        assert PAGE_HINT in str(caught.value)
        assert "scope" not in str(caught.value)
        assert b"<h1>40" in caught.value.raw


# nginx


@needs_openssl
@pytest.mark.parametrize(
    ("scheme", "kind", "words"),
    [
        ("https", ConnectionFailed, "certificate is not valid"),
        ("http", APIError, "plain HTTP request was sent to HTTPS port"),
    ],
)
async def test_a_port_whose_tls_is_not_as_expected_is_named_and_not_tried_again(
    scheme: str, kind: type[Exception], words: str
) -> None:
    with nginx(ANSWERS_200, tls=certificate()) as url:
        async with client_at(url.replace("https", scheme)) as (client, events):
            with pytest.raises(kind, match=words):
                await client.calls.get("c")
    assert attempts(events) == 1


async def test_the_502_of_nginx_is_repeated_for_a_read_and_never_for_a_create() -> None:
    with nginx(proxy_pass(free_port())) as url:
        async with client_at(url) as (client, events):
            with pytest.raises(ServerError, match="'502 Bad Gateway'"):
                await client.calls.get("c")
            assert attempts(events) == 4
            events.clear()
            with pytest.raises(OutcomeUnknown):
                await client.trunks.create(**spec("u"))
            posts = [event for event in events if event.method == "POST"]
            assert attempts(posts) == 1


def hasty_nginx(port: int) -> AbstractContextManager[str]:
    return nginx(f"proxy_read_timeout 1s; {proxy_pass(port)}")


def hasty_haproxy(port: int) -> AbstractContextManager[str]:
    return haproxy("", f"timeout server 1s\n server one 127.0.0.1:{port}")


@pytest.mark.parametrize("gateway", [hasty_nginx, hasty_haproxy])
async def test_a_create_that_a_gateway_gives_up_on_too_early_is_found(
    gateway: Callable[[int], AbstractContextManager[str]],
) -> None:
    async with Sandbox() as sandbox:
        sandbox.fail_next(delay=1.5, method="POST")
        with gateway(port_of(sandbox.base_url)) as url:
            async with client_at(url, sandbox.api_key) as (client, events):
                trunk = await client.trunks.create(**spec("u"))
        assert trunk.id in sandbox.trunks
        assert attempts([event for event in events if event.method == "POST"]) == 1


@pytest.mark.parametrize("setting", ["keepalive_requests 3", "keepalive_timeout 1s 1s"])
async def test_an_nginx_that_closes_idle_connections_costs_no_call(setting: str) -> None:
    async with Sandbox(rate_limit=10**6) as sandbox:
        with nginx(f"{setting}; {proxy_pass(port_of(sandbox.base_url))}") as url:
            async with client_at(url, sandbox.api_key) as (client, _):
                for number in range(12):
                    await client.trunks.update(next(iter(sandbox.trunks)), name=f"n{number}")
                    await asyncio.sleep(1.001 if "timeout" in setting and number < 4 else 0)
                assert session_of(client).key.budget.spent == 0


async def test_what_nginx_compresses_is_read() -> None:
    async with Sandbox(calls=50) as sandbox:
        gzip = "gzip on; gzip_min_length 1; gzip_proxied any; gzip_types application/json;"
        with nginx(f"{gzip} {proxy_pass(port_of(sandbox.base_url))}") as url:
            async with client_at(url, sandbox.api_key) as (client, _):
                page = await client.calls.list()
                assert page.raw.headers["Content-Encoding"] == "gzip"
                assert len(page.items) == 50


async def test_the_rate_limit_of_nginx_is_waited_for() -> None:
    async with Sandbox(rate_limit=10**6) as sandbox:
        zone = "limit_req_zone $server_port zone=all:1m rate=20r/s; limit_req_status 429;"
        location = f"limit_req zone=all burst=5 nodelay; {proxy_pass(port_of(sandbox.base_url))}"
        with nginx(location, http=zone) as url:
            patient = RetryPolicy(backoff=0.2, max_attempts=30)
            async with client_at(url, sandbox.api_key, retry=patient) as (client, _):
                calls = [client.trunks.list().first() for _ in range(20)]
                assert all(await asyncio.gather(*calls))


# HAProxy


async def test_a_haproxy_that_has_no_server_leaves_a_create_unknown() -> None:
    with haproxy("option httpclose") as url:
        async with client_at(url) as (client, events):
            with pytest.raises(ServerError, match="503 Service Unavailable No server is available"):
                await client.calls.get("c")
            assert attempts(events) == 4
            events.clear()
            with pytest.raises(OutcomeUnknown):
                await client.trunks.create(**spec("u"))
            assert attempts([event for event in events if event.method == "POST"]) == 1


async def test_a_haproxy_that_closes_idle_connections_costs_no_call() -> None:
    async with Sandbox(rate_limit=10**6) as sandbox:
        backend = f"server one 127.0.0.1:{port_of(sandbox.base_url)}"
        with haproxy("timeout http-keep-alive 50ms", backend) as url:
            async with client_at(url, sandbox.api_key) as (client, _):
                trunk_id = next(iter(sandbox.trunks))
                for number in range(60):
                    await client.trunks.update(trunk_id, name=f"n{number}")
                    await asyncio.sleep(0.0495 + 0.00002 * number)
                assert session_of(client).key.budget.spent == 0


# Squid


SECRET = "s3cret/of:ada"
ANYWHERE = "http_access allow all"


def echo() -> Step:
    return answering(lambda request: reply(200, b'{"id": "c"}'))


@asynccontextmanager
async def through(
    port: int, userinfo: str = ""
) -> AsyncIterator[tuple[TelepathClient, list[Event], Hostile]]:
    """A client that speaks to a TLS server of ours through the proxy."""
    proxy = f"http://{userinfo}127.0.0.1:{port}"
    connector = aiohttp.TCPConnector(ssl=client_context())
    async with (
        Hostile([echo()], tls=server_context()) as server,
        aiohttp.ClientSession(connector=connector) as session,
        client_at(server.url, proxy=proxy, session=session) as (client, events),
    ):
        yield client, events, server


@needs_openssl
async def test_a_call_goes_through_a_proxy_with_a_password() -> None:
    with squid(ANYWHERE, SECRET) as port:
        async with through(port, "ada:s3cret%2Fof%3Aada@") as (client, _, server):
            assert (await client.calls.get("c")).id == "c"
    assert b"s3cret" not in server.received


@needs_openssl
@pytest.mark.parametrize("userinfo", ["", "ada:wrong-password@"])
async def test_a_proxy_that_wants_another_password_is_named_and_asked_once(userinfo: str) -> None:
    with squid(ANYWHERE, SECRET) as port:
        async with through(port, userinfo) as (client, events, server):
            with pytest.raises(
                ConnectionFailed, match=r"the proxy refused the connection \(407 .*password"
            ) as caught:
                await client.trunks.create(**spec("u"))
    assert "wrong-password" not in repr(caught.value)
    assert (attempts(events), server.connections) == (1, [])


async def test_a_proxy_that_reaches_nobody_is_named_and_asked_once() -> None:
    with squid(ANYWHERE) as port:
        proxy = f"http://127.0.0.1:{port}"
        async with client_at(f"https://127.0.0.1:{free_port()}", proxy=proxy) as (client, events):
            with pytest.raises(ConnectionFailed, match=r"the proxy refused the connection \(503 "):
                await client.calls.get("c")
    assert attempts(events) == 1


async def test_the_page_of_a_proxy_in_front_of_plain_http_is_told_as_a_gateways() -> None:
    async with TrunkServer() as server:
        with squid("http_access deny all") as port:
            async with client_at(server.url, proxy=f"http://127.0.0.1:{port}") as (client, events):
                with pytest.raises(PermissionDeniedError, match="'ERROR: The requested") as caught:
                    await client.calls.get("c")
        assert server.connections == []
    assert PAGE_HINT in str(caught.value)
    assert attempts(events) == 1
