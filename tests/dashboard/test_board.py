"""One call with what the API says of it, the foot, and numbers that are hidden."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from telepath_async import Secret, TelepathClient, UsageError
from telepath_async.dashboard.board import Account
from telepath_async.dashboard.masking import mask_number, mask_numbers
from telepath_async.sandbox import Sandbox

from .browsing import board_over
from .stored import NOW, call, state, store, trunk


async def shown(
    database_url: str, server: Sandbox, call_id: str, *, mask: bool = False
) -> dict[str, Any] | None:
    """Return what the page gets of a call of the sandbox."""
    there = server.calls.get(call_id, {"from": "+15550100001", "to": "+15559244335"})
    row = call(1, id=call_id, from_number=there["from"], to_number=there["to"])
    await store(database_url, [row])
    async with TelepathClient(server.api_key, base_url=server.base_url) as telepath:
        account = Account(name="acme", telepath=telepath, figures=dict)
        async with board_over(database_url, account, mask_numbers=mask) as board:
            return await board.call({"account": "acme", "id": call_id})


async def test_a_call_is_shown_with_its_turns_and_trace(sqlite_url: str) -> None:
    async with Sandbox(style="cursor") as server:
        call_id = next(key for key, one in server.calls.items() if one["duration_seconds"] > 20)
        found = await shown(sqlite_url, server, call_id)
    assert found is not None
    details = found["details"]
    assert found["why"] is None
    assert found["call"]["from_number"] == server.calls[call_id]["from"]
    assert {turn["speaker"] for turn in details["turns"]} == {"agent", "caller"}
    assert details["metrics"]["codec_used"] in ("PCMU", "PCMA", "opus")
    assert server.calls[call_id]["to"] in details["sip_trace"]
    assert details["timeline"]


async def test_masked_numbers_are_nowhere_in_a_call(sqlite_url: str) -> None:
    async with Sandbox() as server:
        call_id = next(iter(server.calls))
        found = await shown(sqlite_url, server, call_id, mask=True)
    for number in (server.calls[call_id]["from"], server.calls[call_id]["to"]):
        assert number not in repr(found)
        assert mask_number(number) in repr(found)


async def test_a_call_without_a_trace_is_masked_too(sqlite_url: str) -> None:
    async with Sandbox() as server:
        call_id = next(iter(server.calls))
        server.fail_next(status=200, path=f"/calls/{call_id}", body={"id": call_id})
        found = await shown(sqlite_url, server, call_id, mask=True)
    assert found is not None
    assert found["details"]["sip_trace"] is None


async def test_why_a_call_has_no_details_is_said(sqlite_url: str) -> None:
    async with Sandbox() as server:
        found = await shown(sqlite_url, server, "call_0000000000")
        assert found is not None
        assert found["why"] == "the API does not know this call any more"
    await store(sqlite_url, [call(2)])
    async with Sandbox() as server:
        call_id = next(iter(server.calls))
        server.fail_next(status=403, path=f"/calls/{call_id}")
        found = await shown(sqlite_url, server, call_id)
        assert found is not None
        assert "403" in found["why"]
    async with board_over(sqlite_url) as board:
        found = await board.call({"account": "acme", "id": "call_00002"})
        assert found is not None
        assert found["why"] == "the key of this account is not known here"
        assert await board.call({}) is None


async def test_the_foot_says_how_every_account_stands(sqlite_url: str) -> None:
    await store(sqlite_url, states=[state(), state("old", watermark=None, checkpoint="x")])
    async with TelepathClient("sk_live_x", base_url="http://127.0.0.1:1") as telepath:
        account = Account(name="acme", telepath=telepath, figures=lambda: {"error": "no"})
        never = Account(name="never", telepath=telepath, figures=lambda: {"error": None})
        async with board_over(sqlite_url, account, never) as board:
            foot = (await board.data({}))["foot"]
    acme, never_synced, old = sorted(foot["syncs"], key=lambda line: line["account"])
    assert (acme["error"], acme["complete_until"]) == ("no", "2026-11-27T14:30:00+00:00")
    assert (never_synced["account"], "synced_at" in never_synced) == ("never", False)
    assert (old["complete_until"], old["under_way"]) == (None, True)
    assert datetime.fromisoformat(acme["synced_at"]) == NOW


async def test_jobs_are_shown_or_why_they_are_not(sqlite_url: str) -> None:
    async def jobs() -> list[dict[str, Any]]:
        return [{"job": "sync"}]

    async def failing() -> list[dict[str, Any]]:
        raise UsageError("the broker is away")

    for source, expected in (
        (None, (None, None)),
        (jobs, ([{"job": "sync"}], None)),
        (failing, (None, "the broker is away")),
    ):
        async with board_over(sqlite_url, jobs=source) as board:
            foot = (await board.data({}))["foot"]
            assert (foot["jobs"], foot["jobs_error"]) == expected


async def test_a_hostile_name_is_passed_on_as_it_is(sqlite_url: str) -> None:
    name = "<img src=x onerror=alert(1)>"
    await store(sqlite_url, known=[trunk("trunk_1", name=name)])
    async with board_over(sqlite_url) as board:
        (line,) = (await board.data({}))["trunk_names"]
    assert line["name"] == name


async def test_no_answer_holds_a_key(sqlite_url: str) -> None:
    key = "sk_live_verysecret"
    await store(sqlite_url, [call(1)])
    async with TelepathClient(Secret(key), base_url="http://127.0.0.1:1") as telepath:
        account = Account(name="acme", telepath=telepath, figures=dict)
        async with board_over(sqlite_url, account) as board:
            assert key not in repr(await board.data({}))


@pytest.mark.parametrize(
    ("number", "masked"),
    [
        ("+15550100001", "+15•••••••01"),
        ("+1-555-010-0001", "+1-5••-•••-••01"),
        ("112", "•••"),
        ("1234", "••••"),
        ("anonymous", "anonymous"),
        (None, None),
    ],
)
def test_a_masked_number_shows_its_ends(number: str | None, masked: str | None) -> None:
    assert mask_number(number) == masked


def test_numbers_inside_a_text_are_masked() -> None:
    text = "INVITE sip:+15559244335@host\nFrom: 5550100001\nCall-ID: call_0123456789"
    assert mask_numbers(text, "5550100001", None) == (
        "INVITE sip:+15•••••••35@host\nFrom: 55••••••01\nCall-ID: call_0123456789"
    )


async def test_what_has_changed_is_explained_once(sqlite_url: str) -> None:
    slow = (NOW - timedelta(hours=30), NOW - timedelta(hours=24))
    rows = [
        call(
            number,
            start_time=start,
            ai_latency_ms=(250.0 + number % 60) * (2 if slow[0] <= start < slow[1] else 1),
        )
        for number in range(1600)
        for start in (NOW - timedelta(minutes=6 * number),)
    ]
    await store(sqlite_url, rows, known=[trunk("trunk_1", name="Night Desk")])
    async with board_over(sqlite_url) as board:
        found = await board.explain({})
        assert found["verdict"] == "changed"
        assert found["summary"].startswith("AI latency of trunk Night Desk (openai), 2026-11-26 ")
        assert found["evidence"][0].startswith("AI p95 ")
        assert await board.explain({}) is found
        assert (await board.explain({"account": "nobody"}))["verdict"] == "too few"
