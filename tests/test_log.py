"""`TELEPATH_LOG`: what it logs, and what it never shows."""

from __future__ import annotations

import logging

import pytest

from telepath_async import Event, RetryPolicy, TelepathClient, UsageError
from telepath_async.sandbox import Sandbox


@pytest.mark.parametrize(("wanted", "attempts"), [("info", 0), ("debug", 2), ("DEBUG", 2)])
async def test_the_events_are_logged_and_the_listener_hears_them_too(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, wanted: str, attempts: int
) -> None:
    monkeypatch.setenv("TELEPATH_LOG", wanted)
    caplog.set_level(logging.DEBUG, "telepath_async")
    heard: list[Event] = []
    async with (
        Sandbox() as sandbox,
        TelepathClient(
            sandbox.api_key,
            base_url=sandbox.base_url,
            retry=RetryPolicy(backoff=0.001),
            on_event=heard.append,
        ) as client,
    ):
        sandbox.fail_next(status=500)
        trunk = await client.trunks.list().first()
        assert trunk is not None
        await client.trunks.rotate_sip_password(trunk.id)
    lines = [record.getMessage() for record in caplog.records if record.name == "telepath_async"]
    assert sum("RetryScheduled method=GET template=/trunks" in line for line in lines) == 1
    assert sum(line.startswith("CallEnded") and "status=200" in line for line in lines) == 2
    assert sum(line.startswith("RequestStarted method=GET") for line in lines) == attempts
    assert sandbox.api_key not in caplog.text
    assert sandbox.sip_password(trunk.id) not in caplog.text
    assert {type(event).__name__ for event in heard} >= {"CallStarted", "CallEnded"}


async def test_the_log_needs_no_listener(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, telepath_sandbox: Sandbox
) -> None:
    monkeypatch.setenv("TELEPATH_LOG", "info")
    caplog.set_level(logging.INFO, "telepath_async")
    client = TelepathClient(telepath_sandbox.api_key, base_url=telepath_sandbox.base_url)
    async with client:
        await client.trunks.list().first()
    assert "CallEnded method=GET" in caplog.text


def test_another_word_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELEPATH_LOG", "loud")
    with pytest.raises(UsageError, match="TELEPATH_LOG must be info or debug, not 'loud'"):
        TelepathClient("sk_live_x")
