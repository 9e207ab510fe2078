"""Run the commands of `--apply` and `--exec`, and print what they print."""

from __future__ import annotations

import sys
from contextlib import suppress
from tempfile import TemporaryFile

from telepath_async import Secret, UsageError

from .output import write_text


def check_hook(option: str, command: str) -> None:
    """Raise UsageError for a command that is empty or cannot be started.

    The shell runs an empty one well, and nobody has been notified.
    """
    from telepath_async.jobs.commands import CommandFailed, check_command

    if not command.strip():
        raise UsageError(
            f"{option} is empty; give the command that is to run (is a variable of your shell "
            "not set?)"
        )
    try:
        check_command(command)
    except CommandFailed as error:
        reason = str(error)
    else:
        return
    raise UsageError(f"{option}: {reason}")


async def run_hook(command: str, line: bytes) -> None:
    """Run a command with this line, and print what it has printed to standard error in the end.

    Raises CommandFailed.
    """
    from telepath_async.jobs.commands import run_command

    # Not a pipe: somebody in the background may keep that open. Not our own standard error: a
    # progress bar stands there.
    with TemporaryFile() as printed:
        try:
            await run_command(command, Secret(line.decode()), output=printed)
        finally:
            printed.seek(0)
            with suppress(OSError):  # what it did does not depend on who reads what it prints
                text = printed.read().decode(errors="replace")
                if text:
                    write_text(sys.stderr, text.removesuffix("\n"))
