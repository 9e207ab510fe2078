"""What is odd in a list is the command's last lines, and a row that is left out its exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from telepath_async.cli.exits import FAILED, OK, PARTLY
from telepath_async.sandbox import Sandbox
from tests.cli.conftest import Telepath

GOOD = {"id": "call_good", "start_time": "2026-03-10T12:00:00Z", "from": "+15550100001"}
ODD = GOOD | {"id": "call_odd", "duration_seconds": "42"}
WITHOUT_ID = GOOD | {"id": None}


@pytest.fixture(params=["list", "list --table", "sync", "sync --table", "export", "export --table"])
def command(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    name, *options = request.param.split()
    where = {"sync": [f"sqlite:///{tmp_path}/calls.db"], "export": [f"{tmp_path}/calls.csv"]}
    return ["calls", name, *where.get(name, []), *options]


def answer_with(sandbox: Sandbox, *rows: dict[str, Any], **more: Any) -> None:
    body = {"calls": rows, "pagination": {"limit": 100, "offset": 0, "total": len(rows)} | more}
    sandbox.fail_next(status=200, body=json.dumps(body), path="/calls")


def test_a_call_without_an_id_is_named_last_and_the_exit_code_says_partly(
    telepath: Telepath, sandbox: Sandbox, command: list[str]
) -> None:
    answer_with(sandbox, GOOD, WITHOUT_ID)
    ended = telepath(*command)
    assert ended.code == PARTLY
    named, counted = ended.err.splitlines()[-2:]
    assert named == (
        "warning: the list of calls: left out, without a usable id: 1 (expected an id: text that "
        "is not blank, or a whole number at $.calls[1].id)"
    )
    assert counted == "warning: 1 call was left out: no usable id"
    assert "+15550100001" not in ended.err


def test_a_call_with_an_odd_value_is_named_last_and_all_is_well(
    telepath: Telepath, sandbox: Sandbox, command: list[str]
) -> None:
    answer_with(sandbox, GOOD, ODD)
    ended = telepath(*command)
    assert ended.code == OK
    named, counted = ended.err.splitlines()[-2:]
    assert named.endswith("1 (call_odd: duration_seconds: expected a number)")
    assert counted.startswith("note: 1 call with a value of another type than its field")


def test_what_was_odd_is_named_before_the_error_where_the_list_is_cut_off(
    telepath: Telepath, sandbox: Sandbox, command: list[str]
) -> None:
    answer_with(sandbox, GOOD, ODD, total=500)
    sandbox.fail_next(status=403, path="/calls")
    ended = telepath(*command)
    assert ended.code != OK
    assert "call_odd: duration_seconds: expected a number" in ended.err
    assert ended.err.splitlines()[-1].startswith("error: ")


def test_the_reports_of_a_sync_and_an_export_count_them(
    telepath: Telepath, sandbox: Sandbox, tmp_path: Path
) -> None:
    for command in (["sync", f"sqlite:///{tmp_path}/calls.db"], ["export", f"{tmp_path}/c.csv"]):
        answer_with(sandbox, GOOD, ODD, WITHOUT_ID)
        (report,) = telepath("calls", *command).lines
        assert (report["rejected"], report["odd"], report["uncertain"]) == (1, 1, 0)


def test_trunks_without_an_id_are_left_out_too(telepath: Telepath, sandbox: Sandbox) -> None:
    body = {"trunks": [{"id": "conn_1"}, {"name": "x"}], "pagination": {"total": 2}}
    sandbox.fail_next(status=200, body=json.dumps(body), path="/trunks")
    ended = telepath("trunks", "list")
    assert ([line["id"] for line in ended.lines], ended.code) == (["conn_1"], PARTLY)
    assert "1 trunk was left out" in ended.err


def test_a_list_that_is_odd_all_through_is_named_by_its_first_ten_pages(
    telepath: Telepath, sandbox: Sandbox
) -> None:
    for call_id in [*sandbox.calls]:
        sandbox.calls.update(call_id, status=5)
    for _ in range(1_000):
        sandbox.add_call(status=5)
    ended = telepath("calls", "list")
    assert (ended.code, len(ended.lines)) == (OK, 1_250)
    *pages, more, counted = ended.err.splitlines()
    assert len(pages) == 10
    assert all(page.endswith(" more)") for page in pages)
    assert more == "note: 3 more pages have such rows"
    assert counted.startswith("note: 1,250 calls with a value of another type")


def test_another_command_says_at_once_what_is_odd_in_the_lists_that_it_reads(
    telepath: Telepath, sandbox: Sandbox, tmp_path: Path
) -> None:
    body = {"trunks": [{"id": "conn_1", "name": 5}], "pagination": {"total": 1}}
    sandbox.fail_next(status=200, body=json.dumps(body), path="/trunks")
    sandbox.fail_next(status=404, path="/trunks/conn_1/rotate-sip-password")
    ended = telepath(
        "jobs", "rotate", "--all", "--apply", "/bin/cat", "--journal", tmp_path / "rotation.ndjson"
    )
    assert ended.code in (FAILED, PARTLY)
    assert "conn_1: name: expected text" in ended.err
