"""Run other people's programs: a JSON document on standard input, an exit code for an answer.

The document may hold passwords: it goes through the pipe, and into no argument, log or error.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Any, Final, TypeAlias

from telepath_async import Secret, TelepathError

Command: TypeAlias = str | Sequence[str]
"""A line for the shell, or a program and its arguments."""

# Of our own variables: the others hold keys, passwords, and the URLs of databases and brokers.
_VISIBLE: Final = frozenset({"TELEPATH_BASE_URL", "TELEPATH_LOG", "TELEPATH_NUMBERS_BASE_URL"})
_SECONDS_TO_END: Final = 2.0
_SECONDS_BETWEEN_LOOKS: Final = 0.02
_SHELL_REASONS: Final = {126: "it cannot be executed", 127: "there is no such program"}
# Assignments, then a word in which the shell replaces nothing.
_FIRST_WORD: Final = re.compile(r"\s*(?:\w+=\S*\s+)*([\w@%+,./:-]+)(?=[\s;|&<>]|$)")


class CommandFailed(TelepathError):
    """A command cannot be started, took too long, or its exit code was not 0."""


class CommandNotStarted(CommandFailed):
    """A command cannot be started: trying it again cannot help."""


def check_command(command: Command) -> None:
    """Look for the program, as far as can be known without running it.

    Raises CommandNotStarted, with the reason, where it cannot be started.
    """
    reason = _shell_reason(command) if isinstance(command, str) else _reason(command[0])
    if reason is not None:
        raise CommandNotStarted(f"{_name(command)} cannot be started: {reason}")


async def run_command(
    command: Command,
    document: Secret,
    *,
    seconds: float | None = None,
    hidden: frozenset[str] = frozenset(),
    output: int | IO[Any] = subprocess.DEVNULL,
) -> None:
    """Give the command the document, and wait until it has ended.

    When `seconds` are over, on cancellation, and when it has failed, all that it has started is
    ended: by SIGTERM, and by SIGKILL two seconds later. It sees no variable in `hidden`, and none
    of ours that may hold a secret. `output`: where it prints to. Raises CommandFailed.
    """
    kind: type[CommandFailed] = CommandFailed
    spawning = asyncio.ensure_future(_spawn(command, hidden, output))
    failure: str | None = "has not ended"
    try:
        async with asyncio.timeout(seconds):
            process = await asyncio.shield(spawning)
            await process.communicate(document.reveal().encode())
        failure = _exit_failure(command, process.returncode)
        if isinstance(command, str) and process.returncode in _SHELL_REASONS:
            kind = CommandNotStarted
    except TimeoutError:
        failure = f"took more than {seconds:g} s, and was ended"
    except OSError as error:
        kind, failure = CommandNotStarted, f"cannot be started: {error.strerror}"
    finally:
        # Cancelled before it is there, it would be out of our reach.
        with suppress(OSError):
            process = await spawning
            if failure is not None:
                await _end_group(process)
    if failure is not None:
        raise kind(f"{_name(command)} {failure}")


async def _spawn(
    command: Command, hidden: frozenset[str], output: int | IO[Any]
) -> asyncio.subprocess.Process:
    options: dict[str, Any] = {
        "stdin": subprocess.PIPE,
        "stdout": output,
        "stderr": output,
        "env": _environment(hidden),
        "start_new_session": True,
    }
    if isinstance(command, str):
        return await asyncio.create_subprocess_shell(command, **options)
    return await asyncio.create_subprocess_exec(*command, **options)


def _environment(hidden: frozenset[str]) -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if name not in hidden and (name in _VISIBLE or not name.startswith("TELEPATH_"))
    }


def _name(command: Command) -> str:
    return command if isinstance(command, str) else command[0]


def _exit_failure(command: Command, code: int | None) -> str | None:
    if code == 0:
        return None
    reason = _SHELL_REASONS.get(code or 0) if isinstance(command, str) else None
    return f"ended with exit code {code}" + (f": {reason}" if reason else "")


async def _end_group(process: asyncio.subprocess.Process) -> None:
    """End the process, and the group that it leads."""
    if sys.platform == "win32":  # pragma: no cover  # it has no process groups
        process.kill()
    else:
        clock = asyncio.get_running_loop().time
        end = clock() + _SECONDS_TO_END
        try:
            running = _signal_group(process.pid, signal.SIGTERM)
            while running and clock() < end:
                await asyncio.sleep(_SECONDS_BETWEEN_LOOKS)
                running = _signal_group(process.pid, 0)
        finally:
            _signal_group(process.pid, signal.SIGKILL)
    with suppress(TimeoutError):  # of another user, it outlives our signals
        await asyncio.wait_for(process.wait(), _SECONDS_TO_END)


def _signal_group(group: int, number: int) -> bool:
    """Send a signal to a group, and return whether there is one."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _reason(program: str) -> str | None:
    """Return why a program cannot be started, as far as that can be seen."""
    if shutil.which(program) is not None:
        return None
    if os.path.dirname(program) == "":
        return "it is in no directory of PATH"
    if not os.path.exists(program):
        return "there is no such file"
    return "it is not an executable file (chmod +x)"


def _shell_reason(line: str) -> str | None:
    """Return why the shell cannot run a line: its syntax, or the first program in it."""
    if sys.platform == "win32":  # pragma: no cover  # its shell has neither `-n` nor `command`
        return None
    if _shell("-n", "-c", line):
        return "the shell cannot read it (is a quote missing?)"
    found = _FIRST_WORD.match(line)
    if found is None:
        return None
    word = found[1]
    if "/" in word:
        return _reason(word)
    return _reason(word) if _shell("-c", 'command -v -- "$1"', "sh", word) else None


def _shell(*arguments: str) -> int:
    """Return the exit code of the shell that also runs the commands."""
    return subprocess.run(  # noqa: S603  # `-n` runs nothing
        ["/bin/sh", *arguments],
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ).returncode
