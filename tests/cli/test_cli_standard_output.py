"""Standard output: `-` as a file, a full disk, a reader that has left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from telepath_async import cli
from telepath_async.cli import exits
from telepath_async.cli.output import discard
from telepath_async.sandbox import Sandbox
from tests.cli.conftest import Telepath, assert_refused
from tests.cli.processes import closed_pipe


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (["calls", "export", "-", "--format", "csv"], "telepath calls list --json"),
        (["trunks", "rotate", "conn_1", "--save", "-"], "--show-secrets"),
        (["jobs", "rotate", "--all", "--apply", "true", "--journal", "-"], "name a file"),
        (["analytics", "watch", "--max-ai-latency-ms", "1", "--state", "-"], "name a file"),
    ],
)
def test_a_dash_is_never_the_name_of_a_file_to_write(
    telepath: Telepath,
    sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    remedy: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = telepath(*arguments)
    assert_refused(ended, sandbox, "- is not standard output here; ")
    assert remedy in ended.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", [["worker"], ["worker", "status"]])
def test_a_worker_keeps_no_state_in_a_file_named_dash(
    run: Telepath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = run(*command, "--state", "-")
    assert "- is not standard output here; name a file" in ended.err
    assert not list(tmp_path.iterdir())


@contextmanager
def full_disk() -> Iterator[None]:
    """Make standard output a file on a disk without room."""
    full = open("/dev/full", "w")  # noqa: SIM115  # what it holds cannot be flushed
    with redirect_stdout(full):
        yield
    discard(full)
    full.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="of Linux")
@pytest.mark.parametrize(
    "arguments",
    [
        ["calls", "list", "--json"],
        ["calls", "list", "--table"],
        ["analytics", "overview", "--table"],
        ["dashboard", "--grafana"],
        ["sandbox", "--port", "0"],
    ],
)
def test_a_full_disk_is_named_as_that_of_standard_output(
    sandbox: Sandbox, at: Any, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    at(sandbox)
    with full_disk():
        assert cli.main(arguments) == exits.FAILED
    assert "error: standard output: [Errno 28] No space left" in capsys.readouterr().err


def test_a_reader_of_a_table_that_has_left_is_no_failure(sandbox: Sandbox, at: Any) -> None:
    at(sandbox)
    with closed_pipe():
        assert cli.main(["calls", "list", "--table"]) == exits.PIPE_CLOSED


def test_a_new_password_that_no_table_could_show_is_warned_of(
    sandbox: Sandbox, at: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    at(sandbox)
    with closed_pipe():
        code = cli.main(
            ["trunks", "rotate", next(iter(sandbox.trunks)), "--show-secrets", "--table"]
        )
    assert code == exits.PIPE_CLOSED
    assert "could not be printed" in capsys.readouterr().err
