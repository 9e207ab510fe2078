"""Without a broker: how each job stands, in a SQLite file, and its lock: one worker for a file."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from contextlib import ExitStack, closing
from typing import Final

from telepath_async import TelepathError, UsageError

from .status import JobStatus
from .stores import TextStore

# The whole worker stands still meanwhile: who waits longer does so outside, and tries again.
_SECONDS_FOR_THE_LOCK: Final = 0.1
_SECONDS_FOR_THE_WORKER_LOCK: Final = 1.0


class StateBusy(TelepathError):
    """Another worker runs on this state file, or another program holds it."""


class FileStore(TextStore):
    """A SQLite file, for the worker that has no broker.

    A write is on the disk when it returns, within milliseconds.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        try:
            with ExitStack() as unless_usable:
                self._database = sqlite3.connect(
                    path, isolation_level=None, timeout=_SECONDS_FOR_THE_LOCK
                )
                unless_usable.callback(self._database.close)
                # Readers, such as the status, go on while it is written.
                self._database.execute("PRAGMA journal_mode=WAL")
                self._database.execute(
                    "CREATE TABLE IF NOT EXISTS status (key TEXT PRIMARY KEY, status TEXT NOT NULL)"
                )
                unless_usable.pop_all()
        except sqlite3.Error as error:
            raise _refusal(path, error) from None

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def keep_only(self, keys: Collection[str]) -> None:
        """Delete the statuses of jobs that the accounts file no longer has.

        Raises UsageError, StateBusy, OSError.
        """
        try:
            found = self._database.execute("SELECT key FROM status").fetchall()
            others = [row for row in found if row[0] not in keys]
            self._database.executemany("DELETE FROM status WHERE key = ?", others)
        except sqlite3.Error as error:
            raise _refusal(self._path, error) from None

    async def write(self, status: JobStatus, *, keep: bool = False) -> None:
        """Replace a status; `keep`: unless there is one."""
        insert = (
            "INSERT OR IGNORE INTO status VALUES (?, ?)"
            if keep
            else "INSERT OR REPLACE INTO status VALUES (?, ?)"
        )
        self._database.execute(insert, (status.key, status.to_json()))

    async def _texts(self, keys: Sequence[str] | None) -> dict[str, str | bytes]:
        texts = dict(self._database.execute("SELECT key, status FROM status"))
        return texts if keys is None else {key: texts[key] for key in keys if key in texts}

    async def _discard(self, key: str, text: str | bytes) -> None:
        self._database.execute("DELETE FROM status WHERE key = ? AND status = ?", (key, text))


def lock_file(path: str) -> sqlite3.Connection:
    """Return the lock of a state file, held until it is closed or its process ends.

    It is a database of no content, for SQLite knows how to lock a file on every system.

    Raises StateBusy where another worker holds it, UsageError, OSError.
    """
    try:
        # Those who ask whether a worker runs hold the lock for an instant.
        lock = _connect_to_lock(path, timeout=_SECONDS_FOR_THE_WORKER_LOCK)
    except sqlite3.Error as error:
        raise _refusal(path, error) from None
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error as error:
        lock.close()
        if _is_busy(error):
            raise StateBusy(
                f"another worker runs on {path}: stop it, name another state file, or share a "
                "broker"
            ) from None
        raise _refusal(path, error) from None
    return lock


def is_served(path: str) -> bool:
    """Whether a worker runs on this state file."""
    with closing(_connect_to_lock(path, timeout=0.0)) as lock:
        try:
            lock.execute("SELECT * FROM sqlite_master")
        except sqlite3.Error as error:
            return _is_busy(error)
    return False


def _connect_to_lock(path: str, *, timeout: float) -> sqlite3.Connection:
    return sqlite3.connect(f"{path}-worker", timeout=timeout, isolation_level=None)


def _is_busy(error: sqlite3.Error) -> bool:
    return error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY


def _refusal(path: str, error: sqlite3.Error) -> Exception:
    """Return what is raised where the file cannot be opened."""
    if _is_busy(error):
        return StateBusy(f"another program holds {path}: let it end, or name another state file")
    if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return OSError(f"{path} cannot be written: {error}")
    return UsageError(
        f"{path} cannot be used as the worker's state file: {error}; name another one"
    )
