"""Promise 5: a rotated secret that reached us reaches the caller.

In `SipCredentials`, or in `ResponseError.raw` where the answer has an unexpected shape; and it is
in no word of that error. An answer that broke off is OutcomeUnknown, and rotating again is its
remedy: what came of it is not kept.
"""

from __future__ import annotations

import gzip
import json
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telepath_async.errors import ResponseError
from telepath_async.models.trunks import SipCredentials
from telepath_async.protocol.answers import read_object
from telepath_async.protocol.messages import Response
from tests.support.hostile import Hostile, chunked, raw, reply
from tests.support.trunk_server import client_of

SECRET = "new-s3cret"

GOOD: list[Any] = [
    {"id": "t", "sip_password": SECRET},
    {"sip_password": SECRET},
    {"sip_password": SECRET, "rotated_at": None, "new": {"field": [1]}},
    {"id": "t", "sip_username": "u", "sip_password": SECRET, "rotated_at": "2024-03-10T12:00:00Z"},
    {"id": 5, "sip_password": SECRET},
    {"id": ["t"], "sip_password": SECRET},
    {"sip_password": SECRET, "rotated_at": "yesterday"},
    {"sip_password": SECRET, "rotated_at": 5},
    {"sip_password": SECRET, "sip_username": {}},
]
ODD: list[Any] = [
    [{"sip_password": SECRET}],
    {"credentials": {"sip_password": SECRET}},
    {"sip_password": {"value": SECRET}},
    {"sip_password": [SECRET]},
    {"password": SECRET},
    {"sipPassword": SECRET},
    SECRET,
    None,
]


def shown(error: BaseException) -> str:
    return f"{error} {error!r} {error.args!r} {pickle.dumps(error)!r}"


@pytest.mark.parametrize("status", [200, 201, 202, 299])
@pytest.mark.parametrize("body", GOOD + ODD, ids=repr)
async def test_whatever_the_shape_the_secret_is_in_the_credentials_or_in_raw(
    body: Any, status: int
) -> None:
    sent = json.dumps(body).encode()
    async with Hostile([reply(status, sent)]) as server, client_of(server) as client:
        if body in GOOD:
            assert (await client.trunks.rotate_sip_password("t")).sip_password.reveal() == SECRET
        else:
            with pytest.raises(ResponseError) as caught:
                await client.trunks.rotate_sip_password("t")
            assert (caught.value.raw, caught.value.status) == (sent, status)
            assert SECRET not in shown(caught.value)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "text",
    [
        b"new-s3cret",
        b"sip_password=new-s3cret",
        b'{"sip_password": "new-s3cret"',
        b'{"sip_password": "new-s3cret"}}',
        b'\xff{"sip_password": "new-s3cret"}',
        b"<xml><sip_password>new-s3cret</sip_password></xml>",
        b'{"sip_password": "new-s3cret", "n": NaN}',
        b'{"sip_password": "new-s3cret", "n": ' + b"[" * 5000,
    ],
)
@pytest.mark.parametrize("form", ["plain", "gzip", "chunks", "behind a 103"])
async def test_what_is_no_json_is_in_raw_expanded_and_whole(text: bytes, form: str) -> None:
    step = {
        "plain": reply(200, text),
        "gzip": reply(200, gzip.compress(text), headers={"Content-Encoding": "gzip"}),
        "chunks": chunked(text[:7], text[7:], b""),
        "behind a 103": raw(b"HTTP/1.1 103 Early Hints\r\n\r\n" + reply(200, text).bytes),
    }[form]
    async with Hostile([step]) as server, client_of(server) as client:
        with pytest.raises(ResponseError) as caught:
            await client.trunks.rotate_sip_password("t")
    assert caught.value.raw == text
    assert SECRET not in shown(caught.value)


async def test_an_answer_above_the_cap_is_in_raw_up_to_the_cap() -> None:
    body = b'{"sip_password": "new-s3cret", "padding": "' + b"x" * 1000 + b'"}'
    async with (
        Hostile([reply(200, body)]) as server,
        client_of(server, max_response_bytes=100) as client,
    ):
        with pytest.raises(ResponseError) as caught:
            await client.trunks.rotate_sip_password("t")
    assert caught.value.raw == body[:100]
    assert SECRET not in shown(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.just(SECRET),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.sampled_from(["sip_password", "id", "data", "rotated_at"]), inner)
    ),
    max_leaves=8,
)


@settings(max_examples=300)
@given(JSON)
def test_any_json_gives_the_secret_back_or_keeps_all_of_it_in_raw(value: object) -> None:
    body = json.dumps(value).encode()
    raw = credentials = None
    try:
        credentials = read_object(
            SipCredentials, Response(status=200, headers={}, body=body, endpoint="POST /x")
        )
    except ResponseError as error:
        raw = error.raw
    if credentials is None:
        assert raw == body
    else:
        assert isinstance(value, dict)
        held = value["data"] if isinstance(value.get("data"), dict) else value
        assert credentials.sip_password.reveal() == held["sip_password"]
