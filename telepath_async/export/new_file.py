"""A file that appears whole or not at all, and threads that outlive no cancellation."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import BinaryIO, Self, TypeVar

from telepath_async import UsageError

T = TypeVar("T")


class NewFile:
    """A temporary file in the folder of `path`: `publish` gives it that name, and leaving without
    it removes it.

    A link is followed: the file that it points to is replaced. Killed before the end, the temporary
    file is left behind.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.path.realpath(path)
        folder, name = os.path.split(self._path)
        if not os.path.isdir(folder):
            raise UsageError(f"there is no folder {folder!r} to write {name!r} into; make it first")
        if os.path.exists(self._path) and not os.path.isfile(self._path):
            raise UsageError(
                f"{os.fspath(path)!r} is no file that could be replaced; give the path of a file"
            )
        self._temporary = os.path.join(folder, f".{name}.{secrets.token_hex(4)}.part")

    def __enter__(self) -> Self:
        self.handle: BinaryIO = open(self._temporary, "xb")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):  # what is buffered for a full disk
            self.handle.close()
        with suppress(FileNotFoundError):  # it has its name
            os.unlink(self._temporary)

    def sync(self) -> None:
        """Have all of it on the disk."""
        self.handle.flush()
        os.fsync(self.handle.fileno())

    def publish(self) -> int:
        """Give the file its name, in one step. Return its size in bytes."""
        size = self.handle.tell()
        self.handle.close()
        os.replace(self._temporary, self._path)
        return size


async def in_thread(work: Callable[[], T]) -> T:
    """Run `work` in a thread.

    A cancellation waits for its end: no thread may write on into a file that is thrown away.
    """
    running = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        while not running.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([running])
        raise
