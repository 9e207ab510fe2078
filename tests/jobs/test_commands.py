"""Commands: what they see, how they fail, and that nothing of them outlives its end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from telepath_async import Secret
from telepath_async.jobs import commands
from telepath_async.jobs.commands import CommandFailed, check_command, run_command
from tests.support.cancelling import cancel

PYTHON = sys.executable
SEE = (
    "import json, os, sys; json.dump([sys.stdin.read(), dict(os.environ)], open(sys.argv[1], 'w'))"
)

HANG = "import time; time.sleep(60)"


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)


def is_running(pid: int) -> bool:
    """Whether a process runs: one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def with_a_child(folder: Path) -> str:
    """A line for the shell that has a child and waits for it; and the pids of both in a file."""
    return f"sleep 60 & echo $$ $! > {folder}/new; mv {folder}/new {folder}/pids; wait"


async def pids_in(folder: Path) -> list[int]:
    await until((folder / "pids").exists)
    return [int(pid) for pid in (folder / "pids").read_text().split()]


async def test_a_command_gets_the_document_and_none_of_our_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("API_KEY", "DATABASE_URL", "WORKER_REDIS", "OF_TOMORROW", "LOG"):
        monkeypatch.setenv(f"TELEPATH_{name}", "x")
    monkeypatch.setenv("ACME_KEY", "sk_live")
    monkeypatch.setenv("OTHER", "fine")
    await run_command(
        [PYTHON, "-c", SEE, f"{tmp_path}/out"],
        Secret("the document"),
        hidden=frozenset({"ACME_KEY"}),
    )
    document, environment = json.loads((tmp_path / "out").read_text())
    assert document == "the document"
    assert environment["OTHER"] == "fine"
    assert "ACME_KEY" not in environment
    assert [name for name in environment if name.startswith("TELEPATH_")] == ["TELEPATH_LOG"]


async def test_a_line_is_run_by_the_shell(tmp_path: Path) -> None:
    await run_command(f"cat | tr a-z A-Z > {tmp_path}/out", Secret("document"))
    assert (tmp_path / "out").read_text() == "DOCUMENT"


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (["/nowhere/at-all"], "/nowhere/at-all cannot be started: No such file or directory"),
        (["/etc"], "/etc cannot be started: Permission denied"),
        ([PYTHON, "-c", "raise SystemExit(3)"], "ended with exit code 3"),
        ([PYTHON, "-c", "import os; os.kill(os.getpid(), 9)"], "ended with exit code -9"),
        ("exit 7", "exit 7 ended with exit code 7"),
        ("true; /nowhere/at-all", "ended with exit code 127: there is no such program"),
        ("true; /etc", "ended with exit code 126: it cannot be executed"),
    ],
)
async def test_a_command_that_fails_is_named_with_its_reason(
    command: str | list[str], reason: str
) -> None:
    with pytest.raises(CommandFailed, match=reason) as failed:
        await run_command(command, Secret("needle"))
    assert (failed.value.__context__, failed.value.__cause__) == (None, None)


async def test_a_command_that_reads_nothing_has_not_failed() -> None:
    await run_command("exit 0", Secret("x" * 1_000_000))


async def test_time_that_is_up_ends_a_command_and_its_children(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match=r"took more than 0.5 s, and was ended"):
        await run_command(with_a_child(tmp_path), Secret("x"), seconds=0.5)
    assert not any(map(is_running, await pids_in(tmp_path)))


async def test_a_command_that_fails_leaves_no_child_that_goes_on(tmp_path: Path) -> None:
    line = f"sleep 60 & echo $! > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/pids; exit 1"
    with pytest.raises(CommandFailed, match="ended with exit code 1"):
        await run_command(line, Secret("x"))
    await until(lambda: not any(map(is_running, [int((tmp_path / "pids").read_text())])))


async def test_a_command_that_succeeds_may_leave_a_child(tmp_path: Path) -> None:
    line = f"sleep 60 & echo $! > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/pids"
    await run_command(line, Secret("x"))
    (pid,) = await pids_in(tmp_path)
    assert is_running(pid)
    os.kill(pid, signal.SIGKILL)


async def test_cancellation_ends_a_command_and_its_children(tmp_path: Path) -> None:
    running = asyncio.create_task(run_command(with_a_child(tmp_path), Secret("x")))
    pids = await pids_in(tmp_path)
    assert all(map(is_running, pids))
    await cancel(running)
    assert not any(map(is_running, pids))


async def test_a_child_has_time_to_leave_after_its_shell_has_gone(tmp_path: Path) -> None:
    child = (
        f"trap 'sleep 0.2; touch {tmp_path}/left; exit' TERM; touch {tmp_path}/up; sleep 60 & wait"
    )
    running = asyncio.create_task(run_command(f'sh -c "{child}"; true', Secret("x")))
    await until((tmp_path / "up").exists)
    await cancel(running)
    assert (tmp_path / "left").exists()


async def test_a_child_that_ignores_sigterm_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "_SECONDS_TO_END", 0.1)
    deaf = f"(trap '' TERM; {with_a_child(tmp_path)})"
    running = asyncio.create_task(run_command(f"{deaf}; true", Secret("x")))
    pids = await pids_in(tmp_path)
    await cancel(running)
    await until(lambda: not any(map(is_running, pids)))


async def test_a_cancellation_that_comes_before_the_command_is_there_ends_it(
    tmp_path: Path,
) -> None:
    running = asyncio.create_task(
        run_command([PYTHON, "-c", HANG, f"{tmp_path}/mark"], Secret("x"))
    )
    await asyncio.sleep(0)
    await cancel(running)
    assert not [
        pid
        for pid in os.listdir("/proc")
        if pid.isdigit() and is_running(int(pid)) and str(tmp_path) in command_line(pid)
    ]


def command_line(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (["/nowhere/at-all"], "there is no such file"),
        (["nowhere-at-all"], "it is in no directory of PATH"),
        (["/etc"], "it is not an executable file"),
        (["/etc/passwd"], "it is not an executable file"),
        ("/nowhere/at-all --now", "there is no such file"),
        ("A=1 B=2 nowhere-at-all|cat", "it is in no directory of PATH"),
        ("/etc/passwd", "it is not an executable file"),
        ("echo 'open", "the shell cannot read it"),
        ("if true", "the shell cannot read it"),
    ],
)
def test_a_command_that_cannot_be_started_is_found_before_it_runs(
    command: str | list[str], reason: str
) -> None:
    with pytest.raises(CommandFailed, match=f"cannot be started: {reason}"):
        check_command(command)


@pytest.mark.parametrize(
    "command",
    [
        ["/bin/sh"],
        ["sh", "-c", "whatever"],
        "/bin/sh -c true",
        "cat > /dev/null; exit 7",
        "exec sh",
        "if true; then sh; fi",
        "while read line; do echo $line; done",
        '"$HOME"/bin/tell',
        "~/bin/tell",
        "A='two words' nowhere",
        "f() { cat; }; f",
        "(nowhere)",
        "[ -e x ] && nowhere",
    ],
    ids=str,
)
def test_a_command_that_may_work_is_not_refused(command: str | list[str]) -> None:
    check_command(command)


def test_looking_for_a_command_runs_nothing(tmp_path: Path) -> None:
    check_command(f"touch {tmp_path}/ran")
    check_command(f"$(touch {tmp_path}/ran)")
    assert not (tmp_path / "ran").exists()
