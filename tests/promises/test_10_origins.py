"""Promise 10: send a credential to its own origin and nowhere else.

Not by redirect, proxy, cookie, .netrc, or to a second vendor.

One request at a time is proven in `tests/test_transport.py` and `tests/test_client.py`, with the
choice of proxies and the options that are refused; here, every operation.
"""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest

from telepath_async import TelepathError
from tests.support.hostile import Hostile, Received, Step, answering, reply
from tests.support.operations import BY_NAME, CALL, OPERATIONS, client_at

KEY, NUMBERS_KEY = "sk_live_own", "fl_other"


@pytest.mark.parametrize(
    "to", ["http://127.0.0.1:{port}/x", "//127.0.0.1:{port}/x", "http://localhost:{port}/x"]
)
@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 305, 307, 308])
async def test_no_redirect_of_any_operation_is_followed(status: int, to: str) -> None:
    async with Hostile([reply()]) as elsewhere:
        place = to.format(port=elsewhere.port)
        named = {
            "Location": place,
            "Refresh": f"0; url={place}",
            "Content-Location": place,
            "Alt-Svc": f'h2=":{elsewhere.port}"',
        }
        async with (
            Hostile([reply(status, b"", headers=named)]) as server,
            client_at(server, api_key=KEY) as client,
        ):
            for operation in OPERATIONS:
                with pytest.raises(TelepathError):
                    await operation.call(client)
        assert elsewhere.connections == []
    assert {request.all("Authorization")[0] for request in server.requests} == {f"Bearer {KEY}"}


@pytest.mark.parametrize(
    "challenge", ['Basic realm="x"', 'Digest realm="x", nonce="n", qop="auth"', "Negotiate", "NTLM"]
)
@pytest.mark.parametrize(
    ("status", "header"), [(401, "WWW-Authenticate"), (407, "Proxy-Authenticate")]
)
async def test_no_challenge_brings_out_another_credential(
    status: int, header: str, challenge: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_environment(tmp_path, monkeypatch, proxy=None)
    async with (
        Hostile([reply(status, headers={header: challenge})]) as server,
        client_at(server, api_key=KEY) as client,
    ):
        for operation in OPERATIONS:
            with pytest.raises(TelepathError):
                await operation.call(client)
    assert len(server.requests) == len(OPERATIONS)
    assert b"Proxy-Authorization" not in server.received
    assert b"from_netrc" not in server.received


def fill_environment(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, proxy: Hostile | None
) -> None:
    (folder / ".netrc").write_text(
        "machine 127.0.0.1 login from_netrc password from_netrc\n"
        "default login from_netrc password b\n"
    )
    monkeypatch.setenv("NETRC", str(folder / ".netrc"))
    monkeypatch.setenv("HOME", str(folder))
    for name in (
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
    ):
        monkeypatch.setenv(name, proxy.url) if proxy else monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("own_session", [False, True])
async def test_nothing_in_the_environment_is_asked_or_sent(
    own_session: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        Hostile([reply()]) as proxy,
        Hostile([answering(well)]) as server,
        aiohttp.ClientSession() as session,
    ):
        fill_environment(tmp_path, monkeypatch, proxy=proxy)
        async with client_at(
            server, api_key=KEY, session=session if own_session else None
        ) as client:
            for operation in OPERATIONS:
                await operation.call(client)
    assert proxy.connections == []
    assert b"netrc" not in server.received
    assert {tuple(request.all("Authorization")) for request in server.requests} == {
        (f"Bearer {KEY}",)
    }


ENDPOINTS = {
    ("GET", "trunks"): "find",
    ("GET", "calls"): "list calls by offset",
    ("POST", "trunks"): "create",
    ("PATCH", "trunks"): "update",
    ("GET", "analytics"): "overview",
    ("POST", "numbers"): "number",
    ("GET", "new"): "request",
}


def well(request: Received) -> Step:
    """Answer every request as it wishes, and set cookies."""
    path = request.target.partition("?")[0].split("/")[2:]
    name = ENDPOINTS[request.method, path[0]]
    name = "rotate" if path[-1].startswith("rotate") else "get" if path[:-1] == ["calls"] else name
    cookies = [
        ("Set-Cookie", "tracked=1; Path=/"),
        ("Set-Cookie", "tracked=2; Domain=localhost; Path=/"),
    ]
    return reply(200, BY_NAME[name].body, headers=cookies)


@pytest.mark.parametrize("own_session", [False, True])
async def test_no_operation_sends_a_cookie_back(own_session: bool) -> None:
    jar = aiohttp.CookieJar(unsafe=True)
    async with (
        Hostile([answering(well)]) as server,
        aiohttp.ClientSession(cookie_jar=jar) as session,
        client_at(server, session=session if own_session else None) as client,
    ):
        for operation in [*OPERATIONS, *OPERATIONS]:
            await operation.call(client)
    assert b"\r\nCookie" not in server.received
    assert b"tracked" not in server.received


async def test_two_vendors_each_get_their_own_key_and_nothing_of_the_other() -> None:
    async with (
        Hostile([answering(well)]) as server,
        Hostile([answering(well)]) as vendor,
        client_at(
            server, api_key=KEY, numbers_base_url=f"{vendor.url}/v1", numbers_api_key=NUMBERS_KEY
        ) as plain,
    ):
        client = plain.with_options(headers={"X-Gateway-Key": "own-gateway"})
        for operation in OPERATIONS:
            await operation.call(client)
    assert {request.target for request in vendor.requests} == {
        "/v1/numbers/update?phone_number=%2B15550003"
    }
    assert {request.all("Authorization")[0] for request in vendor.requests} == {
        f"Bearer {NUMBERS_KEY}"
    }
    assert {request.all("Authorization")[0] for request in server.requests} == {f"Bearer {KEY}"}
    assert {tuple(request.all("X-Gateway-Key")) for request in server.requests} == {
        ("own-gateway",)
    }
    assert b"own-gateway" not in vendor.received
    assert NUMBERS_KEY.encode() not in server.received


async def test_a_cursor_that_is_an_address_is_no_place_to_go_to() -> None:
    async with Hostile([reply()]) as elsewhere:
        cursor = f"{elsewhere.url}/v1/calls?limit=1#"
        pages = [
            {"data": [CALL], "next_cursor": cursor, "next": cursor},
            {"data": [], "next_cursor": None},
        ]
        script = [
            reply(200, json.dumps(page).encode(), headers={"Link": f'<{cursor}>; rel="next"'})
            for page in pages
        ]
        async with Hostile(script) as server, client_at(server) as client:
            await client.calls.list().collect()
        assert elsewhere.connections == []
    assert server.requests[1].target == f"/v1/calls?limit=100&cursor={quote(cursor, safe='')}"
