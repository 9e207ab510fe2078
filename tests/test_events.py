"""What `on_event` is told, through the public face."""

from __future__ import annotations

import attrs
import pytest

from telepath_async import (
    CallEnded,
    CallStarted,
    Event,
    LocalLimiter,
    RequestFailed,
    RequestStarted,
    ResponseReceived,
    RetryPolicy,
    RetryScheduled,
    Secret,
    TelepathClient,
    Throttled,
)
from tests.support.hostile import RESET, Hostile, reply

KINDS = (
    CallStarted, Throttled, RequestStarted, ResponseReceived, RequestFailed, RetryScheduled,
    CallEnded,
)  # fmt: skip
FIELDS = {
    "method": "GET", "template": "/calls/{id}", "call": 1, "attempt": 1,
    "base_url": "https://api.telepathvoice.com/v1", "seconds": 0.5, "status": 200,
    "remaining": 5987, "request_id": "req_1", "reason": "503", "error": None,
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_event_names_the_endpoint_and_the_attempt_and_cannot_be_changed(
    kind: type[Event],
) -> None:
    event = kind(**{field.name: FIELDS[field.name] for field in attrs.fields(kind)})
    assert (event.method, event.template, event.call, event.attempt) == ("GET", "/calls/{id}", 1, 1)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        event.attempt = 2  # type: ignore[misc]


async def test_no_event_holds_an_id_a_secret_or_the_key() -> None:
    events: list[Event] = []
    async with (
        Hostile(
            [
                reply(429, headers={"Retry-After": "0"}),
                RESET,
                reply(200, b'{"id": "t", "name": "n", "status": "active"}'),
            ]
        ) as server,
        TelepathClient(
            "seeded_key",
            base_url=server.url,
            limiter=LocalLimiter(limit=100, period=1.0, burst=1),
            retry=RetryPolicy(backoff=0.001),
            on_event=events.append,
        ) as client,
    ):
        await client.trunks.update("trunk_seeded", openai_api_key=Secret("seeded_provider_key"))
    assert {type(event) for event in events} == set(KINDS)
    assert "seeded" not in repr(events)
    assert {event.template for event in events} == {"/trunks/{id}"}


async def test_the_request_id_of_every_answer_is_in_its_event_and_in_what_a_list_hands_out() -> (
    None
):
    events: list[Event] = []
    page = b'{"trunks": [], "pagination": {"limit": 100, "offset": 0, "total": 0}}'
    async with (
        Hostile(
            [
                reply(503, headers={"X-Request-Id": "req_1"}),
                reply(200, page, headers={"x-request-id": "req_2"}),
                reply(200, b'{"id": "c"}'),
                reply(200, b"{}", headers={"X-Request-Id": "req_4 seeded_key\t!"}),
            ]
        ) as server,
        TelepathClient(
            "seeded_key",
            base_url=server.url,
            retry=RetryPolicy(backoff=0.001),
            on_event=events.append,
        ) as client,
    ):
        assert (await client.trunks.list()).raw.request_id == "req_2"
        await client.calls.get("c")
        assert (await client.request("GET", "/x")).request_id == "req_4 seeded_key\t!"
    seen = [event.request_id for event in events if isinstance(event, ResponseReceived)]
    assert seen == ["req_1", "req_2", None, "req_4 ********** !"]
