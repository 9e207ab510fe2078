"""The rotation journal on disk: locked for one run, readable by its owner only, and on the disk
before a step is taken.

What its lines mean stands in `ledger.py`. Every write waits for the disk, in the event loop: a few
milliseconds a trunk, and no cancellation can come between an answer and its line.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from telepath_async import TelepathError, UsageError
from telepath_async.checks import check_path

from .ledger import DamagedLine, Entry, note, read_entries, write_line, write_lines

_OWNER_ONLY: Final = 0o600
_OTHERS: Final = 0o077


class JournalBusy(TelepathError):
    """Another run holds this journal. Nothing was sent or changed."""


class JournalDamaged(TelepathError):
    """A line of the journal, before the last, makes no sense: something else has written to it.

    Nothing was sent.
    """


class Journal:
    """An open journal. `entries`: what is known of each trunk, by id."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = _open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        try:
            self.entries = self._load()
        except BaseException:
            self.close()
            raise

    def _load(self) -> dict[str, Entry]:
        _sync_directory(self._path)
        size = os.fstat(self._fd).st_size
        # No variable holds the content: a traceback keeps this frame.
        entries, whole = read_entries(os.pread(self._fd, size, 0))
        if isinstance(entries, DamagedLine):
            raise JournalDamaged(
                f"line {entries.number} of {self._path} is not of a rotation journal "
                f"({entries.why}); mend or move the file (it holds passwords)"
            )
        if whole < size:
            os.ftruncate(self._fd, whole)
        if whole and os.pread(self._fd, 1, whole - 1) != b"\n":
            _write(self._fd, memoryview(b"\n"))
        return entries

    def write(self, entry: Entry) -> None:
        """Append what is known of a trunk now, and return when it is on the disk.

        Raises OSError when it cannot be, and from then on: a line after a torn one would be lost.
        """
        try:
            _write(self._fd, memoryview(write_line(entry)))
        except OSError:
            self.close()
            raise
        note(self.entries, entry)

    def compact(self) -> None:
        """Replace the file by one of what is known now: without passwords of finished rotations."""
        shorter = f"{self._path}.new"
        fd = _open(shorter, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            _write(fd, memoryview(write_lines(self.entries.values())))
        finally:
            os.close(fd)
        os.replace(shorter, self._path)
        _sync_directory(self._path)

    def close(self) -> None:
        """Close the file. Twice is fine."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


@contextmanager
def open_journal(path: str | os.PathLike[str]) -> Iterator[Journal]:
    """Open the journal; make it where it is missing.

    Raises UsageError, JournalBusy, JournalDamaged, OSError.
    """
    check_path("journal", path)
    if os.path.exists(path) and not os.path.isfile(path):
        raise UsageError(
            f"{os.fspath(path)!r} is not a file; a journal must be one that can be replaced"
        )
    # A link would be replaced by `compact`, and leave its secrets where it points to.
    path = os.path.realpath(path)
    lock = _locked(f"{path}.lock")
    try:
        _remove_leftover(f"{path}.new")
        journal = Journal(path)
        try:
            yield journal
        finally:
            journal.close()
    finally:
        os.close(lock)


def _locked(path: str) -> int:
    """Return an open file that holds the lock until it is closed, or its process ends.

    It is not the journal itself, because that is replaced, nor is it ever deleted: the next run may
    have it open already.
    """
    import fcntl  # of POSIX: the other jobs run without it

    fd = _open(path, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        if not isinstance(error, BlockingIOError):
            raise
    else:
        return fd
    raise JournalBusy(f"another run holds {path}: let it end, and start again")


def _open(path: str, flags: int) -> int:
    """Open a file that is its owner's alone from its first byte on, and no link.

    What is checked is the open file: its name may be another's by now. Raises UsageError.
    """
    try:
        fd = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, _OWNER_ONLY)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
    else:
        refusal = _refusal(os.fstat(fd))
        if refusal is None:
            return fd
        os.close(fd)
        raise UsageError(f"{path} {refusal}")
    raise UsageError(
        f"{path} is a symbolic link, which we did not make: look at what it points to, remove it"
    )


def _refusal(status: os.stat_result) -> str | None:
    """Return why a file may not hold passwords, and the remedy."""
    if not stat.S_ISREG(status.st_mode):
        return "is not a file; remove it"
    if status.st_uid != os.geteuid():
        return f"belongs to another user ({status.st_uid}): chown it, or name another journal"
    if stat.S_IMODE(status.st_mode) & _OTHERS:
        return (
            "can be read or written by other users: chmod 600 it, and rotate the passwords that "
            "stand in it"
        )
    return None


def _remove_leftover(path: str) -> None:
    """Remove what a killed compaction has left."""
    with suppress(FileNotFoundError):
        os.close(_open(path, os.O_RDONLY))
        os.unlink(path)


def _write(fd: int, rest: memoryview) -> None:
    """Write all of it to the disk.

    The parameter's repr shows nothing, where a traceback keeps this frame.
    """
    while rest:
        rest = rest[os.write(fd, rest) :]
    os.fsync(fd)


def _sync_directory(path: str) -> None:
    """Have the disk keep the name of a file that was made."""
    fd = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
