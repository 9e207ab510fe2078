"""Worker processes that can be killed: what tells `working.py` what to do."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from attrs import define


@define
class Workers:
    """Tells `working.py` what to do. `log`: what the workers have said."""

    process: asyncio.subprocess.Process
    log: Path

    async def say(self, word: str, number: int) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word} {number}\n".encode())
        await self.process.stdin.drain()

    async def start(self, number: int) -> int:
        """Start a worker, and return its pid."""
        await self.say("start", number)
        return await self._answer()

    async def end(self, word: str, number: int) -> int:
        """Say `kill` or `wait`; return how the worker ended."""
        await self.say(word, number)
        return await self._answer()

    async def _answer(self) -> int:
        assert self.process.stdout is not None
        return int(await asyncio.wait_for(self.process.stdout.readline(), 60))


@asynccontextmanager
async def workers(
    folder: Path, arguments: Sequence[str], **environment: str
) -> AsyncIterator[Workers]:
    """Run `working.py` with these arguments and variables, and end what it has started."""
    program, log = str(Path(__file__).with_name("working.py")), folder / "workers.log"
    with log.open("ab") as stream:
        process = await asyncio.create_subprocess_exec(
            sys.executable, program, *arguments, stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=stream, env={**os.environ, **environment},
            start_new_session=True,
        )  # fmt: skip
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    try:
        yield Workers(process, log)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
