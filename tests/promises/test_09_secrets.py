"""Promise 9: show no secret in an error, a pickle, a log record or an event.

An error is also its chain and its traceback's locals (in our frames).

Every secret here begins with `seeded`, so that one word finds it in whatever spelling. See also
`tests/test_secret.py`, `tests/protocol/test_refusals.py`.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import logging
import pickle
import traceback
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import telepath_async
from telepath_async import (
    Event,
    OutcomeUnknown,
    RetryPolicy,
    Secret,
    TelepathClient,
    TelepathError,
    ThrottledError,
    TrunkSpec,
    UsageError,
)
from telepath_async.models.numbers import AccountConnection, Agent
from telepath_async.redis import RedisLimiter
from telepath_async.sync import sync_calls
from tests.support.hostile import HANG, RESET, Hostile, Received, Step, answering, cut, raw, reply
from tests.support.operations import no_limit
from tests.support.wiring import session_of

PACKAGE = str(Path(telepath_async.__file__).parent)
KEY, NUMBERS_KEY, HEADER = "seeded-key", "seeded-numbers-key", "seeded-header"
PROXY_USER = base64.b64encode(b"user:seeded-proxy").decode()
PASSWORD = 'seeded-"p\u00e4ss\\word'  # spelled otherwise in JSON, in a URL, and by repr()
SPEC: dict[str, Any] = {
    "name": "n", "ai_provider": "openai", "sip_username": "u", "sip_password": PASSWORD,
    "openai_api_key": "seeded-openai",
}  # fmt: skip
AGENT = Agent(
    openai_account_connection=AccountConnection(
        credentials={"api_key": "seeded-account", "pin": ["seeded-pin"]}
    )
)


async def create_many(client: TelepathClient) -> Any:
    (outcome,) = [
        outcome
        async for outcome in client.trunks.create_many(
            [SPEC | {"extra": {"x_api_key": "seeded-extra"}}]
        )
    ]
    assert_hidden(repr(outcome), pickle.dumps(outcome))
    if outcome.error:
        raise outcome.error
    return outcome


CALLS: dict[str, Callable[[TelepathClient], Awaitable[Any]]] = {
    "list": lambda client: client.trunks.list(prefetch=2).collect(),
    "find": lambda client: client.trunks.find("u"),
    "create": lambda client: client.trunks.create(
        **SPEC, extra={"telnyx_api_key": "seeded-telnyx", "vad": {"token": "seeded-vad"}}
    ),
    "create many": create_many,
    "update": lambda client: client.trunks.update(
        "t",
        openai_api_key="seeded-openai",
        vad={"auth_token": "seeded-vad"},
        extra={"x_secret": ["seeded-extra"]},
    ),
    "rotate": lambda client: client.trunks.rotate_sip_password("t"),
    "get": lambda client: client.calls.get("c"),
    "overview": lambda client: client.analytics.overview(),
    "number": lambda client: client.numbers.update(
        "+15550003", inbound_agent={"credentials": {"api_key": "seeded-account"}}
    ),
    "agent": lambda client: client.numbers.update("+15550003", inbound_agent=AGENT),
    "request": lambda client: client.request(
        "POST",
        "/new",
        params={"access_token": "seeded-query", "x_secret": Secret("seeded-query")},
        json={"password": PASSWORD, "in": {"api_token": "seeded-token"}},
    ),
}


def everything(request: Received) -> str:
    """Return what a server knows after this request, in several spellings."""
    body = json.loads(request.body or b"{}")
    return f"{request.head!r} {request.body.decode()} {json.dumps(body)} {body} {KEY} {PROXY_USER}"


def line(text: str) -> str:
    return text.replace("\r", " ").replace("\n", " ").encode().decode("latin-1")[:4000]


def echo(status: int, body: Callable[[str], object], headers: bool = False) -> Step:
    def choose(request: Received) -> Step:
        said = everything(request)
        shown = {
            name: line(said)
            for name in (
                "X-Request-Id", "Location", "WWW-Authenticate", "Retry-After", "X-Echo", "Date",
            )
        }  # fmt: skip
        return reply(status, json.dumps(body(said)).encode(), headers=shown if headers else {})

    return answering(choose)


def in_a_header_name(request: Received) -> Step:
    return reply(400, b"{}", headers={f"X-{request.all('Authorization')[0].split()[-1]}": "1"})


ROW = {
    "id": "t",
    "name": "n",
    "status": "active",
    "sip_password": "seeded-answer",
    "note": 1,
    "x_api_key": "seeded-answer",
    "sip_username": "other",
    "credentials": {"a": ["seeded-answer"]},
    "number": "+15550003",
}
BAD_ROW = ROW | {"id": [5], "number": 5, "total_calls": 1}
DATA = {"data": BAD_ROW}
FAULTS: dict[str, Step] = {
    "message": echo(400, lambda said: {"error": {"code": "x", "message": said}}),
    "code": echo(409, lambda said: {"error": {"code": said, "message": "m"}}),
    "text": echo(500, lambda said: {"error": said}),
    "detail": echo(422, lambda said: {"detail": [{"loc": ["body", said], "msg": said}]}),
    "headers": echo(401, lambda said: {}, headers=True),
    "headers of a 429": echo(429, lambda said: {}, headers=True),
    "headers of a redirect": echo(302, lambda said: {}, headers=True),
    "headers of a 5xx": echo(503, lambda said: said, headers=True),
    "headers of nonsense": echo(200, lambda said: said, headers=True),
    "header's name": answering(in_a_header_name),
    "echo as an object": echo(
        200, lambda said: {"data": {"id": [7], "sip_password": said, said: said}}
    ),
    "echo as a list": echo(
        200, lambda said: {"data": [{"id": [said], "password": said}], "next_cursor": None}
    ),
    "wrong object": reply(200, json.dumps(DATA).encode(), headers={"X-Echo": "seeded-answer"}),
    "wrong bare object": reply(200, json.dumps(BAD_ROW).encode()),
    "wrong page": reply(200, json.dumps({"data": [ROW, BAD_ROW], "pagination": {}}).encode()),
    "wrong cursor": reply(
        200, json.dumps({"data": [ROW], "next_cursor": {"a": "seeded-answer"}}).encode()
    ),
    "too large": reply(
        200,
        b'{"sip_password": "seeded-answer", "x": "' + b"x" * 20_000 + b'"}',
        headers={"X-Echo": KEY},
    ),
    "cut": cut(reply(200, b'{"sip_password": "seeded-answer"}', headers={"X-Echo": KEY}), -3),
    "cut in the middle of JSON": reply(200, b'{"sip_password": "seeded-answer'),
    "bad UTF-8": reply(200, b'{"sip_password": "seeded-answer\xff"}'),
    "bad gzip": reply(
        200,
        gzip.compress(b"seeded-answer")[:-12] + b"12345678" * 9,
        headers={"Content-Encoding": "gzip"},
    ),
    "garbage": raw(b"\xff\r\n\r\n"),
    "silence": HANG,
    "silence in the body": cut(
        reply(200, b'{"sip_password": "seeded-answer"}', headers={"X-Echo": KEY}), -3, "hang"
    ),
    "reset": RESET,
}


def client_of(server: Hostile, **options: Any) -> TelepathClient:
    """Return a client whose every secret is seeded; the server is the proxy of both origins too."""
    client = TelepathClient(
        KEY,
        base_url=f"{server.url}/v1",
        proxy=server.url.replace("//", "//user:seeded-proxy@"),
        numbers_base_url=f"http://localhost:{server.port}/v1",
        numbers_api_key=NUMBERS_KEY,
        max_response_bytes=10_000,
        **{"retry": RetryPolicy(max_attempts=1), "limiter": no_limit()} | options,
    )
    return client.with_options(headers={"X-Session-Token": HEADER})


def assert_hidden(*shown: str | bytes) -> None:
    for one in shown:
        text = one.decode("latin-1") if isinstance(one, bytes) else one
        for word in ("seeded", PROXY_USER):
            at = text.find(word)
            assert at < 0, text[max(0, at - 300) : at + 100]


def assert_hides(error: BaseException) -> None:
    for link in chain(error):
        assert_hidden(
            str(link),
            repr(link),
            repr(link.args),
            repr(vars(link) | {"raw": b""}),
            *traceback.format_exception_only(link),
        )
        assert_hidden(*locals_of(link))
        if isinstance(link, TelepathError):
            assert_hidden(*(pickle.dumps(link, protocol) for protocol in range(2, 6)))


def chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        if error.__cause__ is not None and error.__context__ is not error.__cause__:
            yield from chain(error.__context__)
        error = error.__cause__ or error.__context__


def locals_of(error: BaseException) -> Iterator[str]:
    """Return what a crash reporter shows: the repr of every local of our frames.

    Frames of attrs' generated methods count too.
    """
    for frame, _ in traceback.walk_tb(error.__traceback__):
        file = frame.f_code.co_filename
        if file.startswith(PACKAGE) or (file.startswith("<attrs") and "telepath_async" in file):
            yield from (
                f"{frame.f_code.co_name}: {name} = {value!r}"
                for name, value in frame.f_locals.items()
            )


@pytest.fixture
async def everything_is_logged(caplog: pytest.LogCaptureFixture) -> Any:
    """All loggers at DEBUG, and asyncio's debug mode, which logs every callback."""
    caplog.set_level(logging.DEBUG)
    for name in list(logging.root.manager.loggerDict):
        caplog.set_level(logging.DEBUG, logger=name)
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 0
    yield
    loop.set_debug(False)
    records = caplog.get_records("call")  # `records` alone are those of the teardown by now
    assert records
    formatter = logging.Formatter()
    for record in records:
        assert_hidden(record.getMessage(), repr(vars(record)), formatter.format(record))
        if record.exc_info and record.exc_info[1]:
            assert_hides(record.exc_info[1])


@pytest.mark.parametrize("fault", FAULTS)
async def test_no_failure_of_any_operation_shows_a_secret(
    fault: str, everything_is_logged: None
) -> None:
    events: list[Event] = []
    bound = 0.2 if fault.startswith("silence") else 10.0
    async with (
        Hostile([FAULTS[fault]]) as server,
        client_of(server, on_event=events.append, attempt_timeout=bound) as client,
    ):
        for call in CALLS.values():
            try:
                await call(client)
            except TelepathError as error:
                assert_hides(error)
        assert_hidden(repr(client), repr(session_of(client)), repr(session_of(client).key))
    assert events
    assert_hidden(repr(events), pickle.dumps(events))


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("fault", ["silence", "silence in the body"])
async def test_a_cancelled_call_shows_no_secret(name: str, fault: str) -> None:
    async with Hostile([FAULTS[fault]]) as server, client_of(server) as client:
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.02):
                await CALLS[name](client)
    assert_hides(caught.value)


async def test_a_retry_and_a_listener_that_fails_show_no_secret(everything_is_logged: None) -> None:
    def listener(event: Event) -> None:
        raise RuntimeError

    retry = RetryPolicy(max_attempts=2, backoff=0.001)
    async with (
        Hostile([FAULTS["text"]]) as server,
        client_of(server, retry=retry, on_event=listener) as client,
    ):
        for call in CALLS.values():
            with pytest.raises(TelepathError) as caught:
                await call(client)
            assert_hides(caught.value)


async def test_a_lost_create_hides_what_the_answer_to_its_look_up_echoes() -> None:
    def choose(request: Received) -> Step:
        if request.method == "POST":
            return RESET
        body = b'{"trunks": [], "pagination": {"total": 0}}'
        return reply(200, body, headers={"X-Echo": line(everything(request))})

    async with Hostile([answering(choose)]) as server, client_of(server) as client:
        with pytest.raises(OutcomeUnknown) as caught:
            await client.trunks.create(**SPEC)
    assert_hides(caught.value)


async def test_a_good_answer_shows_no_secret_until_it_is_revealed(
    everything_is_logged: None,
) -> None:
    async with (
        Hostile([reply(200, json.dumps({"data": ROW}).encode())]) as server,
        client_of(server) as client,
    ):
        for name in ("create", "create many", "update", "rotate", "get", "overview", "number"):
            result = await CALLS[name](client)
            assert_hidden(repr(result), str(result), pickle.dumps(result))
        credentials = await client.trunks.rotate_sip_password("t")
    assert credentials.sip_password.reveal() == "seeded-answer"


async def test_a_page_shows_no_secret_of_its_rows(everything_is_logged: None) -> None:
    body = json.dumps({"data": [ROW], "next_cursor": None}).encode()
    async with Hostile([reply(200, body)]) as server, client_of(server) as client:
        trunks = client.trunks.list()
        async for page in trunks.pages():
            assert_hidden(repr(page), pickle.dumps(page), repr(vars(trunks)), trunks.checkpoint)
        assert_hidden(repr(await trunks.first()))


UNENCODABLE: Any = object()
SURROGATE = "\ud800"
REFUSED: dict[str, Callable[[TelepathClient], Any]] = {
    "a short password": lambda client: client.trunks.create(**SPEC | {"sip_password": "seeded"}),
    "no provider": lambda client: client.trunks.create(
        **SPEC | {"ai_provider": "x"}, extra={"x_api_key": "seeded-extra"}
    ),
    "a provider's key of no type": lambda client: client.trunks.create(
        **SPEC | {"openai_api_key": ["seeded-openai"]}
    ),
    "a password in bytes": lambda client: client.trunks.create(
        **SPEC | {"sip_password": b"seeded-password"}
    ),
    "a provider's key in bytes": lambda client: TrunkSpec.openai(
        "n",
        sip_username="u",
        sip_password=PASSWORD,
        api_key=bytearray(b"seeded"),  # type: ignore[arg-type]
    ),
    "a key in bytes": lambda client: TelepathClient(b"seeded-key"),  # type: ignore[arg-type]
    "a key with a space": lambda client: TelepathClient("seeded key"),
    "a bad timeout beside a key": lambda client: TelepathClient("seeded-key", timeout=-1),
    "a bad key for numbers": lambda client: TelepathClient("k", numbers_api_key="seeded\x00"),
    "no key for numbers": lambda client: TelepathClient("seeded-key", numbers_base_url="https://a"),
    "a bad proxy": lambda client: TelepathClient("k", proxy="socks5://user:seeded@host"),
    "a proxy in bytes": lambda client: TelepathClient("k", proxy=b"http://u:seeded@h"),  # type: ignore[arg-type]
    "a token in bytes": lambda client: client.trunks.update(
        "t", vad={"tokens": [{"auth_token": b"seeded-vad"}]}
    ),
    "a database in bytes": lambda client: sync_calls(client, b"sqlite:///seeded"),  # type: ignore[arg-type]
    "a Redis in bytes": lambda client: RedisLimiter(b"redis://:seeded@h"),  # type: ignore[arg-type]
    "a header in bytes": lambda client: client.with_options(headers={"X-Token": b"seeded-header"}),  # type: ignore[dict-item]
    "an unencodable create": lambda client: client.trunks.create(
        **SPEC, extra={"token": "seeded-token", "x": UNENCODABLE}
    ),
    "a surrogate in a create": lambda client: client.trunks.create(
        **SPEC | {"sip_password": f"seeded-key{SURROGATE}"}
    ),
    "a bad spec in a batch": lambda client: client.trunks.create_many(
        [SPEC | {"ai_provider": "x"}]
    ),
    "a bad batch": lambda client: client.trunks.create_many([SPEC, SPEC]),
    "a bad option of a batch": lambda client: client.trunks.create_many([SPEC], concurrency=0),
    "a bad spec": lambda client: TrunkSpec(
        **SPEC | {"name": " "}, extra={"x_api_key": "seeded-extra"}
    ),
    "a bad OpenAI spec": lambda client: TrunkSpec.openai(
        "", sip_username="u", sip_password=PASSWORD, api_key="seeded-openai"
    ),
    "a bad ElevenLabs spec": lambda client: TrunkSpec.elevenlabs(
        "", sip_username="u", sip_password=PASSWORD, api_key="seeded-eleven", agent_id="a"
    ),
    "a bad custom spec": lambda client: TrunkSpec.custom(
        "n", sip_username="u", sip_password=PASSWORD, endpoint="x"
    ),
    "a bad id": lambda client: client.trunks.update(
        "..", openai_api_key="seeded-openai", extra={"x_secret": "seeded-extra"}
    ),
    "an unencodable update": lambda client: client.trunks.update(
        "t", openai_api_key="seeded-openai", extra={"x_token": UNENCODABLE}
    ),
    "a bad number": lambda client: client.numbers.update(
        "5", inbound_agent={"credentials": "seeded-account"}
    ),
    "an unencodable number": lambda client: client.numbers.update(
        "+15550003",
        inbound_agent={"credentials": "seeded-account"},
        example_context={"a": UNENCODABLE},
    ),
    "a bad path": lambda client: client.request("POST", "/..", json={"token": "seeded-token"}),
    "a bad method": lambda client: client.request("X", "/a", json={"token": "seeded-token"}),
    "a bad parameter": lambda client: client.request(
        "POST", "/a", params={"a": []}, json={"token": "seeded-token"}
    ),
    "an unencodable parameter": lambda client: client.request(
        "GET", "/a", params={"token": ["seeded-token"], "a": "b"}
    ),
    "a parameter in bytes": lambda client: client.request(
        "GET", "/a", params={"token": b"seeded-token"}
    ),
    "an unencodable request": lambda client: client.request(
        "POST", "/a", json={"token": "seeded-token", "x": UNENCODABLE}
    ),
    "a bad header": lambda client: client.with_options(headers={"X-Token": "seeded-header\n"}),
    "a bad option beside a header": lambda client: client.with_options(
        headers={"X-Token": "seeded-header"}, timeout=-1
    ),
}


async def awaited(call: Callable[[TelepathClient], Any], client: TelepathClient) -> Any:
    result = call(client)
    return await result if asyncio.iscoroutine(result) else result


@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_refused_before_it_is_sent_shows_no_secret(name: str) -> None:
    async with Hostile([reply()]) as server, client_of(server) as client:
        with pytest.raises(UsageError) as caught:
            await awaited(REFUSED[name], client)
    assert_hides(caught.value)
    assert server.connections == []


def test_a_spec_with_unknown_credentials_shows_and_pickles_none() -> None:
    spec = TrunkSpec(
        **SPEC,
        extra={"x_api_key": "seeded-extra", "vad": {"tokens": [{"auth_token": "seeded-vad"}]}},
    )
    assert_hidden(repr(spec), pickle.dumps(spec), repr(spec.extra), repr(spec.fields()))
    assert spec.extra["x_api_key"] == Secret("seeded-extra")


DATABASES = {
    "out of reach": "postgresql://user:seeded%20db@127.0.0.1:1/name",
    "out of reach, by its query": "postgresql://127.0.0.1:1/name?user=u&password=seeded-db",
    "a bad option": "postgresql://user:seeded-db@127.0.0.1:1/name?sslmode=maybe",
    "another database": "mysql://user:seeded-db@127.0.0.1/name",
    "half a password as the port": "postgresql://user:seeded/db@127.0.0.1/name",
    "not a URL": "user:seeded-db@127.0.0.1/name",
    "SQLite in memory": "sqlite:///:memory:?key=seeded-db",
    "SQLite in no folder": "sqlite:////nowhere/calls.db?password=seeded-db",
}


@pytest.mark.parametrize("as_given", [str, Secret])
@pytest.mark.parametrize("url", DATABASES.values(), ids=DATABASES)
async def test_a_database_that_fails_shows_no_password(
    url: str, as_given: Callable[[str], str | Secret], everything_is_logged: None
) -> None:
    async with TelepathClient(KEY, limiter=no_limit()) as client:
        with pytest.raises(Exception) as failed:  # drivers have errors of their own
            await sync_calls(client, as_given(url))
    assert_hides(failed.value)


REDISES = {
    "another server": "http://user:seeded-redis@127.0.0.1",
    "half a password as the port": "redis://user:seeded/redis@127.0.0.1",
    "a bad option": "redis://user:seeded-redis@127.0.0.1/0?socket_timeout=seeded",
}


@pytest.mark.parametrize("as_given", [str, Secret])
@pytest.mark.parametrize("url", REDISES.values(), ids=REDISES)
def test_a_url_of_redis_that_is_refused_shows_no_password(
    url: str, as_given: Callable[[str], str | Secret]
) -> None:
    with pytest.raises(UsageError) as refused:
        RedisLimiter(as_given(url))
    assert_hides(refused.value)


async def test_a_redis_out_of_reach_shows_no_password(everything_is_logged: None) -> None:
    async with RedisLimiter(Secret("redis://user:seeded-redis@127.0.0.1:1")) as limiter:
        limiter.bind("a")
        with pytest.raises(ThrottledError) as failed:
            await limiter.acquire(max_wait=0.1)
    assert_hides(failed.value)


async def test_every_credential_of_a_client_may_be_a_secret() -> None:
    async with Hostile([reply(200, b"{}")]) as server:
        async with TelepathClient(
            Secret(KEY),
            base_url=f"{server.url}/v1",
            numbers_base_url=f"http://localhost:{server.port}/v1",
            numbers_api_key=Secret(NUMBERS_KEY),
            proxy=Secret(server.url.replace("//", "//user:seeded-proxy@")),
        ) as client:
            await client.with_options(headers={"X-Token": Secret(HEADER)}).request("GET", "/a")
        (request,) = server.requests
    assert request.all("Authorization") == [f"Bearer {KEY}"]
    assert request.all("X-Token") == [HEADER]
    assert request.all("Proxy-Authorization") == [f"Basic {PROXY_USER}"]
