"""Run other people's programs by the shell, with one JSON line on standard input.

Secrets stand in that line and nowhere else.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from tempfile import TemporaryFile
from typing import Final

from telepath_async import TelepathError, UsageError

_SECONDS_TO_LEAVE: Final = 2.0


class HookFailed(TelepathError):
    """The program ended with another exit code than 0."""


def checked_command(option: str, command: str) -> None:
    """Raise UsageError for an empty command: the shell runs it well, and nobody has been told."""
    if not command.strip():
        raise UsageError(
            f"{option} is empty; give the command that is to run (is a variable of your shell "
            "not set?)"
        )


async def run_hook(command: str, line: bytes) -> None:
    """Run a program and wait until it has ended well.

    What it prints goes to standard error then. Raises HookFailed. Cancelled, it ends the program
    and all that this has started: SIGTERM, and SIGKILL two seconds later.
    """
    # Not a pipe: a background process may keep that open. Not our own standard error: a progress
    # bar stands there.
    with TemporaryFile() as printed:
        spawning = asyncio.ensure_future(
            asyncio.create_subprocess_shell(
                command,
                stdin=asyncio.subprocess.PIPE,
                stdout=printed,
                stderr=printed,
                start_new_session=True,
            )
        )
        try:
            process = await asyncio.shield(spawning)
            await process.communicate(line)
        finally:
            process = await spawning  # cut off before it is there, it would be out of our reach
            if process.returncode is None:
                await _end(process)
            printed.seek(0)
            with suppress(
                OSError
            ):  # what it did does not depend on whether anybody reads what it says
                sys.stderr.write(printed.read().decode(errors="replace"))
                sys.stderr.flush()
    if process.returncode:
        raise HookFailed(f"the command ended with exit code {process.returncode}: {command}")


async def _end(process: asyncio.subprocess.Process) -> None:
    os.killpg(process.pid, signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), _SECONDS_TO_LEAVE)
    except TimeoutError:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
