"""The state file: held by another program, on a full disk, damaged; and its lock."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from attrs import evolve

from telepath_async import UsageError
from telepath_async.worker import file_store
from telepath_async.worker.file_store import FileStore, StateBusy, is_served, lock_file
from telepath_async.worker.status import first_status
from tests.worker.disks import fill, full_disk, held
from tests.worker.statuses import NOW, sync_job

__all__ = ["full_disk"]


async def test_a_file_that_another_program_holds_is_soon_an_error_and_works_afterwards(
    tmp_path: Path,
) -> None:
    status = first_status(sync_job(), NOW)
    with closing(FileStore(str(tmp_path / "state"))) as store:
        with held(tmp_path / "state"), pytest.raises(sqlite3.OperationalError, match="locked"):
            await store.write(status)
        await store.write(status)
        assert await store.read_all() == [status]


async def test_a_full_disk_is_an_error_and_all_is_as_it_was_when_there_is_room(
    full_disk: Path,
) -> None:
    first = first_status(sync_job(), NOW)
    large = evolve(first, account="other", error="x" * 100_000)
    with closing(FileStore(str(full_disk / "state"))) as store:
        await store.write(first)
        fill(full_disk)
        for _ in range(3):
            with pytest.raises(sqlite3.OperationalError, match=r"full|disk I/O error"):
                await store.write(large)
            assert await store.read_all() == [first]
        (full_disk / "filling").unlink()
        await store.write(large)
        assert await store.read_all() == [first, large]


def test_a_full_disk_at_the_start_is_told_with_the_file(full_disk: Path) -> None:
    fill(full_disk)
    with pytest.raises(OSError, match=r"state cannot be written: (database or disk is full|disk)"):
        FileStore(str(full_disk / "state"))


def test_a_file_that_another_program_holds_at_the_start_is_busy(tmp_path: Path) -> None:
    with held(tmp_path / "state"), pytest.raises(StateBusy, match="another program holds"):
        FileStore(str(tmp_path / "state"))


def test_a_file_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_text("something else " * 100)
    with pytest.raises(
        UsageError, match="cannot be used as the worker's state file: file is not a database"
    ):
        FileStore(str(path))


def test_a_state_file_serves_one_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_store, "_SECONDS_FOR_THE_WORKER_LOCK", 0.01)
    path = str(tmp_path / "state")
    assert not is_served(path)
    lock = lock_file(path)
    with pytest.raises(StateBusy, match="another worker runs on"):
        lock_file(path)
    assert is_served(path)
    lock.close()
    assert not is_served(path)


def test_a_lock_that_is_not_a_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state-worker").write_text("something else " * 100)
    with pytest.raises(UsageError, match="state file: file is not a database"):
        lock_file(str(tmp_path / "state"))
    assert not is_served(str(tmp_path / "state"))


def test_asking_whether_a_worker_runs_keeps_none_from_starting(tmp_path: Path) -> None:
    path = str(tmp_path / "state")
    with ThreadPoolExecutor(3) as threads:
        asking = [threads.submit(is_served, path) for _ in range(1_000)]
        while not all(asked.done() for asked in asking):
            lock_file(path).close()


def test_two_who_ask_do_not_take_each_other_for_a_worker(tmp_path: Path) -> None:
    path = str(tmp_path / "state")
    with ThreadPoolExecutor(2) as threads:
        assert not any(threads.map(is_served, [path] * 400))


def test_a_state_file_in_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match="cannot be used as the worker's state file: unable to open"
    ):
        lock_file(str(tmp_path / "nowhere" / "state"))


async def test_statuses_of_other_jobs_are_deleted(tmp_path: Path) -> None:
    mine = first_status(sync_job(), NOW)
    with closing(FileStore(str(tmp_path / "state"))) as store:
        await store.write(mine)
        await store.write(evolve(mine, account="gone"))
        store.keep_only({mine.key})
        assert await store.read_all() == [mine]
        with held(tmp_path / "state"), pytest.raises(StateBusy):
            store.keep_only(())
