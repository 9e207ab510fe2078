"""Whatever goes wrong is a sentence with an exit code, and advice is given where it helps."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from telepath_async import cli
from telepath_async.cli import app, credentials, exits
from telepath_async.cli.exits import FAILED, OK, USAGE, line_of
from telepath_async.sandbox import Sandbox
from tests.cli.conftest import Telepath, assert_refused, full_disk, variables_of

TELEPATH = [sys.executable, "-m", "telepath_async.cli"]
ADVICE = ("run the same command", "the rest follows")


@pytest.mark.parametrize(
    ("arguments", "missing", "extra"),
    [
        (["worker", "--accounts", "none.toml"], "saq", "jobs"),
        (["worker", "status"], "croniter", "jobs"),
        (["demo"], "sqlalchemy", "demo"),
        (["calls", "sync", "sqlite:///calls.db"], "sqlalchemy", "sync"),
    ],
)
def test_a_missing_extra_is_named(
    telepath: Telepath,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    missing: str,
    extra: str,
) -> None:
    ours = ("telepath_async.worker", "telepath_async.sync", "telepath_async.demo")
    for name in [name for name in sys.modules if name.startswith(ours)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("telepath_async.demo", raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    ended = telepath(*arguments)
    assert ended.code == USAGE
    assert f'pip install "telepath-async[{extra}]"' in ended.err
    assert ended.err.count("\n") == 1


def shell(line: str, sandbox: Sandbox) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "-c", line.replace("telepath", " ".join(TELEPATH), 1)],
        env=variables_of(sandbox),
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )


def test_a_closed_standard_error_is_no_reason_to_end(sandbox: Sandbox) -> None:
    ended = shell("telepath trunks list --json 2>&-", sandbox)
    assert ended.returncode == OK
    assert ended.stdout.count("\n") == 5
    assert shell("telepath trunks list --bogus 2>&-", sandbox).returncode == USAGE


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("unset TELEPATH_API_KEY; telepath trunks list", "no Telepath API key: set TELEPATH_API"),
        ("telepath trunks list --api-key-file -", "standard input holds no Telepath API key"),
        ("telepath trunks create-many -", "standard input holds no trunks"),
    ],
)
def test_a_closed_standard_input_is_an_empty_one(sandbox: Sandbox, line: str, said: str) -> None:
    ended = shell(f"{line} <&-", sandbox)
    assert ended.returncode == USAGE
    assert said in ended.stderr
    assert sandbox.requests == []


@pytest.mark.parametrize(
    "arguments",
    ["trunks list", "calls sync sqlite:///x.db", "sandbox --port 0", "demo", "dashboard --sandbox"],
)
def test_a_closed_standard_output_is_reported_before_anything_begins(
    sandbox: Sandbox, arguments: str
) -> None:
    ended = shell(f"telepath {arguments} >&-", sandbox)
    assert ended.returncode == USAGE
    assert ended.stderr.startswith("error: standard output is closed; send it to a file")
    assert sandbox.requests == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="of Linux")
@pytest.mark.parametrize("arguments", ["trunks", "--help"])
def test_a_help_that_cannot_be_printed_is_reported(sandbox: Sandbox, arguments: str) -> None:
    ended = shell(f"COLUMNS=80 telepath {arguments} > /dev/full", sandbox)
    assert ended.returncode == FAILED
    assert ended.stderr == "error: standard output: No space left on device\n"


def test_a_full_disk_is_reported(telepath: Telepath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "app", full_disk)
    monkeypatch.setattr(app, "pipe_closed", lambda: exits.PIPE_CLOSED)
    ended = telepath("--help")
    assert (ended.code, ended.err) == (FAILED, "error: standard output: No space left on device\n")


def test_closed_streams_are_no_reason_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(f"sys.{stream}", None)
    assert cli.main(["--version"]) == OK
    for opened in (sys.stdin, sys.stderr):  # of /dev/null, until the process ends
        opened.close()


def test_an_input_that_ends_at_a_prompt_is_reported(
    telepath: Telepath, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(prompt: str) -> str:
        raise EOFError

    monkeypatch.delenv("TELEPATH_API_KEY")
    monkeypatch.setattr(credentials, "getpass", ended)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    refused = telepath("trunks", "list")
    assert refused.code == USAGE
    assert "no Telepath API key: the input ended before it was typed" in refused.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trunks", "update", "conn_a", "--field", 'name="x"'], "name"),
        (["trunks", "update", "conn_a", "--field", "a=1", "--field", "a=2"], "--field a is given"),
        (["trunks", "update", "conn_a", "--field", "a=" + "[" * 100_000], "--field must be"),
        (["trunks", "list", "--all", "--max-items", "3"], "--all or --max-items, and not both"),
        (["trunks", "list", "--resume", "garbage"], "pass the checkpoint that a list gave"),
        (
            ["trunks", "update", "c", "--system-prompt", "a", "--system-prompt-file", "/dev/null"],
            "--system-prompt or --system-prompt-file, and not both",
        ),
        (
            ["trunks", "create", "--name", "a", "--provider", "openai", "--sip-username", "a",
             "--elevenlabs-api-key-file", "/dev/null"],
            "--elevenlabs-api-key-file is given, and --provider is openai",
        ),
        (
            ["worker", "--state", "a", "--redis", "redis://127.0.0.1:1"],
            "--state is of a worker without a broker",
        ),
        (["calls", "export", "calls.parquet", "--bom"], "bom marks a CSV for Excel"),
        (["calls", "sync", "postgresql://h/d?connect_timeout=soon"], "connect_timeout"),
        (["calls", "sync", "sqlite:///calls.db", "--account", "a b"], "account must be a name"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_with_a_sentence_and_no_advice(
    telepath: Telepath,
    sandbox: Sandbox,
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    refused = telepath(*arguments)
    assert_refused(refused, sandbox, said)
    assert "Paginator" not in refused.err
    assert not any(advice in refused.err for advice in ADVICE)


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"[" * 100_000, b'{"avg_ai_latency_ms": 5}', b"{}{}"]
)
def test_a_state_that_is_not_a_state_is_refused(
    telepath: Telepath, sandbox: Sandbox, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "state").write_bytes(content)
    refused = telepath(
        "analytics", "watch", "--max-ai-latency-ms", "1", "--once", "--state", tmp_path / "state"
    )
    assert_refused(refused, sandbox, "state")


def test_white_space_around_a_key_or_url_of_the_environment_is_no_part_of_it(
    telepath: Telepath, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TELEPATH_API_KEY", f" {sandbox.api_key}\n")
    monkeypatch.setenv("TELEPATH_DATABASE_URL", f"sqlite:///{tmp_path}/calls.db\n")
    assert telepath("calls", "sync").code == OK
    assert "calls.db\n" not in os.listdir(tmp_path)
    monkeypatch.setenv("TELEPATH_SIP_PASSWORD", "s3cur3-password ")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1\n")
    create = ("--name", "a", "--provider", "openai", "--sip-username", "a")
    refused = telepath("trunks", "create", *create)
    assert refused.code == USAGE
    assert "sip_password has white space around it" in refused.err


@pytest.mark.parametrize("command", [["calls", "list"], ["calls", "sync", "sqlite:///calls.db"]])
def test_advice_is_given_where_it_helps_alone(
    telepath: Telepath,
    sandbox: Sandbox,
    command: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for status, times, helps in ((401, 1, False), (404, 1, False), (503, 20, True)):
        sandbox.fail_next(status=status, times=times)
        ended = telepath(*command, "--timeout", "2")
        assert any(advice in ended.err for advice in ADVICE) is helps


@pytest.mark.parametrize(
    "command", [["calls", "list"], ["trunks", "list"], ["calls", "export", "calls.csv"]]
)
def test_a_status_that_no_page_names_is_warned_of(
    telepath: Telepath, command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = telepath(*command, "--status", "bogus")
    assert ended.code == OK
    assert "warning: --status 'bogus' is not one of " in ended.err


def test_a_failure_of_the_database_says_so_in_its_own_words(
    telepath: Telepath, tmp_path: Path
) -> None:
    ended = telepath("calls", "sync", f"sqlite:///{tmp_path}/no/calls.db")
    assert ended.code == FAILED
    assert ended.err.endswith(
        f"error: the database {tmp_path}/no/calls.db: unable to open database file\n"
    )
    refused = telepath("calls", "sync", "postgresql://postgres@127.0.0.1:1/none")
    assert "error: the database: " in refused.err
    assert "sqlalchemy" not in ended.err + refused.err


def test_a_failure_of_the_api_is_not_one_of_the_database(
    telepath: Telepath, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.fail_next(delay=5.0, path="/calls", times=20)
    ended = telepath("calls", "sync", f"sqlite:///{tmp_path}/calls.db", "--timeout", "0.3")
    assert ended.code == FAILED
    assert "error: the database" not in ended.err


def test_a_failure_without_words_is_its_kind() -> None:
    error = TimeoutError()
    error.add_note("the journal")
    assert line_of(error) == "the journal: TimeoutError"
    assert exits.can_resume(error)
