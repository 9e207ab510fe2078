"""The commands of an accounts file: what they get, and what they do not see."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from telepath_async import AnalyticsOverview, Call, Secret, SipCredentials
from telepath_async.jobs import LatencyAlert, Threshold
from telepath_async.jobs.commands import CommandFailed
from telepath_async.worker.commands import Commands, alert_document, credentials_document

SAY = (
    "import json, os, sys; json.dump([sys.stdin.read(), dict(os.environ)], open(sys.argv[1], 'w'))"
)


async def test_a_command_gets_the_document_and_none_of_the_accounts_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACME_KEY", "sk_live")
    monkeypatch.setenv("OTHER", "fine")
    await Commands(frozenset({"ACME_KEY"})).run(
        [sys.executable, "-c", SAY, str(tmp_path / "out")], Secret("the document")
    )
    document, environment = json.loads((tmp_path / "out").read_text())
    assert document == "the document"
    assert environment["OTHER"] == "fine"
    assert "ACME_KEY" not in environment


async def test_a_command_has_a_bounded_time() -> None:
    with pytest.raises(CommandFailed, match=r"took more than 0.5 s, and was ended"):
        await Commands(seconds=0.5).run(
            [sys.executable, "-c", "import time; time.sleep(60)"], Secret("x")
        )


def test_an_alert_is_told_by_its_figures() -> None:
    at = datetime(2026, 6, 1, tzinfo=UTC)
    alert = LatencyAlert(
        kind="crossed",
        threshold=Threshold("avg_ai_latency_ms", 400),
        value=512.5,
        since=at - timedelta(minutes=15),
        at=at,
        overview=AnalyticsOverview(),
        worst_calls=(Call(id="call_1"),),
    )
    assert json.loads(alert_document("acme", alert).reveal()) == {
        "account": "acme",
        "kind": "crossed",
        "metric": "avg_ai_latency_ms",
        "limit": 400,
        "value": 512.5,
        "since": "2026-05-31T23:45:00+00:00",
        "at": "2026-06-01T00:00:00+00:00",
        "worst_calls": ["call_1"],
    }


def test_credentials_are_told_in_a_document_that_hides_itself() -> None:
    document = credentials_document(
        "acme", SipCredentials(id="t", sip_username="u", sip_password=Secret("pw"))
    )
    assert json.loads(document.reveal()) == {
        "account": "acme", "trunk_id": "t", "sip_username": "u", "sip_password": "pw",
    }  # fmt: skip
    assert "pw" not in repr(document)
