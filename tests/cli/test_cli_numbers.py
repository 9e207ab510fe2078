"""`telepath numbers update`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from telepath_async.cli.exits import OK, USAGE
from telepath_async.sandbox import Sandbox
from tests.cli.conftest import Telepath, served

NUMBER = "+15550100001"
UPDATE = ("numbers", "update", NUMBER)


def test_update_sends_what_is_given_and_no_more(telepath: Telepath, sandbox: Sandbox) -> None:
    updated = telepath(
        *UPDATE, "--label", "Desk", "--no-outbound-only", "--inbound-agent", "agent_1", "--clear",
        "description", "--example-context", "company=Acme", "--example-context", "note=a=b",
    )  # fmt: skip
    assert updated.code == OK, updated.err
    assert json.loads(sandbox.requests[-1].body) == {
        "label": "Desk",
        "outbound_only": False,
        "inbound_agent": "agent_1",
        "example_context": {"company": "Acme", "note": "a=b"},
        "description": None,
    }
    assert updated.lines[0]["number"] == NUMBER
    shown = telepath(*UPDATE, "--label", "Desk", "--table")
    assert NUMBER in shown.out
    assert "Desk" in shown.out


@pytest.mark.parametrize("agent", ["agent_9", {"id": "agent_9", "name": None}])
def test_an_agent_is_shown_by_its_id(telepath: Telepath, sandbox: Sandbox, agent: object) -> None:
    sandbox.fail_next(status=200, body={"number": NUMBER, "inbound_agent": agent})
    assert "agent_9" in telepath(*UPDATE, "--label", "x", "--table").out


def test_credentials_in_an_answer_are_masked_unless_asked_for(
    telepath: Telepath, sandbox: Sandbox
) -> None:
    body = {
        "number": NUMBER,
        "telephony_account_connection": {"credentials": {"auth": "pa55word"}},
        "api_key": "pa55word",
    }
    for arguments, shows in (
        ([], False),
        (["--table"], False),
        (["--show-secrets"], True),
        (["--table", "--show-secrets"], True),
    ):
        sandbox.fail_next(status=200, body=body)
        assert ("pa55word" in telepath(*UPDATE, "--label", "x", *arguments).out) is shows


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--example-context", "company"],
        ["--clear", "number"],
        ["--clear", "label", "--label", "Desk"],
    ],
)
def test_what_makes_no_sense_is_refused(
    telepath: Telepath, sandbox: Sandbox, arguments: list[str]
) -> None:
    assert telepath(*UPDATE, *arguments).code == USAGE
    assert sandbox.requests == []


def test_numbers_may_live_elsewhere_with_a_key_of_their_own(
    telepath: Telepath, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(trunks=0, calls=0) as elsewhere:
        refused = telepath(*UPDATE, "--label", "x", "--numbers-base-url", elsewhere.base_url)
        assert refused.code == USAGE
        assert "TELEPATH_NUMBERS_API_KEY" in refused.err
        (tmp_path / "key").write_text(elsewhere.api_key)
        monkeypatch.setenv("TELEPATH_NUMBERS_BASE_URL", elsewhere.base_url)
        key = ("--numbers-api-key-file", tmp_path / "key")
        assert telepath(*UPDATE, "--label", "x", *key).code == OK
        assert len(elsewhere.requests) == 1
    assert sandbox.requests == []
