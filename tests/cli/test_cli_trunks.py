"""Test `telepath trunks create`, `update` and `rotate`: where secrets come from and go to.

They come from files and the environment and nowhere else; none is lost.
"""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from telepath_async import Secret
from telepath_async.cli import credentials, shell
from telepath_async.cli.exits import AUTH, CONFLICT, FAILED, NOT_FOUND, OK, UNKNOWN, USAGE
from telepath_async.sandbox import Sandbox
from tests.cli.conftest import Telepath, assert_refused, full_disk, signalled

CREATE = ("trunks", "create", "--name", "Front", "--provider", "openai", "--sip-username", "front")


@pytest.fixture
def trunk_id(sandbox: Sandbox) -> str:
    return next(iter(sandbox.trunks))


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai-1")
    monkeypatch.setenv("TELEPATH_SIP_PASSWORD", "s3cur3-password")


def trunk_of(sandbox: Sandbox, username: str) -> Any:
    return next(trunk for trunk in sandbox.trunks.values() if trunk["sip_username"] == username)


def test_create_takes_its_secrets_from_the_environment_and_prints_none(
    telepath: Telepath, sandbox: Sandbox, secrets: None
) -> None:
    created = telepath(*CREATE, "--system-prompt", "Be kind.", "--field", 'vad={"threshold":0.5}')
    assert created.code == OK
    (line,) = created.lines
    trunk = trunk_of(sandbox, "front")
    assert line["id"] == trunk["id"]
    assert (trunk["sip_password"], trunk["openai_api_key"]) == ("s3cur3-password", "sk-openai-1")
    assert trunk["system_prompt"] == "Be kind."
    assert json.loads(sandbox.requests[-1].body)["vad"] == {"threshold": 0.5}
    assert "s3cur3" not in created.out + created.err


def test_a_change_that_cannot_be_printed_is_named_on_standard_error(
    telepath: Telepath, sandbox: Sandbox, secrets: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell, "write_ndjson", full_disk)
    created = telepath(*CREATE)
    trunk_id = trunk_of(sandbox, "front")["id"]
    assert created.code == FAILED
    assert f"the trunk was created: {trunk_id}" in created.err
    updated = telepath("trunks", "update", trunk_id, "--name", "Back")
    assert f"the trunk was updated: {trunk_id}" in updated.err
    assert trunk_of(sandbox, "front")["name"] == "Back"


def test_create_takes_its_secrets_from_files_before_the_environment(
    telepath: Telepath, sandbox: Sandbox, secrets: None, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("from-a-file\r\n")
    (tmp_path / "key").write_text("eleven-key\n")
    (tmp_path / "prompt").write_text("Be brief.")
    created = telepath(
        "trunks", "create", "--name", "Eleven", "--provider", "elevenlabs", "--sip-username",
        "eleven", "--table", "--elevenlabs-agent-id", "agent_1", "--sip-password-file",
        tmp_path / "password", "--elevenlabs-api-key-file", tmp_path / "key",
        "--system-prompt-file", tmp_path / "prompt",
    )  # fmt: skip
    assert created.code == OK, created.err
    assert "Eleven" in created.out
    trunk = trunk_of(sandbox, "eleven")
    assert (trunk["sip_password"], trunk["elevenlabs_api_key"]) == ("from-a-file", "eleven-key")
    assert trunk["system_prompt"] == "Be brief."


def test_a_secret_may_come_from_standard_input(
    telepath: Telepath,
    sandbox: Sandbox,
    secrets: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    (tmp_path / "stdin").write_text("from-a-pipe\n")
    with (tmp_path / "stdin").open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert telepath(*CREATE, "--sip-password-file", "-").code == OK
    assert trunk_of(sandbox, "front")["sip_password"] == "from-a-pipe"


def test_a_username_that_is_taken_is_a_conflict(telepath: Telepath, secrets: None) -> None:
    assert telepath(*CREATE).code == OK
    assert telepath(*CREATE).code == CONFLICT


def test_a_provider_key_that_is_refused_is_an_auth_error(
    telepath: Telepath, sandbox: Sandbox, secrets: None
) -> None:
    sandbox.fail_next(
        status=401, body={"error": {"code": "invalid_provider_credentials", "message": "bad key"}}
    )
    refused = telepath(*CREATE)
    assert refused.code == AUTH
    assert "invalid_provider_credentials" in refused.err


def test_a_create_whose_answer_is_lost_and_cannot_be_looked_up_is_unknown(
    telepath: Telepath, sandbox: Sandbox, secrets: None
) -> None:
    sandbox.fail_next(drop="after", method="POST")
    sandbox.fail_next(status=400, method="GET")
    assert telepath(*CREATE).code == UNKNOWN


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--sip-username", "no spaces please"], "letters, digits and hyphens"),
        (["--field", "vad"], "--field must be NAME=JSON"),
        (["--field", "vad=no json"], "--field must be NAME=JSON"),
        (["--field", "=1"], "--field must be NAME=JSON"),
        (["--system-prompt-file", "/nowhere"], "cannot read /nowhere"),
    ],
)
def test_a_spec_that_makes_no_sense_is_refused(
    telepath: Telepath, sandbox: Sandbox, secrets: None, arguments: list[str], said: str
) -> None:
    assert_refused(telepath(*CREATE, *arguments), sandbox, said)


def test_update_sends_vad_and_fields_that_the_sdk_does_not_know(
    telepath: Telepath, sandbox: Sandbox, trunk_id: str
) -> None:
    fields = ("--field", 'vad={"threshold":0.5}', "--field", 'language="en"')
    assert telepath("trunks", "update", trunk_id, *fields).code == OK
    assert json.loads(sandbox.requests[-1].body) == {"vad": {"threshold": 0.5}, "language": "en"}


def test_update_refuses_a_field_that_has_an_option_of_its_own(
    telepath: Telepath, sandbox: Sandbox
) -> None:
    refused = telepath("trunks", "update", "conn_1", "--field", 'name="New"')
    assert_refused(refused, sandbox, "name must not stand in extra")


def test_a_credential_among_the_arguments_is_warned_of(telepath: Telepath, secrets: None) -> None:
    warned = telepath(*CREATE, "--field", 'webhook_secret="abc"')
    assert warned.code == OK
    assert "warning: --field webhook_secret" in warned.err
    assert "abc" not in warned.err


def test_update_changes_what_is_given_and_no_more(
    telepath: Telepath, sandbox: Sandbox, trunk_id: str, secrets: None
) -> None:
    changes = ("--name", "New", "--set-openai-api-key")
    assert telepath("trunks", "update", trunk_id, *changes).code == OK
    assert json.loads(sandbox.requests[-1].body) == {"name": "New", "openai_api_key": "sk-openai-1"}
    assert sandbox.trunks[trunk_id]["name"] == "New"


def test_update_without_a_field_is_refused(telepath: Telepath, sandbox: Sandbox) -> None:
    assert_refused(telepath("trunks", "update", "conn_abc"), sandbox, "nothing to update")


def test_rotate_sends_nothing_before_it_knows_where_the_password_is_to_go(
    telepath: Telepath, sandbox: Sandbox, trunk_id: str
) -> None:
    assert_refused(telepath("trunks", "rotate", trunk_id), sandbox, "--save FILE or --show-secrets")


def test_rotate_saves_the_new_password_for_its_owner_only(
    telepath: Telepath, sandbox: Sandbox, trunk_id: str, tmp_path: Path
) -> None:
    file = tmp_path / "new.json"
    rotated = telepath("trunks", "rotate", trunk_id, "--save", file)
    assert rotated.code == OK
    saved = json.loads(file.read_text())
    assert saved["sip_password"] == sandbox.sip_password(trunk_id)
    assert file.read_text().count("\n") == 1
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert rotated.lines[0]["sip_password"] == "**********"
    assert saved["sip_password"] not in rotated.out + rotated.err


def test_rotate_shows_the_new_password_when_asked(
    telepath: Telepath, sandbox: Sandbox, trunk_id: str
) -> None:
    shown = telepath("trunks", "rotate", trunk_id, "--show-secrets")
    assert shown.lines[0]["sip_password"] == sandbox.sip_password(trunk_id)
    table = telepath("trunks", "rotate", trunk_id, "--show-secrets", "--table")
    assert sandbox.sip_password(trunk_id) in table.out


@pytest.mark.parametrize("there", [True, False])
def test_a_file_that_cannot_be_new_is_refused_before_anything_is_sent(
    telepath: Telepath, sandbox: Sandbox, trunk_id: str, tmp_path: Path, there: bool
) -> None:
    file = tmp_path / "old.json" if there else tmp_path / "no" / "where.json"
    if there:
        file.write_text("an older password")
    refused = telepath("trunks", "rotate", trunk_id, "--save", file)
    assert_refused(refused, sandbox, f"--save: cannot make {file}")
    assert not there or file.read_text() == "an older password"


def test_a_disk_that_has_no_room_for_the_password_is_refused_before_anything_is_sent(
    telepath: Telepath,
    sandbox: Sandbox,
    trunk_id: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "pwrite", full_disk)
    refused = telepath("trunks", "rotate", trunk_id, "--save", tmp_path / "new.json")
    assert_refused(refused, sandbox, "No space left on device; nothing was sent")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("save", [True, False])
def test_a_rotation_whose_answer_is_lost_says_to_rotate_again(
    telepath: Telepath, sandbox: Sandbox, trunk_id: str, tmp_path: Path, save: bool
) -> None:
    sandbox.fail_next(drop="after")
    how = ["--save", tmp_path / "new.json"] if save else ["--show-secrets"]
    lost = telepath("trunks", "rotate", trunk_id, *how)
    assert lost.code == UNKNOWN
    assert "rotate again" in lost.err
    assert list(tmp_path.iterdir()) == []


def test_a_rotation_that_is_refused_leaves_no_file(telepath: Telepath, tmp_path: Path) -> None:
    refused = telepath("trunks", "rotate", "conn_none", "--save", tmp_path / "new.json")
    assert refused.code == NOT_FOUND
    assert list(tmp_path.iterdir()) == []


def test_an_answer_to_a_rotation_that_makes_no_sense_is_kept_as_it_came(
    telepath: Telepath, sandbox: Sandbox, trunk_id: str, tmp_path: Path
) -> None:
    file = tmp_path / "new.json"
    sandbox.fail_next(status=200, body='{"new": "pa55word"}', executed=True)
    kept = telepath("trunks", "rotate", trunk_id, "--save", file)
    assert kept.code == FAILED
    assert file.read_text() == '{"new": "pa55word"}'
    assert "pa55word" not in kept.out + kept.err
    sandbox.fail_next(status=200, body='{"new": "pa55word"}', executed=True)
    assert "pa55word" in telepath("trunks", "rotate", trunk_id, "--show-secrets").err


def test_an_empty_answer_to_a_rotation_is_not_kept(
    telepath: Telepath, sandbox: Sandbox, trunk_id: str, tmp_path: Path
) -> None:
    file = tmp_path / "new.json"
    sandbox.fail_next(status=200, body="", executed=True)
    lost = telepath("trunks", "rotate", trunk_id, "--save", file)
    assert lost.code == FAILED
    assert "the answer was empty, and the old password may be dead: rotate again" in lost.err
    assert not file.exists()


@pytest.mark.parametrize(
    ("save", "where"), [(False, "it is new, the old one is dead"), (True, "it stands in")]
)
def test_a_new_password_that_cannot_be_printed_is_reported(
    telepath: Telepath,
    trunk_id: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    save: bool,
    where: str,
) -> None:
    monkeypatch.setattr(shell, "write_ndjson", full_disk)
    options = ["--save", tmp_path / "new.json"] if save else ["--show-secrets"]
    failed = telepath("trunks", "rotate", trunk_id, *options)
    assert failed.code == FAILED
    assert f"the new password could not be printed; {where}" in failed.err


def test_nothing_is_rotated_where_nothing_can_be_printed(
    telepath: Telepath, sandbox: Sandbox, trunk_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell, "sys", SimpleNamespace(stdout=None, stderr=sys.stderr))
    refused = telepath("trunks", "rotate", trunk_id, "--show-secrets")
    assert_refused(refused, sandbox, "standard output is closed")


@pytest.mark.parametrize("written", ["\ufefffrom-a-file\r\n", "from-a-file\n\n", "from-a-file"])
def test_a_file_of_a_secret_may_end_and_begin_as_editors_like_it(
    telepath: Telepath, sandbox: Sandbox, secrets: None, tmp_path: Path, written: str
) -> None:
    (tmp_path / "password").write_text(written, encoding="utf-8", newline="")
    assert telepath(*CREATE, "--sip-password-file", tmp_path / "password").code == OK
    assert trunk_of(sandbox, "front")["sip_password"] == "from-a-file"


def test_a_file_with_more_than_a_secret_is_refused(
    telepath: Telepath, secrets: None, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("from-a-file\nand-more\n")
    refused = telepath(*CREATE, "--sip-password-file", tmp_path / "password")
    assert refused.code == USAGE
    assert "in its first line, and nothing else" in refused.err
    assert "and-more" not in refused.err


def test_interrupting_a_rotation_says_to_rotate_again(
    telepath: Telepath, sandbox: Sandbox, trunk_id: str, tmp_path: Path
) -> None:
    sandbox.fail_next(delay=30.0)
    with signalled(signal.SIGINT, lambda: sandbox.requests):
        stopped = telepath("trunks", "rotate", trunk_id, "--save", tmp_path / "new.json")
    assert stopped.code == 130
    assert "rotate again" in stopped.err


def test_what_is_typed_is_asked_for_twice_where_it_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["one-password", "one-password", "one-password", "another", "key", ""])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr(credentials, "getpass", lambda prompt: next(answers))
    assert credentials.read_secret(credentials.SIP_PASSWORD, None) == Secret("one-password")
    with pytest.raises(ValueError, match="differ"):
        credentials.read_secret(credentials.SIP_PASSWORD, None)
    assert credentials.read_secret(credentials.OPENAI_API_KEY, None) == Secret("key")
    with pytest.raises(ValueError, match="it is empty"):
        credentials.read_secret(credentials.OPENAI_API_KEY, None)


@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]
)
def test_a_signal_at_the_prompt_ends_the_command(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals, error: type[BaseException]
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr(credentials, "getpass", lambda prompt: os.kill(os.getpid(), number))
    before = signal.getsignal(number)
    with pytest.raises(error):
        credentials.read_secret(credentials.OPENAI_API_KEY, None)
    assert signal.getsignal(number) is before


@pytest.mark.parametrize(
    ("sent", "printed"),
    [
        ({"status": "active"}, {"status": "active"}),
        ({"metrics": {"calls_today": 3}}, {"metrics": {"calls_today": 3}}),
        ({"region": "eu", "name": None}, {"extra": {"region": "eu"}}),
    ],
)
def test_update_prints_what_the_server_sent_and_no_more(
    telepath: Telepath, sandbox: Sandbox, sent: dict[str, Any], printed: dict[str, Any]
) -> None:
    for _ in range(2):
        sandbox.fail_next(status=200, body=json.dumps({"id": "conn_1", **sent}))
    assert telepath("trunks", "update", "conn_1", "--name", "x").lines == [
        {"id": "conn_1", **printed}
    ]
    table = telepath("trunks", "update", "conn_1", "--name", "x", "--table").out
    assert len(table.splitlines()) == 2
    assert "unknown" not in table


def test_find_shows_the_trunk_that_has_a_username(telepath: Telepath, sandbox: Sandbox) -> None:
    trunk = next(iter(sandbox.trunks.values()))
    found = telepath("trunks", "find", trunk["sip_username"])
    assert (found.code, json.loads(found.out)["id"]) == (OK, trunk["id"])
    missing = telepath("trunks", "find", "nobody")
    assert (missing.code, missing.out) == (NOT_FOUND, "")
    assert missing.err == "error: no trunk has the SIP username 'nobody'\n"
