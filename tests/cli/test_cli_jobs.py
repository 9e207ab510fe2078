"""`telepath jobs rotate`: the carrier's side is a command, and no password is lost or shown."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from telepath_async import Drift, Paginator
from telepath_async.cli import hooks
from telepath_async.cli.exits import CONFLICT, OK, PARTLY
from telepath_async.sandbox import Sandbox
from tests.cli.conftest import Ended, Telepath, assert_refused, full_disk


@pytest.fixture
def rotate(telepath: Telepath, tmp_path: Path) -> Telepath:
    """Run the job with a carrier that writes down what it receives."""
    defaults = ("--journal", tmp_path / "rotation.ndjson", "--attempts", 1)

    def rotate(*arguments: object, apply: str = f"cat >> {tmp_path}/carrier.ndjson") -> Ended:
        return telepath("jobs", "rotate", *arguments, *defaults, "--apply", apply)

    return rotate


def carrier(tmp_path: Path) -> dict[str, str]:
    """The password of each trunk that the carrier received last."""
    lines = map(json.loads, (tmp_path / "carrier.ndjson").read_text().splitlines())
    return {line["id"]: line["sip_password"] for line in lines}


def truth(sandbox: Sandbox) -> dict[str, str]:
    return {trunk_id: sandbox.sip_password(trunk_id) for trunk_id in sandbox.trunks}


def test_all_trunks_are_rotated_and_their_carriers_told(
    rotate: Telepath, sandbox: Sandbox, tmp_path: Path
) -> None:
    before = truth(sandbox)
    done = rotate("--all")
    assert done.code == OK
    assert carrier(tmp_path) == truth(sandbox)
    assert not set(before.values()) & set(truth(sandbox).values())
    assert set(done.lines[0]["rotated"]) == set(before)
    assert "5 rotated, 5 taken by their carriers, 0 left alone" in done.err
    assert not any(password in done.out + done.err for password in truth(sandbox).values())


def test_a_second_run_leaves_alone_what_was_rotated_recently(
    rotate: Telepath, sandbox: Sandbox
) -> None:
    rotate("--all")
    after = truth(sandbox)
    again = rotate("--all", "--table")
    assert again.code == OK
    assert again.out == ""
    assert "5 left alone because they were rotated recently" in again.err
    assert truth(sandbox) == after
    assert rotate("--all", "--not-again-within", "0s").code == OK
    assert not set(truth(sandbox).values()) & set(after.values())


def test_a_carrier_that_fails_stops_the_run_and_the_next_one_finishes_it(
    rotate: Telepath, sandbox: Sandbox, tmp_path: Path
) -> None:
    options = ("--table", "--stop-after", 2, "--concurrency", 1)
    failed = rotate("--all", *options, apply="cat > /dev/null; echo no such host; exit 7")
    assert failed.code == PARTLY
    assert failed.err.count("no such host\n") == 2
    assert "2 carriers may hold a dead password" in failed.err
    assert failed.out.count("apply failed 1 times") == 2
    assert failed.out.count("not reached") == 3
    assert "apply failed for trunk" in failed.err
    finished = rotate("--finish")
    assert finished.code == OK
    taken = carrier(tmp_path)
    assert len(taken) == 2
    assert all(truth(sandbox)[trunk_id] == password for trunk_id, password in taken.items())


def test_named_trunks_only(rotate: Telepath, sandbox: Sandbox, tmp_path: Path) -> None:
    first, *rest = sandbox.trunks
    before = truth(sandbox)
    assert rotate(first).code == OK
    assert list(carrier(tmp_path)) == [first]
    assert all(truth(sandbox)[trunk_id] == before[trunk_id] for trunk_id in rest)


def test_a_trunk_that_is_not_there_is_reported(rotate: Telepath) -> None:
    ended = rotate("conn_none", "--table")
    assert ended.code == PARTLY
    assert "trunk_not_found" in ended.out


def test_a_command_sees_the_password_on_its_standard_input_alone_and_none_of_our_secrets(
    rotate: Telepath, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TELEPATH_DATABASE_URL", "postgresql://u:needle@h/d")
    first = next(iter(sandbox.trunks))
    look = (
        f"cat /proc/$$/cmdline /proc/$$/environ > {tmp_path}/seen; "
        f"env >> {tmp_path}/seen; cat > {tmp_path}/received"
    )
    assert rotate(first, apply=look).code == OK
    password = json.loads((tmp_path / "received").read_text())["sip_password"]
    assert password == sandbox.sip_password(first)
    seen = (tmp_path / "seen").read_bytes()
    assert not any(secret.encode() in seen for secret in (password, "needle", sandbox.api_key))


@pytest.mark.parametrize(
    "which", [[], ["--all", "--finish"], ["conn_1", "--all"], ["conn_1", "--finish"]]
)
def test_which_trunks_must_be_said_once(
    rotate: Telepath, sandbox: Sandbox, which: list[str]
) -> None:
    assert_refused(rotate(*which), sandbox, "say which trunks")


def test_a_journal_that_another_run_holds_is_a_conflict(
    rotate: Telepath, sandbox: Sandbox, tmp_path: Path
) -> None:
    from telepath_async.jobs.journal import open_journal

    with open_journal(tmp_path / "rotation.ndjson"):
        busy = rotate("--finish")
    assert busy.code == CONFLICT
    assert "another run holds" in busy.err


@pytest.mark.parametrize(
    ("apply", "reason"),
    [
        ("", "--apply is empty"),
        ("  ", "--apply is empty"),
        ("./tell-carier", "--apply: ./tell-carier cannot be started: there is no such file"),
    ],
)
def test_a_command_that_cannot_be_started_is_refused_before_a_password_has_changed(
    rotate: Telepath,
    sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    apply: str,
    reason: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_refused(rotate("--all", apply=apply), sandbox, reason)


def test_trunks_that_may_have_been_missed_are_told(
    rotate: Telepath, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Paginator, "drift", Drift(uncertain=3))
    done = rotate("--all")
    assert done.code == PARTLY
    assert "3 trunks may be missing; run again" in done.err


def test_a_carrier_is_told_though_nobody_reads_what_its_command_says(
    rotate: Telepath, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.StringIO):
        write = full_disk

    monkeypatch.setattr(hooks, "sys", SimpleNamespace(stderr=Full()))
    assert rotate("--all", apply="cat > /dev/null; echo done").code == OK
