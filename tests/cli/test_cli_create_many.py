"""Test `telepath trunks create-many`: each row has an outcome, and no row is lost.

The exit code tells how the whole went.
"""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from telepath_async.cli.exits import AUTH, OK, PARTLY, UNKNOWN
from telepath_async.sandbox import Sandbox
from tests.cli.conftest import Telepath, assert_refused, signalled


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "trunks.ndjson"
    path.write_text("".join(json.dumps(row(f"new-{n}")) + "\n" for n in range(12)))
    return path


def row(username: str) -> dict[str, Any]:
    return {
        "name": username, "ai_provider": "openai", "sip_username": username,
        "sip_password": f"pa55word-of-{username}", "openai_api_key": "sk-pa55-1",
    }  # fmt: skip


def usernames(sandbox: Sandbox) -> set[str]:
    return {trunk["sip_username"] for trunk in sandbox.trunks.values()}


def test_each_row_becomes_a_trunk_and_a_line(
    telepath: Telepath, sandbox: Sandbox, file: Path
) -> None:
    created = telepath("trunks", "create-many", file)
    assert created.code == OK
    assert {(line["line"], line["sip_username"], line["state"]) for line in created.lines} == {
        (n + 1, f"new-{n}", "created") for n in range(12)
    }
    assert all(
        sandbox.trunks[line["trunk"]["id"]]["sip_username"] == line["sip_username"]
        for line in created.lines
    )
    assert "12 created, 0 exists, 0 failed, 0 unknown" in created.err
    assert "pa55" not in created.out + created.err


def test_a_second_run_with_skip_changes_nothing(
    telepath: Telepath, sandbox: Sandbox, file: Path
) -> None:
    telepath("trunks", "create-many", file)
    before = dict(sandbox.trunks)
    again = telepath(
        "trunks", "create-many", file, "--if-exists", "skip", "--table", "--concurrency", 3
    )
    assert again.code == OK
    assert "12 exists" in again.err
    assert again.out == ""
    assert dict(sandbox.trunks) == before


def test_a_dry_run_sends_nothing_and_needs_no_key(run: Telepath, file: Path) -> None:
    checked = run("trunks", "create-many", file, "--dry-run")
    assert checked.code == OK
    assert "12 trunks could be created; nothing was sent" in checked.err


def test_a_fault_in_one_row_sends_nothing(telepath: Telepath, sandbox: Sandbox, file: Path) -> None:
    file.write_text(file.read_text() + json.dumps({"name": "x"}))
    assert_refused(telepath("trunks", "create-many", file), sandbox, "line 13: ")


def test_some_that_failed_are_told_by_the_exit_code(
    telepath: Telepath, sandbox: Sandbox, file: Path
) -> None:
    sandbox.add_trunk(sip_username="new-3")
    partly = telepath("trunks", "create-many", file, "--table")
    assert partly.code == PARTLY
    assert "11 created, 0 exists, 1 failed" in partly.err
    assert "--if-exists skip" in partly.err
    assert partly.out.splitlines()[1].split()[:3] == ["4", "new-3", "failed"]
    assert {f"new-{n}" for n in range(12)} <= usernames(sandbox)


def test_an_unknown_outcome_is_told_by_the_exit_code(
    telepath: Telepath, sandbox: Sandbox, file: Path
) -> None:
    sandbox.fail_next(drop="after", method="POST")
    sandbox.fail_next(status=400, method="GET")
    unknown = telepath("trunks", "create-many", file)
    assert unknown.code == UNKNOWN
    (line,) = (line for line in unknown.lines if line["state"] == "unknown")
    assert line["trunk"] is None
    assert "answer was lost" in line["error"]


def test_where_all_fail_for_one_cause_the_exit_code_is_that_of_the_cause(
    telepath: Telepath, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TELEPATH_API_KEY", "sk_live_wrong")
    assert telepath("trunks", "create-many", file).code == AUTH


def test_the_providers_key_may_come_from_the_environment(
    telepath: Telepath, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = row("front")
    del fields["openai_api_key"]
    (tmp_path / "one.json").write_text(json.dumps([fields]))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-environment")
    assert telepath("trunks", "create-many", tmp_path / "one.json").code == OK
    assert json.loads(sandbox.requests[-1].body)["openai_api_key"] == "sk-environment"


def test_interrupted_it_says_how_to_go_on_and_going_on_completes_it(
    telepath: Telepath, sandbox: Sandbox, file: Path
) -> None:
    sandbox.fail_next(delay=30.0, method="POST")
    with signalled(signal.SIGINT, lambda: len(sandbox.trunks) == 5 + 12):
        stopped = telepath("trunks", "create-many", file)
    assert stopped.code == 130
    assert "run the same command with --if-exists skip to go on" in stopped.err
    assert telepath("trunks", "create-many", file, "--if-exists", "skip").code == OK
    assert {f"new-{n}" for n in range(12)} <= usernames(sandbox)
    assert len(sandbox.trunks) == 5 + 12
