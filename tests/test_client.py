"""`TelepathClient`: its options, its wiring, and where a key goes and where it never goes."""

from __future__ import annotations

import asyncio
import math
import pickle
import warnings
from collections.abc import Mapping
from enum import Enum
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from telepath_async import (
    ClientClosedError,
    LocalLimiter,
    NotFoundError,
    RetryPolicy,
    Secret,
    TelepathClient,
    TelepathError,
    ThrottledError,
    UsageError,
)
from telepath_async.limiter import shared_limiter
from telepath_async.sandbox import Sandbox
from tests.support.hostile import HANG, Hostile, reply
from tests.support.keys import KEY
from tests.support.wiring import session_of

OTHER_KEY = "fl_seeded_other_key"


def hash_of(key: str) -> str:
    return sha256(key.encode()).hexdigest()


KEY_ID = hash_of(KEY)


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TELEPATH_API_KEY", "TELEPATH_BASE_URL", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def client_at(server: Hostile, **options: Any) -> TelepathClient:
    return TelepathClient(
        KEY, base_url=f"{server.url}/v1", **({"limiter": LocalLimiter()} | options)
    )


# Options.


class Halfway:
    async def acquire(self, **_: Any) -> float:
        raise AssertionError


OUT_OF_A_PICKLE: Secret = pickle.loads(pickle.dumps(Secret(KEY)))

NO_URLS = [
    "api.telepathvoice.com", "ftp://api.telepathvoice.com", "https://", "https://[::1",
    "https://host:99999", "https://a..b", f"https://{'a' * 64}.com", "https://xn--", 5, "", " ",
    "https://x\t.evil/v1", "https://host/v1\r\n", " https://host/v1", "https://host/v 1",
    "https://ho\u200bst/v1",
]  # fmt: skip
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"api_key": None}, "api_key is missing: pass it, or set TELEPATH_API_KEY"),
    ({"api_key": ""}, "api_key is blank"),
    ({"api_key": "  "}, "api_key is blank"),
    *(
        ({"api_key": key}, "holds characters that no key has")
        for key in ("sk live", "sk\r\nX-Evil: 1", "schlüssel")
    ),
    ({"api_key": b"sk_live"}, "api_key must be the key's text or a Secret, not bytes"),
    ({"api_key": OUT_OF_A_PICKLE}, "came out of a pickle"),
    *(({"base_url": url}, "base_url must be a URL such as") for url in NO_URLS),
    (
        {"base_url": "https://x\n.evil/v1"},
        "base_url must be a URL .*, without spaces or line feeds",
    ),
    ({"numbers_base_url": "", "numbers_api_key": OTHER_KEY}, "numbers_base_url must be a URL"),
    ({"base_url": f"https://user:{KEY}@host"}, "must not hold a user or a password"),
    ({"base_url": "https://user@host"}, "must not hold a user or a password"),
    ({"base_url": "https://host/v1?a=b"}, "must not hold a query or a fragment"),
    ({"base_url": "https://host/v1#a"}, "must not hold a query or a fragment"),
    (
        {"base_url": "http://api.telepathvoice.com/v1"},
        r"base_url must be https:// \(api.telepathvoice.com is not this machine",
    ),
    ({"base_url": "http://10.0.0.1"}, "base_url must be https://"),
    ({"base_url": "http://localhost.evil.com"}, "base_url must be https://"),
    ({"base_url": "http://0.0.0.0"}, "base_url must be https://"),
    (
        {"numbers_base_url": "http://api.fluents.ai/v1", "numbers_api_key": OTHER_KEY},
        "numbers_base_url must be https://",
    ),
    (
        {"numbers_base_url": "https://api.fluents.ai/v1"},
        r"another origin \(https://api.fluents.ai\).*pass numbers_api_key",
    ),
    ({"numbers_base_url": "https://api.telepathvoice.com:8443/v1"}, "another origin"),
    ({"numbers_api_key": "a b"}, "numbers_api_key is blank"),
    ({"timeout": 0}, "timeout must be a number of seconds above 0, not 0"),
    ({"attempt_timeout": math.nan}, "attempt_timeout must be"),
    (
        {"retry": None},
        r"retry must be a RetryPolicy, or the number of retries \(0 turns them off\), not NoneType",
    ),
    ({"retry": -1}, "retry must be a RetryPolicy, or the number of retries .*, not -1"),
    ({"retry": True}, "retry must be a RetryPolicy"),
    ({"retry": 2.0}, "retry must be a RetryPolicy"),
    ({"limiter": 6000}, "limiter must have acquire, observe and bind, and int has not"),
    ({"limiter": Halfway()}, "limiter must have acquire, observe and bind, and Halfway has not"),
    ({"session": object()}, "session must be a ClientSession, not object"),
    ({"proxy": "proxy:3128"}, "must be the http:// or https:// URL of a proxy"),
    ({"proxy": f"socks5://user:{KEY}@host"}, "must be the http:// or https:// URL of a proxy"),
    ({"proxy": "http://a..b"}, "must be the http:// or https:// URL of a proxy"),
    ({"proxy": 3128}, "must be the http:// or https:// URL of a proxy"),
    (
        {"proxy": "http://elsewhere:3128", "base_url": "http://127.0.0.1:1"},
        "does not go through a proxy elsewhere",
    ),
    ({"max_response_bytes": 0}, "max_response_bytes must be a whole number from 1, not 0"),
    ({"on_event": "print"}, "on_event must be a function that takes an Event, not str"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED)
def test_an_option_that_makes_no_sense_is_refused_by_name(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        TelepathClient(**({"api_key": KEY} | options))
    assert KEY not in f"{caught.value!r}"
    assert caught.value.__context__ is None


async def test_a_session_that_would_send_other_credentials_is_refused() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        authorized = aiohttp.ClientSession(auth=aiohttp.BasicAuth("user", "password"))
    for own in (authorized, aiohttp.ClientSession(trust_env=True)):
        async with own:
            with pytest.raises(UsageError, match="session must have neither auth nor trust_env"):
                TelepathClient(KEY, session=own)


@pytest.mark.parametrize(
    "base_url",
    [
        "http://127.0.0.1:8080", "http://127.1.2.3/v1", "http://localhost:1",
        "http://[::1]:8080/v1", "https://10.0.0.1", "https://host./v1/",
    ],
)  # fmt: skip
def test_a_base_url_is_https_or_this_machine(base_url: str) -> None:
    client = TelepathClient(KEY, base_url=base_url)
    assert repr(client) == f"<TelepathClient {base_url.rstrip('/')}>"


def test_the_key_and_the_base_url_come_from_the_environment_unless_they_are_passed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TELEPATH_API_KEY", f" {KEY}\n")
    monkeypatch.setenv("TELEPATH_BASE_URL", "https://env.example/v9")
    client = TelepathClient()
    assert (client.key_id, repr(client)) == (KEY_ID, "<TelepathClient https://env.example/v9>")
    client = TelepathClient(Secret("passed"), base_url="https://passed.example")
    assert client.key_id == hash_of("passed")
    assert repr(client) == "<TelepathClient https://passed.example>"


def test_what_is_passed_empty_is_refused_though_the_environment_names_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TELEPATH_API_KEY", KEY)
    monkeypatch.setenv("TELEPATH_BASE_URL", "https://env.example/v9")
    with pytest.raises(UsageError, match="api_key is blank"):
        TelepathClient("")
    with pytest.raises(UsageError, match="base_url must be a URL"):
        TelepathClient(base_url="")


def test_a_number_of_retries_is_a_retry_policy() -> None:
    for client, attempts in (
        (TelepathClient(KEY, retry=2), 3),
        (TelepathClient(KEY, retry=0), 1),
        (TelepathClient(KEY).with_options(retry=1), 2),
    ):
        assert session_of(client).options.retry == RetryPolicy(max_attempts=attempts)


async def test_close_does_what_aclose_does() -> None:
    async with Hostile([reply()]) as server:
        client = client_at(server)
        await client.request("GET", "/x")
        await client.close()
        with pytest.raises(ClientClosedError):
            await client.request("GET", "/x")
        await client.close()


def test_without_an_asyncio_loop_there_is_one_clear_error() -> None:
    """As under trio, which drives coroutines by itself."""
    client = TelepathClient(KEY)
    for work in (client.__aenter__(), client.calls.get("x"), client.aclose()):
        with pytest.raises(UsageError, match="no asyncio loop is running here") as caught:
            work.send(None)
        assert caught.value.__context__ is None


def test_empty_variables_count_as_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELEPATH_API_KEY", "")
    monkeypatch.setenv("TELEPATH_BASE_URL", "")
    with pytest.raises(UsageError, match="api_key is missing"):
        TelepathClient()
    assert repr(TelepathClient(KEY)) == "<TelepathClient https://api.telepathvoice.com/v1>"


async def test_repr_shows_where_and_whether_it_is_closed_and_no_key() -> None:
    client = TelepathClient(KEY, base_url="https://host/v1")
    async with client:
        assert repr(client) == "<TelepathClient https://host/v1>"
    assert repr(client) == "<TelepathClient https://host/v1 closed>"
    with pytest.raises(ClientClosedError, match="this client is closed"):
        await client.request("GET", "/trunks")


# Limiters.


def test_clients_of_one_key_share_one_limiter_and_others_do_not() -> None:
    first, second, other = (
        session_of(client).key.limiter
        for client in (
            TelepathClient(KEY),
            TelepathClient(KEY, base_url="https://elsewhere"),
            TelepathClient(OTHER_KEY),
        )
    )
    assert first is second is shared_limiter(KEY_ID)
    assert other is shared_limiter(hash_of(OTHER_KEY)) is not first


class Bound(LocalLimiter):
    def __init__(self) -> None:
        super().__init__()
        self.bound: list[str] = []

    def bind(self, key_id: str) -> None:
        self.bound.append(key_id)


def test_a_limiter_hears_the_hash_of_the_key_once() -> None:
    limiter = Bound()
    TelepathClient(KEY, limiter=limiter, numbers_base_url="https://api.telepathvoice.com/v2")
    assert limiter.bound == [KEY_ID]


def test_numbers_with_the_same_key_share_its_limiter_and_with_another_do_not() -> None:
    limiter = Bound()
    same = TelepathClient(KEY, limiter=limiter, numbers_base_url="https://api.telepathvoice.com/v2")
    assert session_of(same.numbers) is not session_of(same)
    assert session_of(same.numbers).key.limiter is limiter
    other = TelepathClient(
        KEY,
        limiter=limiter,
        numbers_base_url="https://api.fluents.ai/v1",
        numbers_api_key=OTHER_KEY,
    )
    assert session_of(other.numbers).key.limiter is shared_limiter(hash_of(OTHER_KEY))
    plain = TelepathClient(KEY, limiter=limiter)
    assert session_of(plain.numbers) is session_of(plain)


# with_options.


async def test_a_client_with_other_options_shares_connections_limiter_and_budget() -> None:
    async with (
        Hostile([reply(200, headers={"X-RateLimit-Remaining": "5"})]) as server,
        client_at(server) as client,
    ):
        other = client.with_options(
            timeout=5, attempt_timeout=None, priority="bulk", retry=RetryPolicy(max_attempts=1)
        )
        await other.request("GET", "/a")
        await client.request("GET", "/b")
        assert client.rate_limit is not None
        assert client.rate_limit == other.rate_limit
        assert session_of(other).key is session_of(client).key
        options = session_of(other).options
        assert (options.timeout, options.attempt_timeout, options.priority) == (5.0, None, "bulk")
        assert session_of(client).options.timeout == 30.0
    assert [request.connection for request in server.requests] == [0, 0]


async def test_closing_a_client_with_other_options_leaves_the_first_open() -> None:
    async with Hostile([reply()]) as server, client_at(server) as client:
        async with client.with_options(timeout=1) as other:
            await other.request("GET", "/a")
        assert (await client.request("GET", "/b")).status == 200
    with pytest.raises(ClientClosedError, match="closed"):
        await other.request("GET", "/a")


async def test_options_reach_numbers_elsewhere_too() -> None:
    client = TelepathClient(
        KEY, numbers_base_url="https://api.fluents.ai/v1", numbers_api_key=OTHER_KEY
    )
    other = client.with_options(timeout=1)
    session = session_of(other.numbers)
    assert session.options.timeout == 1
    assert session.key.base_url == "https://api.fluents.ai/v1"
    assert session.key is session_of(client.numbers).key


async def test_max_wait_bounds_the_wait_for_a_place() -> None:
    limiter = LocalLimiter(limit=1, period=100.0)
    async with Hostile([reply()]) as server, client_at(server, limiter=limiter) as client:
        hasty = client.with_options(max_wait=0)
        await hasty.request("GET", "/a")
        with pytest.raises(ThrottledError):
            await hasty.request("GET", "/a")
        options = session_of(hasty.with_options(max_wait=None, priority="interactive")).options
        assert (options.max_wait, options.priority) == (None, "interactive")
    assert len(server.requests) == 1


async def test_headers_add_up_and_are_sent() -> None:
    async with Hostile([reply()]) as server, client_at(server) as client:
        one = client.with_options(headers={"X-One": "1"})
        await one.with_options(headers={"X-Two": "2"}).request("GET", "/a")
    assert (server.requests[0].all("X-One"), server.requests[0].all("X-Two")) == (["1"], ["2"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"timeout": 0}, "timeout must be"),
        ({"attempt_timeout": -1}, "attempt_timeout must be"),
        ({"retry": "1"}, "retry must be"),
        ({"max_wait": -1}, "max_wait must be a number of seconds from 0"),
        ({"max_wait": math.nan}, "max_wait must be"),
        ({"priority": "urgent"}, "priority must be 'interactive' or 'bulk', not 'urgent'"),
        ({"headers": [("A", "b")]}, "headers must be a mapping of names to text, not list"),
        ({"headers": {"Authorization": "x"}}, "headers must not hold 'Authorization'"),
        ({"headers": {"A": "x\r\nEvil: 1"}}, "the header A must be printable ASCII text"),
    ],
)
def test_a_changed_option_that_makes_no_sense_is_refused(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        TelepathClient(KEY).with_options(**options)


# Where the key goes.


async def test_numbers_under_another_path_of_our_own_origin_get_our_key_and_headers() -> None:
    async with (
        Hostile([reply(404)]) as server,
        client_at(server, numbers_base_url=f"{server.url}/v2") as client,
    ):
        with pytest.raises(NotFoundError):
            await client.with_options(headers={"X-One": "1"}).numbers.update(
                "+15551234567", label="a"
            )
    assert server.requests[0].all("X-One") == ["1"]
    assert server.requests[0].target == "/v2/numbers/update?phone_number=%2B15551234567"
    assert server.requests[0].all("Authorization") == [f"Bearer {KEY}"]


async def test_the_environments_proxy_is_asked_only_on_request_and_read_once_and_no_netrc_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("default login seeded_login password seeded_netrc\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))
    async with Hostile([reply()]) as proxy, Hostile([reply()]) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        async with client_at(server) as client:
            await client.request("GET", "/direct")
        async with client_at(server, trust_env=True) as client:
            monkeypatch.delenv("HTTP_PROXY")
            await client.request("GET", "/proxied")
    assert [request.target for request in server.requests] == ["/v1/direct"]
    (proxied,) = proxy.requests
    assert proxied.target == f"{server.url}/v1/proxied"
    assert proxied.all("Authorization") == [f"Bearer {KEY}"]
    assert proxied.all("Proxy-Authorization") == []


@pytest.mark.parametrize(
    ("environment", "base_url", "proxy"),
    [
        (
            {"HTTPS_PROXY": "http://secure:1", "ALL_PROXY": "http://all:1"},
            "https://host",
            "http://secure:1",
        ),
        ({"ALL_PROXY": "http://all:1"}, "https://host", "http://all:1"),
        ({"HTTP_PROXY": "http://plain:1"}, "https://host", None),
        ({"HTTPS_PROXY": "http://secure:1", "NO_PROXY": "host"}, "https://host", None),
        ({"HTTPS_PROXY": "http://secure:1", "NO_PROXY": "host:443"}, "https://host", None),
        (
            {"HTTPS_PROXY": "http://secure:1", "NO_PROXY": "host:444"},
            "https://host",
            "http://secure:1",
        ),
        ({"HTTPS_PROXY": "http://secure:1", "NO_PROXY": ".example"}, "https://api.example", None),
        ({"HTTPS_PROXY": "http://secure:1", "NO_PROXY": "*"}, "https://host", None),
        # A proxy elsewhere cannot reach this machine's loopback, and would read the key.
        ({"HTTP_PROXY": "http://elsewhere:1"}, "http://127.0.0.1:8080", None),
        ({"HTTP_PROXY": "http://localhost:1"}, "http://127.0.0.1:8080", "http://localhost:1"),
        ({}, "https://host", None),
    ],
)
def test_which_proxy_the_environment_names(
    environment: Mapping[str, str],
    base_url: str,
    proxy: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    chosen = session_of(TelepathClient(KEY, base_url=base_url, trust_env=True)).key.proxy
    assert (chosen and chosen.reveal()) == proxy


def test_a_proxy_of_the_environment_that_is_none_is_refused_and_not_gone_around(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://localhost:1080")
    with pytest.raises(UsageError, match="HTTPS_PROXY"):
        TelepathClient(KEY, trust_env=True)


def test_a_proxy_that_is_passed_goes_before_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://env:1")
    client = TelepathClient(KEY, proxy="https://user:secret@passed:1", trust_env=True)
    chosen = session_of(client).key
    assert chosen.proxy is not None
    assert chosen.proxy.reveal() == "https://user:secret@passed:1"
    assert "secret@" not in repr(chosen)


# request().


async def test_request_sends_path_params_and_body_and_returns_the_answer() -> None:
    async with (
        Hostile([reply(201, b'{"ok": true}', headers={"X-Request-Id": "r1"})]) as server,
        client_at(server) as client,
    ):
        response = await client.request(
            "post",
            "/new things/a%b",
            params={"limit": 5, "since": None, "all": True, "to": "+1", "token": 7},
            json={"key": Secret("s")},
        )
    (request,) = server.requests
    assert (response.status, response.json(), response.request_id) == (201, {"ok": True}, "r1")
    assert (request.method, request.target) == (
        "POST",
        "/v1/new%20things/a%25b?limit=5&all=true&to=%2B1&token=7",
    )
    assert request.body == b'{"key":"s"}'


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "POST"])
async def test_request_repeats_only_what_is_safe_to_repeat(method: str) -> None:
    script = [reply(503, b""), reply(200, b"")]
    async with (
        Hostile(script) as server,
        client_at(server, retry=RetryPolicy(backoff=0.001)) as client,
    ):
        if method in ("PATCH", "POST"):
            with pytest.raises(TelepathError):
                await client.request(method, "/a")
            assert len(server.requests) == 1
        else:
            await client.request(method, "/a")
            assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("CONNECT", "/a"), "method must be one of GET, HEAD"),
        ((None, "/a"), "method must be one of"),
        (("GET", "a"), "path must begin with a slash"),
        (("GET", "https://evil/a"), "path must begin with a slash"),
        (("GET", None), "path must begin with a slash"),
        (("GET", "//evil/a"), "path '' cannot be part of a URL"),
        (("GET", "/"), "cannot be part of a URL"),
        (("GET", "/a/"), "cannot be part of a URL"),
        (("GET", "/a/../b"), r"path '\.\.' cannot be part"),
        (("GET", "/./b"), "cannot be part"),
        (("GET", "/a\r\nb"), "cannot be part"),
        (
            ("GET", "/a", {"": "x"}),
            "params must be a mapping whose keys are printable text, and '' is not",
        ),
        (("GET", "/a", {1: "x"}), "params must be"),
        (("GET", "/a", {"a\ud800": "x"}), "params must be"),
        (("GET", "/a", {"a": "\ud800"}), "half a character"),
        (("GET", "/a", {"a": [1]}), "a must be a string"),
        (("GET", "/a", [("a", "b")]), "params must be a mapping of names to values, not list"),
        (("GET", "/a", "limit=1"), "params must be a mapping of names to values, not str"),
        (("GET", "/a", None, {"a": math.nan}), "cannot be sent as JSON"),
    ],
)
async def test_request_refuses_what_cannot_be_sent(
    arguments: tuple[Any, ...], message: str
) -> None:
    method, path, params, body = (*arguments, None, None)[:4]
    async with Hostile([reply()]) as server, client_at(server) as client:
        with pytest.raises(UsageError, match=message):
            await client.request(method, path, params=params, json=body)
    assert server.connections == []


async def test_options_kept_in_an_enumeration_are_sent_as_the_text_that_they_are() -> None:
    async with Hostile([reply(200, b'{"id": "c"}')]) as server:
        known = Enum("known", {"URL": server.url, "KEY": KEY}, type=str)
        options: Any = {"limiter": LocalLimiter(), "base_url": known.URL}
        headers: Any = {"X-Of": known.KEY}
        async with TelepathClient(KEY, **options) as client:
            await client.with_options(headers=headers).calls.get("c")
    assert [request.all("X-Of") for request in server.requests] == [[KEY]]


# Calls under way.


async def test_calls_that_wait_for_a_connection_of_a_closed_session_fail_uncancelled() -> None:
    async with Sandbox(latency=0.3) as sandbox:
        own = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1))
        client = TelepathClient(sandbox.api_key, base_url=sandbox.base_url, session=own)
        calls = [asyncio.ensure_future(client.request("GET", "/trunks")) for _ in range(3)]
        while not sandbox.requests:
            await asyncio.sleep(0.01)
        await own.close()
        await asyncio.wait(calls)
    assert [call.cancelled() for call in calls] == [False] * 3
    assert {type(call.exception()) for call in calls} == {UsageError}


async def test_a_client_counts_the_calls_that_it_and_its_derived_clients_have_under_way() -> None:
    async with Hostile([HANG]) as server, client_at(server) as client:
        derived = client.with_options(timeout=None)
        assert client.in_flight == 0
        calls = [asyncio.ensure_future(which.request("GET", "/x")) for which in (client, derived)]
        await server.until(lambda it: len(it.requests) == 2)
        assert (client.in_flight, derived.in_flight) == (2, 2)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        assert client.in_flight == 0
