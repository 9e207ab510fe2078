"""What is true of every request: key, limit, headers, records, routes, starting and stopping."""

import asyncio
import gc
import io
import socket
import time
from typing import Any

import aiohttp
import pytest
import yarl

from telepath_async.sandbox import RecordedRequest, Sandbox, gateway
from telepath_async.sandbox.ratelimit import FixedWindow


@pytest.mark.parametrize(
    "given", [None, "", "Bearer", "Bearer wrong", "Basic {key}", "{key}", "Bearer {key}x"]
)
async def test_a_missing_or_wrong_key_is_refused(given: str | None) -> None:
    async with Sandbox(calls=0) as sandbox, aiohttp.ClientSession() as session:
        headers = {} if given is None else {"Authorization": given.format(key=sandbox.api_key)}
        async with session.get(f"{sandbox.base_url}/trunks", headers=headers) as response:
            assert response.status == 401


async def test_a_refused_key_is_named_in_each_style(start: Any) -> None:
    offset, cursor = await start(), await start(style="cursor")
    headers = {"Authorization": "Bearer wrong"}
    assert (await offset("GET", "/trunks", headers=headers)).json == {
        "error": {"code": "INVALID_API_KEY", "message": "The API key provided is invalid"}
    }
    assert (await cursor("GET", "/trunks", headers=headers)).json == {
        "error": {"code": "unauthorized", "message": "Invalid or expired API key", "status": 401}
    }


async def test_two_sandboxes_have_different_keys_unless_told() -> None:
    assert Sandbox(calls=0).api_key != Sandbox(calls=0).api_key
    assert Sandbox(calls=0).api_key.startswith("sk_live_sandbox_")
    assert Sandbox(calls=0, api_key="sk_live_mine").api_key == "sk_live_mine"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/trunks", 200),
        ("GET", "/nothing", 404),
        ("GET", "/trunks/", 404),
        ("GET", "/trunks//rotate-password", 404),
        ("GET", "/trunks/a/b/c", 404),
        ("GET", "/../trunks", 404),
        ("PUT", "/trunks", 405),
        ("GET", "/trunks/x", 405),
        ("GET", "/trunks?limit=0", 400),
    ],
)
async def test_every_answer_carries_the_headers(
    either: Any, method: str, path: str, status: int
) -> None:
    answer = await either(method, path)
    assert answer.status == status
    assert answer.headers["X-RateLimit-Limit"] == "6000"
    assert answer.headers["X-RateLimit-Remaining"] == "5999"
    assert -5 < int(answer.headers["X-RateLimit-Reset"]) - time.time() <= 61
    assert answer.headers["X-Request-Id"].startswith("req_")
    assert "Date" in answer.headers
    assert status == 200 or set(answer.json["error"]) >= {"code", "message"}


async def test_a_wrong_method_is_told_the_right_ones(offset: Any) -> None:
    answer = await offset("DELETE", "/trunks")
    assert (answer.code, answer.headers["Allow"]) == ("method_not_allowed", "GET, POST")


async def test_paths_outside_v1_are_not_found(offset: Any) -> None:
    async with offset.session.get(offset.sandbox.base_url[:-3] + "/trunks") as response:
        assert response.status == 404


async def test_request_ids_differ(offset: Any) -> None:
    ids = {(await offset.get("/trunks")).headers["X-Request-Id"] for _ in range(3)}
    assert len(ids) == 3


async def test_a_body_over_the_cap_is_refused(either: Any) -> None:
    answer = await either("POST", "/trunks", data=io.BytesIO(b"x" * (2**20 + 1)))
    assert answer.status == 413
    assert answer.json["error"]["status"] == 413
    assert either.sandbox.requests[0].body == b""


async def test_over_the_limit_every_answer_is_a_429(start: Any, spec: dict[str, str]) -> None:
    client = await start(rate_limit=2, rate_period=10**9)
    for remaining in ("1", "0"):
        assert (await client.get("/trunks")).headers["X-RateLimit-Remaining"] == remaining
    answer = await client.post("/trunks", spec)
    assert (answer.status, answer.code) == (429, "rate_limit_exceeded")
    assert answer.headers["X-RateLimit-Remaining"] == "0"
    until_reset = int(answer.headers["X-RateLimit-Reset"]) - time.time()
    assert until_reset - 1 <= int(answer.headers["Retry-After"]) <= until_reset + 2
    assert client.sandbox.throttled == 1
    assert not client.sandbox.sip_login(spec["sip_username"], spec["sip_password"])


async def test_a_strangers_requests_use_up_nothing(start: Any) -> None:
    client = await start(rate_limit=1, rate_period=10**9)
    for _ in range(3):
        assert (await client("GET", "/trunks", headers={"Authorization": "x"})).status == 401
    assert (await client.get("/trunks")).status == 200


def test_windows_begin_at_multiples_of_the_period() -> None:
    clock = [119.5]
    window = FixedWindow(1, 60.0, lambda: clock[0])
    assert window.spend()
    assert not window.spend()
    assert window.retry_after() == 1
    assert window.headers()["X-RateLimit-Reset"] == "120"
    clock[0] = 120.0
    assert window.spend()
    assert window.headers() == {
        "X-RateLimit-Limit": "1",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": "180",
    }
    assert window.retry_after() == 60


def test_a_reset_between_two_seconds_is_rounded_up() -> None:
    window = FixedWindow(1, 0.3, lambda: 1.0)
    assert window.headers()["X-RateLimit-Reset"] == "2"


async def test_requests_are_recorded_as_sent(offset: Any) -> None:
    begin = asyncio.get_running_loop().time()
    await offset("POST", "/trunks/a%2Fb", params={"q": "a b", "e": ""}, json={"n": 1})
    (request,) = offset.sandbox.requests
    assert (request.method, request.path, request.status) == ("POST", "/v1/trunks/a%2Fb", 405)
    assert request.query == [("q", "a b"), ("e", "")]
    assert request.raw_query == "q=a+b&e="
    assert request.body == b'{"n": 1}'
    assert request.json == {"n": 1}
    assert request.headers["authorization"] == f"Bearer {offset.sandbox.api_key}"
    assert begin <= request.at <= asyncio.get_running_loop().time()


def test_a_request_without_a_query_has_none() -> None:
    assert RecordedRequest("GET", "/", "", {}, b"", 0.0).query == []


async def test_a_server_left_running_forgets_old_requests(
    offset: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "MOST_REQUESTS_REMEMBERED", 4)
    for number in range(5):
        await offset.get(f"/{number}")
    assert [request.path[-1] for request in offset.sandbox.requests] == ["2", "3", "4"]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("style", "pages"),
        ("trunks", -1),
        ("calls", -1),
        ("rate_limit", 0),
        ("rate_period", 0),
        ("rate_period", float("inf")),
        ("latency", -0.1),
        ("latency", float("nan")),
        ("latency", float("inf")),
        ("port", 65_536),
        ("api_key", ""),
        ("now", 0),
    ],
)
def test_a_bad_option_is_refused_by_name(option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=option):
        Sandbox(**{option: value})


async def test_there_is_no_address_before_the_start() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        _ = Sandbox(calls=0).base_url


async def test_a_sandbox_starts_once() -> None:
    async with Sandbox(calls=0) as sandbox:
        with pytest.raises(RuntimeError, match="make a new one"):
            await sandbox.__aenter__()
    with pytest.raises(RuntimeError, match="make a new one"):
        await sandbox.__aenter__()


async def test_a_port_in_use_is_an_os_error_that_leaves_nothing_behind() -> None:
    async with Sandbox(calls=0) as sandbox:
        port = int(sandbox.base_url[:-3].rsplit(":", 1)[1])
        with pytest.raises(OSError):
            await Sandbox(calls=0, port=port).__aenter__()


@pytest.mark.skipif(not socket.has_ipv6, reason="needs IPv6")
async def test_a_sandbox_on_every_interface_has_an_address_that_clients_may_use() -> None:
    async with Sandbox(calls=0, host="0.0.0.0") as sandbox, aiohttp.ClientSession() as session:
        assert sandbox.base_url.startswith("http://127.0.0.1:")
        async with session.get(f"{sandbox.base_url}/trunks") as response:
            assert response.status == 401


async def test_an_ipv6_host_stands_in_brackets() -> None:
    try:
        async with Sandbox(calls=0, host="::1") as sandbox:
            assert sandbox.base_url.startswith("http://[::1]:")
    except OSError as error:
        pytest.skip(f"no IPv6 loopback here: {error}")


async def test_stopping_waits_for_no_connection_and_no_request() -> None:
    sandbox = Sandbox(calls=0)
    async with aiohttp.ClientSession(
        headers={"Authorization": f"Bearer {sandbox.api_key}"}
    ) as session:
        async with sandbox:
            async with session.get(f"{sandbox.base_url}/trunks") as response:  # kept alive
                await response.read()
            sandbox.fail_next(delay=60)
            late = asyncio.create_task(session.get(f"{sandbox.base_url}/calls"))
            # A connection of its own that never finishes its request.
            _, writer = await asyncio.open_connection(
                "127.0.0.1", int(sandbox.base_url[:-3].rsplit(":", 1)[1])
            )
            writer.write(b"POST /v1/trunks HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
            async with asyncio.timeout(20):
                while len(sandbox.requests) < 2:
                    await asyncio.sleep(0.01)
            begin = time.monotonic()
        assert time.monotonic() - begin < 10
        with pytest.raises(aiohttp.ClientConnectionError):
            await late
        writer.close()
        await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_many_creates_at_once_are_all_answered(start: Any, spec: dict[str, str]) -> None:
    client = await start(calls=0)
    bodies = [spec | {"sip_username": f"agent-{number}"} for number in range(200)]
    answers = await asyncio.gather(*(client.post("/trunks", body) for body in bodies))
    assert {answer.status for answer in answers} == {201}
    assert len({answer.json["id"] for answer in answers}) == 200


def test_a_million_calls_are_no_burden() -> None:
    begin = time.monotonic()
    sandbox = Sandbox(calls=1_000_000)
    assert sandbox.calls[next(iter(sandbox.calls))]
    assert time.monotonic() - begin < 30
    assert len(sandbox.calls) == 1_000_000


async def test_a_connection_accepted_in_the_turn_of_the_stop_is_closed_in_good_order() -> None:
    async with Sandbox(calls=0) as sandbox:
        address = yarl.URL(sandbox.base_url)
        with socket.create_connection((address.host, address.port)):
            await asyncio.sleep(0)  # the next turn accepts it
            await asyncio.sleep(0)
    gc.collect()  # a transport that was left open warns, and a warning fails the test


async def test_a_body_that_is_not_compressed_as_it_says_is_refused(either: Any) -> None:
    headers = {"Content-Encoding": "gzip"}
    answer = await either("POST", "/trunks", data=b"hello", headers=headers)
    assert (answer.status, answer.code) == (400, "bad_request")


async def test_a_target_that_is_a_whole_url_is_found(offset: Any) -> None:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", yarl.URL(offset.sandbox.base_url).port
    )
    key = offset.sandbox.api_key
    writer.write(
        b"GET http://api.test/v1/trunks?limit=1 HTTP/1.1\r\nHost: api.test\r\n"
        b"Connection: close\r\nAuthorization: Bearer %b\r\n\r\n" % key.encode()
    )
    assert (await reader.read()).startswith(b"HTTP/1.1 200")
    writer.close()
    await writer.wait_closed()
    assert offset.sandbox.requests[-1].path == "/v1/trunks"
