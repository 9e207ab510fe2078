"""`telepath dashboard`, as a process and in this one."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import pytest

import telepath_async.dashboard
from telepath_async.cli import main
from tests.support.services import redis_url

__all__ = ["redis_url"]

ACCOUNTS = """
[accounts.acme]
api_key_env = "ACME_KEY"
database_url = "sqlite:///x.db"

[accounts.acme.sync]
cron = "*/5 * * * *"
"""


@contextmanager
def running(*arguments: str, **variables: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "telepath_async.cli", "dashboard", *arguments]
    environment = {**os.environ, **variables}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, **pipes) as process:
        try:
            assert process.stdout
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def test_the_sandbox_needs_no_key_and_ends_by_a_signal(tmp_path: Path) -> None:
    with running("--sandbox", TELEPATH_API_KEY="", TMPDIR=str(tmp_path)) as (process, address):
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        with opener.open(address) as page:
            assert b"<h1>Telepath</h1>" in page.read()
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
        assert process.returncode in (0, 143)
        assert "open this address in a browser" in errors
        assert list(tmp_path.iterdir()) == []


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the command would serve; it ends at once."""
    found: list[Any] = []

    async def serve(database_url: Any, sources: Any, *, options: Any, announce: Any) -> None:
        jobs = None
        if options.jobs is not None:
            jobs = await options.jobs()
        found.append((database_url, sources, options, jobs))
        announce("http://127.0.0.1:1/?token=x")
        raise asyncio.CancelledError

    monkeypatch.setattr(telepath_async.dashboard, "serve_dashboard", serve)
    return found


def test_one_key_goes_into_the_cache(
    served: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TELEPATH_API_KEY", "sk_live_x")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert main(["dashboard", "--account", "acme", "--every", "30s", "--mask-numbers"]) == 0
    ((url, (source,), options, _),) = served
    assert url.reveal() == f"sqlite:///{tmp_path}/telepath/calls.db"
    assert (source.account, source.api_key.reveal()) == ("acme", "sk_live_x")
    assert (options.board.sync_seconds, options.board.mask_numbers) == (30.0, True)
    assert capsys.readouterr().out == "http://127.0.0.1:1/?token=x\n"


def test_many_accounts_come_from_their_file(
    served: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ACME_KEY", "sk_live_acme")
    path = tmp_path / "accounts.toml"
    path.write_text(ACCOUNTS)
    assert main(["dashboard", "--accounts", str(path), "--database", "sqlite:///x.db"]) == 0
    ((_, (source,), _, _),) = served
    assert (source.account, source.api_key.reveal()) == ("acme", "sk_live_acme")
    assert source.since is not None


def test_without_a_sync_no_key_is_needed(
    served: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TELEPATH_API_KEY", raising=False)
    assert main(["dashboard", "--no-sync", "--database", "sqlite:///x.db"]) == 0
    assert served[0][1] == []
    assert served[0][2].board.sync_seconds is None
    assert main(["dashboard", "--database", "sqlite:///x.db"]) == 2


def test_the_workers_jobs_are_read_from_their_broker(
    served: list[Any], monkeypatch: pytest.MonkeyPatch, redis_url: str
) -> None:
    monkeypatch.setenv("TELEPATH_API_KEY", "sk_live_x")
    arguments = ["--redis", redis_url, "--queue", "nobody", "--database", "sqlite:///x.db"]
    assert main(["dashboard", *arguments]) == 0
    assert served[0][3] == []


def test_a_sandbox_has_a_database_of_its_own(served: list[Any]) -> None:
    assert main(["dashboard", "--sandbox"]) == 0
    ((url, (source,), options, _),) = served
    assert url.endswith("/calls.db")
    assert source.base_url.startswith("http://127.0.0.1:")
    assert options.board.sync_seconds == 5.0


@pytest.mark.parametrize(
    "arguments",
    [
        ["--sandbox", "--no-sync"],
        ["--sandbox", "--database", "sqlite:///x.db"],
        ["--host", "0.0.0.0"],
        ["--database", "nonsense"],
    ],
)
def test_options_that_make_no_sense_are_refused(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setenv("TELEPATH_API_KEY", "sk_live_x")
    assert main(["dashboard", *arguments]) == 2


def test_a_missing_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    for name in [name for name in sys.modules if name.startswith("telepath_async.dashboard")]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.startswith("telepath_async.sync")]:
        monkeypatch.delitem(sys.modules, name)
    assert main(["dashboard"]) == 2
    assert "telepath-async[dashboard]" in capsys.readouterr().err
