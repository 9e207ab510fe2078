import asyncio
from typing import Any

import aiohttp
import pytest

from telepath_async.sandbox import Sandbox


@pytest.mark.parametrize("style", ["offset", "cursor"])
async def test_a_scripted_status_is_answered_without_executing(
    start: Any, spec: dict[str, str], style: str
) -> None:
    client = await start(style=style)
    client.sandbox.fail_next(503, headers={"Retry-After": "7"})
    answer = await client.post("/trunks", spec)
    assert answer.status == 503
    assert answer.headers["Retry-After"] == "7"
    assert answer.json["error"] == {
        "code": "service_unavailable",
        "message": "Scripted by fail_next",
        "status": 503,
    }
    assert not client.sandbox.sip_login(spec["sip_username"], spec["sip_password"])
    assert (await client.post("/trunks", spec)).status == 201


async def test_a_status_without_a_body_has_none(offset: Any) -> None:
    offset.sandbox.fail_next(204)
    async with offset.session.get(f"{offset.sandbox.base_url}/trunks") as response:
        assert (response.status, await response.read()) == (204, b"")


async def test_a_status_of_no_name_is_answered_too(offset: Any) -> None:
    offset.sandbox.fail_next(599)
    assert (await offset.get("/trunks")).code == "error"


async def test_a_scripted_error_can_follow_the_effect(either: Any, spec: dict[str, str]) -> None:
    either.sandbox.fail_next(500, executed=True)
    assert (await either.post("/trunks", spec)).status == 500
    assert either.sandbox.sip_login(spec["sip_username"], spec["sip_password"])


@pytest.mark.parametrize(
    ("body", "sent"),
    [(b"\xff", b"\xff"), ("<html>", b"<html>"), ({"a": 1}, b'{"a": 1}'), ("", b"")],
)
async def test_a_scripted_body_is_sent_as_it_is(offset: Any, body: Any, sent: bytes) -> None:
    offset.sandbox.fail_next(
        200, body=body, headers={"content-type": "text/html", "X-RateLimit-Limit": "5"}
    )
    async with offset.session.get(f"{offset.sandbox.base_url}/trunks") as response:
        assert await response.read() == sent
        assert response.headers.getall("Content-Type") == ["text/html"]
        assert response.headers["X-RateLimit-Limit"] == "5"
        assert response.headers["X-RateLimit-Remaining"] == "5999"


@pytest.mark.parametrize(
    ("drop", "executed"), [("before", False), ("after", True), ("middle", True)]
)
async def test_a_dropped_connection_breaks_on_the_real_socket(
    either: Any, spec: dict[str, str], drop: Any, executed: bool
) -> None:
    either.sandbox.fail_next(drop=drop)
    with pytest.raises(
        aiohttp.ClientPayloadError if drop == "middle" else aiohttp.ServerDisconnectedError
    ):
        await either.post("/trunks", spec)
    assert either.sandbox.sip_login(spec["sip_username"], spec["sip_password"]) is executed
    assert [request.status for request in either.sandbox.requests] == [None]
    assert (await either.get("/trunks")).status == 200


async def test_a_reply_cut_in_the_middle_has_its_head_and_half_its_body(offset: Any) -> None:
    offset.sandbox.fail_next(drop="middle")
    async with offset.session.get(f"{offset.sandbox.base_url}/trunks") as response:
        assert response.status == 200
        half = int(response.headers["Content-Length"]) // 2
        assert (await response.content.readexactly(half)).startswith(b'{"trunks":')
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.content.readexactly(1)


async def test_a_delayed_answer_comes_after_the_effect(either: Any, spec: dict[str, str]) -> None:
    either.sandbox.fail_next(delay=60)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await either.post("/trunks", spec)
    assert either.sandbox.sip_login(spec["sip_username"], spec["sip_password"])


async def test_a_delay_combines_with_a_status_and_with_a_drop(offset: Any) -> None:
    loop = asyncio.get_running_loop()
    for options in ({"status": 500}, {"drop": "after"}, {}):
        offset.sandbox.fail_next(delay=0.05, **options)
        begin = loop.time()
        try:
            await offset.get("/trunks")
        except aiohttp.ServerDisconnectedError:
            assert "drop" in options
        assert loop.time() - begin >= 0.05


async def test_latency_holds_every_answer_back(start: Any) -> None:
    client = await start(latency=0.05)
    begin = asyncio.get_running_loop().time()
    await client.get("/trunks")
    assert asyncio.get_running_loop().time() - begin >= 0.05


async def test_faults_are_used_up_in_order_and_as_often_as_told(offset: Any) -> None:
    offset.sandbox.fail_next(500, times=2)
    offset.sandbox.fail_next(502)
    assert [(await offset.get("/trunks")).status for _ in range(4)] == [500, 500, 502, 200]


async def test_a_fault_waits_for_the_request_that_it_is_meant_for(offset: Any) -> None:
    trunk_id = next(iter(offset.sandbox.trunks))
    offset.sandbox.fail_next(500, method="post", path="/trunks/{id}/rotate-sip-password")
    offset.sandbox.fail_next(501, path=f"/trunks/{trunk_id}")
    offset.sandbox.fail_next(502, path="/trunks")
    offset.sandbox.fail_next(503, method="DELETE")
    assert (await offset.get("/calls")).status == 200
    assert (await offset.post("/trunks/other/rotate-sip-password")).status == 500
    assert (await offset("PATCH", "/trunks/other", json={})).status == 404
    assert (await offset("PATCH", f"/trunks/{trunk_id}", json={})).status == 501
    assert (await offset.get("/trunks")).status == 502
    assert (await offset("DELETE", "/trunks")).status == 503


async def test_a_fault_hits_requests_without_a_key_too(offset: Any) -> None:
    offset.sandbox.fail_next(500)
    assert (await offset("GET", "/trunks", headers={"Authorization": "x"})).status == 500
    assert offset.sandbox.requests[0].status == 500


async def test_scripted_answers_count_against_the_rate_limit(start: Any) -> None:
    client = await start(rate_limit=2, rate_period=10**9)
    client.sandbox.fail_next(500, times=3)
    assert [(await client.get("/trunks")).status for _ in range(3)] == [500, 500, 429]


@pytest.mark.parametrize("drop", ["after", "middle", None])
async def test_a_client_that_left_before_its_answer_is_no_error(
    offset: Any, caplog: pytest.LogCaptureFixture, drop: Any
) -> None:
    offset.sandbox.fail_next(drop=drop, delay=0.2)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await offset.get("/trunks")
    await asyncio.sleep(0.3)
    assert caplog.records == []


async def test_a_client_that_left_inside_its_own_body_is_no_error(
    offset: Any, caplog: pytest.LogCaptureFixture
) -> None:
    host, port = offset.sandbox.base_url[7:-3].split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /v1/trunks HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
    await writer.drain()
    await asyncio.sleep(0.05)
    writer.close()
    await writer.wait_closed()
    await asyncio.sleep(0.05)
    assert offset.sandbox.requests == []
    assert caplog.records == []


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"status": 500, "drop": "before"},
        {"status": 199},
        {"status": 600},
        {"drop": "sideways"},
        {"delay": -1},
        {"delay": float("inf")},
        {"delay": float("nan")},
        {"status": 500, "times": 0},
        {"drop": "after", "headers": {"a": "b"}},
        {"drop": "after", "body": b""},
        {"delay": 1, "executed": True},
        {"status": 500, "path": "trunks"},
        {"status": 500, "path": "/v1/trunks"},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Sandbox(calls=0).fail_next(**options)
