"""Promise 13: raise only our errors, without a warning, whatever bytes come back.

The bytes are random, or a good answer with one of them changed.

See also `tests/test_transport.py`, where the same random answers show no secret.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telepath_async import TelepathError
from telepath_async.models.analytics import AnalyticsOverview
from telepath_async.models.calls import Call, CallDetails
from telepath_async.models.numbers import PhoneNumber
from telepath_async.models.trunks import SipCredentials, Trunk
from telepath_async.protocol.answers import read_list, read_object
from telepath_async.protocol.messages import Response
from telepath_async.protocol.refusals import api_error
from tests.support.answers import ANSWERS
from tests.support.hostile import Hostile, raw, reply
from tests.support.operations import BY_NAME, OPERATIONS, Operation, client_at

KINDS: dict[str, tuple[type, ...]] = {
    "list trunks by offset": (list,), "list calls by offset": (list,),
    "list calls by cursor": (list,), "find": (Trunk, type(None)), "get": (CallDetails,),
    "create": (Trunk,), "create many": (Trunk,), "update": (Trunk,), "rotate": (SipCredentials,),
    "overview": (AnalyticsOverview,), "number": (PhoneNumber,), "request": (Response,),
}  # fmt: skip


def changed(whole: bytes, at: int, how: random.Random) -> list[bytes]:
    """Return `whole` with the byte removed, doubled, and turned into another one."""
    byte = bytes([whole[at] ^ (1 << how.randrange(8))])
    return [
        whole[:at] + whole[at + 1 :],
        whole[: at + 1] + whole[at:],
        whole[:at] + byte + whole[at + 1 :],
    ]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
async def test_a_good_answer_with_any_byte_changed_gives_a_good_result_or_our_error(
    operation: Operation,
) -> None:
    how = random.Random(operation.name)
    whole = operation.answer.bytes
    answers = [
        answer for at in range(len(whole)) for answer in how.sample(changed(whole, at, how), 2)
    ]
    nothing = reply(
        200, b'{"trunks": [], "pagination": {"total": 0, "limit": 100, "offset": 0}}', then="close"
    )
    answer = raw(b"")

    def script(number: int) -> Any:
        return (
            answer if number == before else nothing
        )  # a create in doubt is looked up, a page is asked for again

    async with Hostile(script) as server, client_at(server, timeout=0.5) as client:
        for changed_answer in answers:
            answer, before = raw(changed_answer, "close"), server.taken
            try:
                result = await operation.call(client)
            except TelepathError:
                continue
            assert isinstance(result, KINDS[operation.name])


PURE: dict[str, Callable[[Response], Any]] = {
    "list trunks by offset": lambda response: read_list(Trunk, "trunks", response),
    "list calls by offset": lambda response: read_list(Call, "calls", response),
    "list calls by cursor": lambda response: read_list(Call, "calls", response),
    "create": lambda response: read_object(Trunk, response),
    "get": lambda response: read_object(CallDetails, response),
    "rotate": lambda response: read_object(SipCredentials, response),
    "overview": lambda response: read_object(AnalyticsOverview, response),
    "number": lambda response: read_object(PhoneNumber, response),
}
TELLING = b'\x00\x1f\x80\xff"\\{}[],:0-9.e+ntf/u\n'


@pytest.mark.parametrize("name", PURE)
def test_a_good_body_with_any_byte_turned_into_any_telling_one_is_read_or_is_our_error(
    name: str,
) -> None:
    body = BY_NAME[name].body
    for at in range(len(body)):
        for byte in TELLING:
            for mutant in (
                body[:at] + bytes([byte]) + body[at + 1 :],
                body[:at] + bytes([byte]) + body[at:],
            ):
                try:
                    PURE[name](Response(status=200, headers={}, body=mutant, endpoint="GET /x"))
                except TelepathError:
                    continue


@pytest.mark.parametrize("status", [302, 400, 401, 404, 409, 422, 429, 500])
def test_a_refusal_with_any_byte_changed_is_a_refusal(status: int) -> None:
    body = (
        b'{"error": {"code": "conflict", "message": "taken", '
        b'"detail": [{"loc": ["a", 1], "msg": "b"}]}}'
    )
    for at in range(len(body)):
        for byte in TELLING:
            mutant = body[:at] + bytes([byte]) + body[at + 1 :]
            refusal = api_error(
                Response(status=status, headers={}, body=mutant, endpoint="GET /x"),
                secrets=(),
                wall_clock=0.0,
            )
            assert refusal.status == status


@settings(max_examples=150)
@given(
    answer=ANSWERS
    | st.binary(max_size=80)
    | st.binary(max_size=80).map(lambda data: b"HTTP/1.1 200 OK\r\n" + data),
    name=st.sampled_from(sorted(BY_NAME)),
)
def test_any_answer_makes_a_good_result_or_our_error(answer: bytes, name: str) -> None:
    async def run() -> None:
        async with (
            Hostile([raw(answer, "close")]) as server,
            client_at(server, timeout=0.5) as client,
        ):
            try:
                result = await BY_NAME[name].call(client)
            except TelepathError:
                return
            assert isinstance(result, KINDS[name])

    asyncio.run(run())
