"""The command as a process of its own, and a pipe whose reader has gone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from telepath_async.sandbox import Sandbox
from tests.cli.conftest import variables_of

TELEPATH = [sys.executable, "-m", "telepath_async.cli"]
ROOT = Path(__file__).parents[2]


@contextmanager
def started(sandbox: Sandbox, *arguments: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(
        [*TELEPATH, *arguments], cwd=ROOT, env=variables_of(sandbox), **(pipes | options)
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def closed_pipe() -> Iterator[None]:
    """Make standard output a pipe whose reader has gone."""
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as pipe, redirect_stdout(pipe):
        yield
