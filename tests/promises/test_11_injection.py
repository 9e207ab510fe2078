"""Promise 11: refuse an id that is not one path segment, and keep every text in its place.

No text gets into a header, a query, a body or a log where it does not belong.

What the server receives is compared byte by byte with what must arrive, for any text in every
parameter that takes text.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telepath_async import TelepathClient, TelepathError, TrunkSpec, UsageError
from telepath_async.transport import USER_AGENT
from tests.support.hostile import Hostile, reply
from tests.support.operations import NUMBER, ROTATED, TRUNK, client_at

EVIL = [
    "..", ".", "", " ", "/", "\\", "a/b", "a?b=c", "a#b", "%2e%2e", "%2F", "a%", "+", "&", "=", ";",
    "a&limit=1", "\r\n", "a\r\nX: 1", "\n", "\x00", "\x7f", "\x85", "\u2028", "\u202e", "\ufeff",
    "\ud800", "é", "😀", '"', "'", "{id}", "%s", "{0}", "a" * 256, "a" * 257, "@evil", ":80",
    "//evil", "~", "*", "\t", "\u00a0", "\u2025", "\uff0f", "\uff0e\uff0e",
]  # fmt: skip
TEXT = st.sampled_from(EVIL) | st.text(max_size=12) | st.text("./\\%?#&=+;\r\n\x00 a", max_size=6)
Query = dict[str, str]
Expected = tuple[str, list[str], Query, Any]
Way = tuple[Callable[[TelepathClient, str], Awaitable[Any]], Callable[[str], Expected]]

FIELDS = (
    "name", "ai_provider", "sip_username", "sip_password", "openai_api_key", "elevenlabs_api_key",
)  # fmt: skip
SPEC: dict[str, Any] = {
    "name": "n", "ai_provider": "elevenlabs", "sip_username": "u", "sip_password": "password",
    "elevenlabs_api_key": "k", "elevenlabs_agent_id": "a",
}  # fmt: skip


def create(**changes: Any) -> Callable[[TelepathClient, str], Awaitable[Any]]:
    return lambda client, text: client.trunks.create(
        **SPEC | {name: make(text) for name, make in changes.items()}
    )


def created(name: str) -> Callable[[str], Expected]:
    def expect(text: str) -> Expected:
        fields = SPEC | {name: text}
        order = [
            *(field for field in FIELDS if field in fields),
            *(field for field in fields if field not in FIELDS),
        ]
        return "POST", ["trunks"], {}, {field: fields[field] for field in order}

    return expect


def update(name: str) -> Way:
    return lambda client, text: client.trunks.update("t", **{name: text}), lambda text: (
        "PATCH",
        ["trunks", "t"],
        {},
        {name: text},
    )


def number(name: str, make: Callable[[str], Any] = lambda text: text) -> Way:
    return (
        lambda client, text: client.numbers.update("+15550003", **{name: make(text)}),
        lambda text: (
            "POST",
            ["numbers", "update"],
            {"phone_number": "+15550003"},
            {name: make(text)},
        ),
    )


def listed(of: str, name: str) -> Way:
    return (
        lambda client, text: getattr(client, of).list(**{name: text}).first(),
        lambda text: ("GET", [of], {name: text, "limit": "1"}, None),
    )


def resumed(place: str) -> Way:
    def checkpoint(text: str) -> str:
        held = {"v": 1, "of": "calls", "filters": {}, "style": "cursor", "cursor": "c"}
        held |= {"cursor": text} if place == "cursor" else {"filters": {"status": text}}
        return json.dumps(held)

    def query(text: str) -> Query:
        return (
            {"limit": "100", "cursor": text}
            if place == "cursor"
            else {"status": text, "limit": "100", "cursor": "c"}
        )

    return (
        lambda client, text: client.calls.list(resume=checkpoint(text)).collect(),
        lambda text: ("GET", ["calls"], query(text), None),
    )


WAYS: dict[str, Way] = {
    "calls.get(call_id)": (
        lambda client, text: client.calls.get(text),
        lambda text: ("GET", ["calls", text], {}, None),
    ),
    "trunks.update(trunk_id)": (
        lambda client, text: client.trunks.update(text, name="n"),
        lambda text: ("PATCH", ["trunks", text], {}, {"name": "n"}),
    ),
    "trunks.rotate_sip_password(trunk_id)": (
        lambda client, text: client.trunks.rotate_sip_password(text),
        lambda text: ("POST", ["trunks", text, "rotate-sip-password"], {}, None),
    ),
    **{
        f"trunks.create({name})": (create(**{name: str}), created(name))
        for name in (
            "name", "ai_provider", "sip_username", "sip_password", "elevenlabs_api_key",
            "elevenlabs_agent_id", "openai_api_key", "custom_endpoint", "system_prompt",
        )
    },
    **{
        f"trunks.update({name})": update(name)
        for name in (
            "name", "openai_api_key", "elevenlabs_api_key", "elevenlabs_agent_id",
            "custom_endpoint", "system_prompt", "vad",
        )
    },
    "trunks.create(an extra field)": (
        lambda client, text: client.trunks.create(**SPEC, extra={"extra_field": text}),
        created("extra_field"),
    ),
    "trunks.update(an extra field's name)": (
        lambda client, text: client.trunks.update("t", extra={f"x{text}": 1}),
        lambda text: ("PATCH", ["trunks", "t"], {}, {f"x{text}": 1}),
    ),
    **{f"trunks.list({name})": listed("trunks", name) for name in ("status", "sort")},
    **{
        f"calls.list({name})": listed("calls", name) for name in ("trunk_id", "status", "direction")
    },
    "calls.list(resume's filter)": resumed("filter"),
    "calls.list(resume's cursor)": resumed("cursor"),
    "analytics.overview(trunk_id)": (
        lambda client, text: client.analytics.overview(trunk_id=text),
        lambda text: ("GET", ["analytics", "overview"], {"trunk_id": text}, None),
    ),
    "numbers.update(phone_number)": (
        lambda client, text: client.numbers.update(text, label="l"),
        lambda text: ("POST", ["numbers", "update"], {"phone_number": text}, {"label": "l"}),
    ),
    **{
        f"numbers.update({name})": number(name)
        for name in ("label", "description", "inbound_agent")
    },
    "numbers.update(example_context)": number("example_context", lambda text: {text: text}),
    "numbers.update(an agent's field)": number(
        "inbound_agent", lambda text: {"id": text, "voice": [text]}
    ),
    "request(path)": (
        lambda client, text: client.request("GET", f"/x/{text}"),
        lambda text: ("GET", ["x", *text.split("/")], {}, None),
    ),
    "request(a parameter)": (
        lambda client, text: client.request("GET", "/x", params={"a": text}),
        lambda text: ("GET", ["x"], {"a": text}, None),
    ),
    "request(a parameter's name)": (
        lambda client, text: client.request("GET", "/x", params={text: "a"}),
        lambda text: ("GET", ["x"], {text: "a"}, None),
    ),
    "request(a body)": (
        lambda client, text: client.request("POST", "/x", json={text: [text]}),
        lambda text: ("POST", ["x"], {}, {text: [text]}),
    ),
}  # fmt: skip

UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"


def encoded(text: str) -> str:
    return "".join(chr(byte) if byte in UNRESERVED else f"%{byte:02X}" for byte in text.encode())


def expected_bytes(
    server: Hostile, way: Expected, *, key: str = "key", headers: tuple[str, ...] = ()
) -> tuple[list[bytes], bytes]:
    """Return the lines of the head, sorted behind the first, and the body."""
    method, segments, query, json_body = way
    body = (
        b""
        if json_body is None
        else json.dumps(json_body, ensure_ascii=False, separators=(",", ":")).encode()
    )
    asked = "&".join(f"{encoded(name)}={encoded(value)}" for name, value in query.items())
    lines = [
        f"Host: 127.0.0.1:{server.port}",
        "Accept: application/json",
        "Accept-Encoding: gzip, deflate",
        f"User-Agent: {USER_AGENT}",
        f"Authorization: Bearer {key}",
        *headers,
    ]
    lines += ["Content-Type: application/json"] if body else []
    lines += (
        ["Content-Type: application/octet-stream"] if method == "POST" and not body else []
    )  # aiohttp's word for none
    lines += [f"Content-Length: {len(body)}"] if body or method in ("POST", "PATCH") else []
    target = "".join(f"/{encoded(segment)}" for segment in ["v1", *segments]) + (
        f"?{asked}" if asked else ""
    )
    return [f"{method} {target} HTTP/1.1".encode(), *sorted(line.encode() for line in lines)], body


def received_bytes(server: Hostile) -> tuple[list[bytes], bytes]:
    (request,) = server.requests
    first, *lines = request.head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    assert request.head + request.body == server.received
    return [first, *sorted(lines)], request.body


def assert_one_line(text: str) -> None:
    assert text.isprintable(), f"{text!r} could forge a line of a log, or hide in one"


GOOD = reply(
    200, json.dumps({"data": TRUNK | ROTATED | NUMBER} | {"trunks": [], "calls": []}).encode()
)
ROWS = reply(200, b'{"data": [], "next_cursor": null}')


def lists(name: str) -> bool:
    return ".list(" in name


@pytest.mark.parametrize("name", WAYS)
def test_any_text_arrives_in_its_place_byte_by_byte_or_is_refused_unsent(name: str) -> None:
    call, expect = WAYS[name]

    @settings(max_examples=30, database=None)
    @given(text=TEXT)
    def any_text(text: str) -> None:
        asyncio.run(once(text))

    async def once(text: str) -> None:
        async with Hostile([ROWS if lists(name) else GOOD]) as server, client_at(server) as client:
            try:
                await call(client, text)
            except UsageError as error:
                assert_one_line(str(error))
                assert server.connections == []
                return
            assert received_bytes(server) == expected_bytes(server, expect(text))

    any_text()
    for text in EVIL:
        asyncio.run(once(text))


@pytest.mark.parametrize("name", [name for name in WAYS if name.endswith("_id)")][:3])
@pytest.mark.parametrize("text", ["..", ".", " ", "a\r\nb", "a" * 257])
async def test_an_id_that_is_no_segment_is_refused(name: str, text: str) -> None:
    async with Hostile([GOOD]) as server, client_at(server) as client:
        with pytest.raises(UsageError):
            await WAYS[name][0](client, text)
    assert server.connections == []


@settings(max_examples=100)
@given(header=TEXT, value=TEXT, key=TEXT)
def test_no_header_and_no_key_holds_another_header(header: str, value: str, key: str) -> None:
    async def run() -> None:
        async with Hostile([reply()]) as server:
            try:
                plain = client_at(server, api_key=key)
                client = plain.with_options(headers={f"X{header}": value})
            except UsageError as error:
                assert_one_line(str(error))
                return
            await client.request("GET", "/x")
            await plain.aclose()
        expected = expected_bytes(
            server, ("GET", ["x"], {}, None), key=key.strip(), headers=(f"X{header}: {value}",)
        )
        assert [line.rstrip() for line in received_bytes(server)[0]] == [
            line.rstrip() for line in expected[0]
        ]

    asyncio.run(run())


@settings(max_examples=25)  # each is 42 calls
@given(text=TEXT | st.binary(max_size=8).map(lambda data: data.decode("latin-1")))
def test_what_a_server_says_is_one_line_of_a_log(text: str) -> None:
    header = "".join(
        character for character in text if " " <= character <= "\xff" and character != "\x7f"
    )
    bodies: list[Any] = [
        {"error": {"code": text, "message": text}},
        {"error": text},
        {"detail": [{"loc": [text], "msg": text}]},
        {text: text},
        {"data": {"id": [text], "name": {text: text}}},
        {"data": [{text: text, "id": 5}], "next_cursor": text},
        {"data": [], "next_cursor": text, "has_more": True},
    ]

    async def run() -> None:
        for status in (200, 409, 500):
            for body in bodies:
                answer = reply(
                    status,
                    json.dumps(body).encode(),
                    headers={"X-Request-Id": header, "Retry-After": header},
                )
                async with Hostile([answer]) as server, client_at(server) as client:
                    for call in (
                        client.calls.list().collect(),
                        client.trunks.rotate_sip_password("t"),
                    ):
                        try:
                            await call
                        except TelepathError as error:
                            assert_one_line(str(error))
                            assert_one_line(
                                f"{getattr(error, 'code', '')}{getattr(error, 'request_id', '')}"
                            )

    asyncio.run(run())


@settings(max_examples=100)
@given(text=TEXT)
def test_a_checkpoint_is_read_or_refused_in_one_line(text: str) -> None:
    client = TelepathClient("key")
    for resume in (
        text,
        json.dumps(
            {"v": 1, "of": f"x{text}", "filters": {}}
        ),  # else it could be "calls", or the name of a field
        json.dumps({"v": 1, "of": "calls", "filters": {}, f"x{text}": 1}),
        json.dumps({"v": 1, "of": "calls", "filters": {"from": f"x{text}"}}),
    ):
        with pytest.raises(UsageError) as caught:
            client.calls.list(resume=resume)
        assert_one_line(str(caught.value))


@settings(max_examples=60)
@given(text=TEXT)
def test_a_bad_spec_is_refused_in_one_line(text: str) -> None:
    for name in ("sip_username", "ai_provider", "name", "custom_endpoint"):
        try:
            TrunkSpec(**SPEC | {name: text})
        except UsageError as error:
            assert_one_line(str(error))


def test_a_listener_that_fails_logs_no_text_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        async with (
            Hostile([GOOD]) as server,
            client_at(server, on_event=lambda event: 1 / 0) as client,
        ):
            await client.trunks.update("a{id}%s", name="n")

    with caplog.at_level(logging.DEBUG):
        asyncio.run(run())
    assert [
        record.getMessage() for record in caplog.records if record.name == "telepath_async"
    ] == [
        f"on_event failed on {kind}; the call goes on"
        for kind in ("CallStarted", "RequestStarted", "ResponseReceived", "CallEnded")
    ]
