"""How the command ends: exit codes, one line on standard error, nothing secret, and signals."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from telepath_async import ThrottledError, cli
from telepath_async.cli import app, exits
from telepath_async.cli.shell import resume_hint
from telepath_async.cli.shell import run as run_work
from telepath_async.sandbox import Sandbox
from tests.cli.conftest import Telepath, assert_refused, signalled
from tests.cli.processes import closed_pipe

OVERVIEW = ("analytics", "overview")


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"status": 401}, exits.AUTH),
        ({"status": 403}, exits.AUTH),
        ({"status": 404}, exits.NOT_FOUND),
        ({"status": 409}, exits.CONFLICT),
        ({"status": 429, "headers": {"Retry-After": "3600"}}, exits.THROTTLED),
        ({"status": 400}, exits.FAILED),
        ({"status": 200, "body": "no JSON"}, exits.FAILED),
    ],
)
def test_each_failure_has_its_exit_code_and_one_line(
    telepath: Telepath, sandbox: Sandbox, fault: dict[str, Any], code: int
) -> None:
    sandbox.fail_next(**fault)
    ended = telepath(*OVERVIEW)
    assert (ended.code, ended.out) == (code, "")
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1
    assert sandbox.api_key not in ended.err


def test_a_permit_that_does_not_come_in_time_counts_as_throttled() -> None:
    error = ThrottledError("no permit within 30 s", retry_after=60.0)
    assert exits.code_of(error) == exits.THROTTLED


def test_a_server_that_is_not_there_is_a_failure(telepath: Telepath) -> None:
    ended = telepath(*OVERVIEW, "--base-url", "http://127.0.0.1:9/v1", "--timeout", "0.5")
    assert ended.code == exits.FAILED
    assert ended.err.count("\n") == 1


def test_debug_shows_where_an_error_came_from_and_no_locals(
    telepath: Telepath, sandbox: Sandbox
) -> None:
    sandbox.fail_next(status=401)
    ended = telepath(*OVERVIEW, "--debug")
    assert ended.code == exits.AUTH
    assert "Traceback" in ended.err
    assert "analytics.py" in ended.err
    assert sandbox.api_key not in ended.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["calls", "list", "--bogus"], "No such option: --bogus"),
        (["calls", "list", "--since", "yesterday"], "'yesterday' is not a time; write 2026-11-01"),
        (["calls", "sync", "sqlite:///x.db", "--lookback", "soon"], "'soon' is not a span of time"),
        (["calls", "list", "--max-items", "many"], "'--max-items'"),
        (["calls", "get"], "CALL_ID"),
        (["calls", "get", ".."], "call_id '..' cannot be part of a URL"),
        (["nonsense"], "nonsense"),
        (["numbers", "update", "12345", "--label", "x"], "E.164"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error_before_anything_is_sent(
    telepath: Telepath, sandbox: Sandbox, arguments: list[str], said: str
) -> None:
    ended = telepath(*arguments)
    assert_refused(ended, sandbox, said)
    assert ended.err.startswith("error: ")


def test_arguments_that_nobody_expected_are_not_shown_for_they_may_be_keys(
    telepath: Telepath,
) -> None:
    ended = telepath("trunks", "update", "conn_abc", "--set-openai-api-key", "sk-secret")
    assert ended.code == exits.USAGE
    assert "more arguments than this command takes" in ended.err
    assert "sk-secret" not in ended.err


@pytest.mark.parametrize("columns", [80, 200])
@pytest.mark.parametrize("group", [[], ["trunks"], ["numbers"]])
def test_a_group_without_a_command_shows_its_help(
    telepath: Telepath, monkeypatch: pytest.MonkeyPatch, group: list[str], columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    ended = telepath(*group)
    assert ended.code == exits.USAGE
    assert f"Usage: {' '.join(['telepath', *group])} [OPTIONS] COMMAND" in ended.out
    assert ended.err == ""


def test_without_a_key_and_a_terminal_it_says_how_to_give_one(run: Telepath) -> None:
    ended = run(*OVERVIEW)
    assert ended.code == exits.USAGE
    assert "TELEPATH_API_KEY" in ended.err
    assert "--api-key-file" in ended.err


def test_the_key_may_come_from_a_file(telepath: Telepath, sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{sandbox.api_key}\n")
    (tmp_path / "other").write_text("sk_live_other")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "picture").write_bytes(b"\xff\xfe")
    assert telepath(*OVERVIEW, "--api-key-file", tmp_path / "key").code == exits.OK
    assert telepath(*OVERVIEW, "--api-key-file", tmp_path / "other").code == exits.AUTH
    reasons = {"empty": "it is empty", "none": "No such file", "picture": "not text in UTF-8"}
    for name, said in reasons.items():
        refused = telepath(*OVERVIEW, "--api-key-file", tmp_path / name)
        assert refused.code == exits.USAGE
        assert said in refused.err


def test_an_error_of_nobody_we_know_is_named_in_one_line() -> None:
    assert exits.line_of(KeyError("x")) == "KeyError: 'x' (--debug shows where)"
    assert exits.line_of(ValueError("a\nb")) == "ValueError: a (--debug shows where)"
    assert exits.line_of(ValueError()) == "ValueError:  (--debug shows where)"
    assert exits.line_of(FileNotFoundError(2, "No such file", "x")) == "[Errno 2] No such file: 'x'"
    assert exits.code_of(KeyError()) == exits.FAILED


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_the_work_and_gives_its_number(
    telepath: Telepath, sandbox: Sandbox, number: signal.Signals
) -> None:
    sandbox.fail_next(delay=30.0)
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    with signalled(number, lambda: sandbox.requests):
        ended = telepath("calls", "list")
    assert ended.code == 128 + number
    assert "0 calls were printed; the rest follows with --resume" in ended.err
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


async def stubborn() -> None:
    """Work that does not end when it is cancelled."""
    os.kill(os.getpid(), signal.SIGINT)
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(30)


def test_a_second_signal_ends_it_at_once() -> None:
    with pytest.raises(KeyboardInterrupt):
        run_work(stubborn(), debug=False)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), app.typer.Abort()])
def test_an_interrupt_outside_of_the_work_is_130(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def interrupted(**options: Any) -> None:
        raise error

    monkeypatch.setattr(app, "app", interrupted)
    assert cli.main([]) == exits.INTERRUPTED


def test_a_closed_pipe_ends_quietly(
    sandbox: Sandbox, at: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    at(sandbox)
    with closed_pipe():
        assert cli.main(["calls", "list"]) == exits.PIPE_CLOSED
        print("what Python flushes at its end harms nobody", flush=True)
    assert capsys.readouterr().err == ""


def test_a_closed_pipe_ends_the_help_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(**options: Any) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(app, "app", closed)
    with closed_pipe():
        assert cli.main(["--help"]) == exits.PIPE_CLOSED


def test_warnings_of_the_sdk_are_printed_like_our_own(capsys: pytest.CaptureFixture[str]) -> None:
    async def warns() -> None:
        try:
            raise ValueError("the cause")
        except ValueError:
            logging.getLogger("telepath_async.jobs").exception("the pager failed")

    assert run_work(warns(), debug=False) == exits.OK
    assert capsys.readouterr().err == "warning: the pager failed\n"
    assert run_work(warns(), debug=True) == exits.OK
    assert "the cause" in capsys.readouterr().err


def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "telepath_async.cli.app", None)
    with pytest.raises(ModuleNotFoundError):  # a fault of ours, and no extra
        cli.main([])
    monkeypatch.setitem(sys.modules, "typer", None)
    monkeypatch.delitem(sys.modules, "telepath_async.cli.app")
    assert cli.main([]) == exits.FAILED
    assert capsys.readouterr().err == 'telepath needs typer: pip install "telepath-async[cli]"\n'


def test_the_version_is_printed(run: Telepath) -> None:
    from telepath_async.version import __version__

    ended = run("--version")
    assert (ended.code, ended.out) == (exits.OK, f"telepath-async {__version__}\n")


@pytest.mark.parametrize(("changes", "said"), [(True, "note: go on so\n"), (False, "")])
def test_a_reader_that_leaves_is_told_how_to_go_on_with_what_changes(
    capsys: pytest.CaptureFixture[str], changes: bool, said: str
) -> None:
    with pytest.raises(BrokenPipeError), resume_hint(lambda: "go on so", changes=changes):
        raise BrokenPipeError
    assert capsys.readouterr().err == said
