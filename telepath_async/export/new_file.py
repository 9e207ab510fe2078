"""A file that appears whole or not at all, and threads that outlive no cancellation.

A part file is locked while it is written, so that the next export can tell the one of a process
that was killed, and remove it.
"""

from __future__ import annotations

import asyncio
import glob
import os
import secrets
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import BinaryIO, Final, Self, TypeVar

from telepath_async import UsageError

T = TypeVar("T")

_ENDING: Final = ".part"


class NewFile:
    """A temporary file in the folder of `path`: `publish` gives it that name, and leaving without
    it removes it.

    A link is followed: the file that it points to is replaced, and the new one has its mode. Killed
    before the end, the temporary file is left for the next one to remove.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.path.realpath(path)
        folder, name = os.path.split(self._path)
        if not os.path.isdir(folder):
            raise UsageError(f"there is no folder {folder!r} to write {name!r} into; make it first")
        if os.path.exists(path) and not os.path.isfile(path):
            raise UsageError(
                f"{os.fspath(path)!r} is not a file that could be replaced; give the path of a file"
            )
        self._temporary = os.path.join(folder, f".{name}.{secrets.token_hex(4)}{_ENDING}")

    def __enter__(self) -> Self:
        _remove_abandoned(self._path)
        self.handle: BinaryIO = open(self._temporary, "xb")
        if not _lock(self.handle) or not os.path.exists(self._temporary):
            self.handle.close()  # another export took it for abandoned before it was locked
            return self.__enter__()
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
        with suppress(FileNotFoundError):  # there was none
            os.chmod(self._temporary, stat.S_IMODE(os.stat(self._path).st_mode))
        self.handle.close()
        os.replace(self._temporary, self._path)
        return size


def _remove_abandoned(path: str) -> None:
    """Remove the part files of exports to this path that have ended without removing them."""
    folder, name = os.path.split(glob.escape(path))
    for part in glob.glob(os.path.join(folder, f".{name}.*{_ENDING}")):
        with suppress(OSError), open(part, "rb+") as file:
            if _lock(file):
                os.unlink(part)


def _lock(file: BinaryIO) -> bool:
    """Lock a file until it is closed; False where another process holds it."""
    if sys.platform == "win32":  # pragma: no cover  # there, an open file cannot be removed
        return True
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


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
