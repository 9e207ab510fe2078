"""Run the command in this process, against a sandbox in a thread of its own.

The command and the sandbox each run an event loop.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import re
import shlex
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest
from attrs import frozen

from telepath_async.cli import main
from telepath_async.cli.exits import USAGE
from telepath_async.sandbox import Sandbox
from tests.support.clients import style

__all__ = ["style"]


@contextmanager
def served(**options: Any) -> Iterator[Sandbox]:
    """Serve a sandbox from another thread."""
    sandbox = Sandbox(**options)
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    up = threading.Event()

    async def serve() -> None:
        async with sandbox:
            up.set()
            await stop.wait()
        for _ in range(10):  # what it closed ends in later turns of the loop
            await asyncio.sleep(0)

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    up.wait(30)
    try:
        yield sandbox
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


@contextmanager
def signalled(number: int, when: Callable[[], object]) -> Iterator[None]:
    """Send this process a signal as soon as something is so."""

    def send() -> None:
        while not when():
            time.sleep(0.005)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=send)
    thread.start()
    yield
    thread.join()


@frozen
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[Any]:
        """The NDJSON on standard output."""
        return [json.loads(line) for line in self.out.splitlines()]


Telepath = Callable[..., Ended]


def assert_refused(ended: Ended, sandbox: Sandbox, reason: str) -> None:
    """It is a usage error that gives this reason, and nothing was sent."""
    assert ended.code == USAGE
    assert reason in ended.err
    assert sandbox.requests == []


def full_disk(*_: object, **__: object) -> NoReturn:
    """Fail as a write to a full disk does."""
    raise OSError(errno.ENOSPC, "No space left on device")


def checkpoint_in(hint: str) -> str:
    """Return the checkpoint with which a list goes on, by what the command says."""
    return shlex.split(re.findall(r"--resume (.*)", hint)[0])[0]


def rows(file: Path) -> int:
    """Return how many calls stand in a database."""
    with closing(sqlite3.connect(file)) as database:
        count: int = database.execute("select count(*) from telepath_calls").fetchone()[0]
    return count


def variables_of(sandbox: Sandbox) -> dict[str, str]:
    """The environment of a process that is to use the sandbox."""
    return {
        **os.environ,
        "TELEPATH_BASE_URL": sandbox.base_url,
        "TELEPATH_API_KEY": sandbox.api_key,
    }


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with served(trunks=5, calls=250) as sandbox:
        yield sandbox


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this machine has set; wide enough for every column; no colours."""
    for name in (
        "TELEPATH_API_KEY",
        "TELEPATH_BASE_URL",
        "TELEPATH_SIP_PASSWORD",
        "TELEPATH_DATABASE_URL",
        "TELEPATH_NUMBERS_BASE_URL",
        "TELEPATH_NUMBERS_API_KEY",
        "OPENAI_API_KEY",
        "ELEVENLABS_API_KEY",
        "FORCE_COLOR",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "dumb")


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[Sandbox], None]:
    """Point the command at a sandbox."""

    def point(sandbox: Sandbox) -> None:
        monkeypatch.setenv("TELEPATH_BASE_URL", sandbox.base_url)
        monkeypatch.setenv("TELEPATH_API_KEY", sandbox.api_key)

    return point


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Telepath:
    """Run the command with its arguments."""

    def run(*arguments: object) -> Ended:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return Ended(code, *capsys.readouterr())

    return run


@pytest.fixture
def telepath(run: Telepath, sandbox: Sandbox, at: Callable[[Sandbox], None]) -> Telepath:
    """Run the command against the sandbox."""
    at(sandbox)
    return run
