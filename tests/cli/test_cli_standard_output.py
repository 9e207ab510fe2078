"""What is no place to write to, or no longer one: `-` as a file, a full disk, a reader that left."""

from __future__ import annotations

from pathlib import Path

import pytest

from telepath_async.sandbox import Sandbox
from tests.cli.conftest import Telepath, assert_refused


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
