"""A file is there whole or not at all, and no thread outlives the call that started it."""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from pathlib import Path
from typing import BinaryIO

import pytest

from telepath_async import UsageError
from telepath_async.export import new_file
from telepath_async.export.new_file import NewFile, in_thread


def write(path: Path, data: bytes = b"new") -> int:
    with NewFile(path) as file:
        file.handle.write(data)
        file.sync()
        return file.publish()


def test_the_old_file_stands_until_the_new_one_is_published(tmp_path: Path) -> None:
    target = tmp_path / "calls.csv"
    target.write_bytes(b"old")
    with NewFile(target) as file:
        file.handle.write(b"new")
        file.sync()
        assert target.read_bytes() == b"old"
        assert file.publish() == 3
        assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


def test_its_mode_is_that_of_an_ordinary_new_file(tmp_path: Path) -> None:
    ordinary = tmp_path / "ordinary"
    before = os.umask(0o027)
    try:
        ordinary.touch()
        write(tmp_path / "calls.csv")
    finally:
        os.umask(before)
    assert (tmp_path / "calls.csv").stat().st_mode == ordinary.stat().st_mode


def test_a_file_that_is_replaced_keeps_its_mode(tmp_path: Path) -> None:
    target = tmp_path / "calls.csv"
    target.touch()
    target.chmod(0o640)
    write(target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_the_part_file_of_an_export_that_was_killed_is_removed_and_no_other(tmp_path: Path) -> None:
    killed, other = tmp_path / ".calls[1].csv.00ff00ff.part", tmp_path / ".else.csv.00ff00ff.part"
    killed.touch()
    other.touch()
    with NewFile(tmp_path / "calls[1].csv") as live:
        assert not killed.exists()
        write(tmp_path / "calls[1].csv", b"another export")
        assert os.path.exists(live.handle.name)
    assert sorted(tmp_path.iterdir()) == [other, tmp_path / "calls[1].csv"]


def test_an_export_whose_part_file_was_taken_for_abandoned_begins_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = []

    def steal(file: BinaryIO) -> bool:
        held.append(file.name)
        if len(held) == 1:
            os.unlink(file.name)
        return True

    monkeypatch.setattr(new_file, "_lock", steal)
    assert write(tmp_path / "calls.csv") == 3
    assert len(held) == 2
    assert list(tmp_path.iterdir()) == [tmp_path / "calls.csv"]


def test_a_link_goes_on_pointing_to_the_file_that_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "latest.csv").symlink_to("calls.csv")
    (tmp_path / "calls.csv").write_bytes(b"old")
    write(tmp_path / "latest.csv")
    assert (tmp_path / "latest.csv").is_symlink()
    assert (tmp_path / "calls.csv").read_bytes() == b"new"


def test_a_device_is_never_replaced() -> None:
    with pytest.raises(UsageError, match="is not a file that could be replaced"):
        NewFile(os.devnull)


def test_a_file_that_cannot_get_its_name_leaves_nothing_behind(tmp_path: Path) -> None:
    file = NewFile(tmp_path / "calls.csv")
    (tmp_path / "calls.csv").mkdir()
    with pytest.raises(IsADirectoryError), file:
        file.publish()
    assert list(tmp_path.iterdir()) == [tmp_path / "calls.csv"]


@pytest.mark.parametrize("fails", [False, True])
async def test_a_cancellation_waits_for_the_thread_however_often_it_comes(fails: bool) -> None:
    started, go, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        go.wait()
        ended.set()
        if fails:
            raise OSError("nobody hears this")

    task = asyncio.create_task(in_thread(work))
    await asyncio.to_thread(started.wait)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    left_early = task.done()
    go.set()
    assert not left_early
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_what_the_thread_raises_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 // 0)


def test_a_pipe_is_no_file_either() -> None:
    reading, writing = os.pipe()
    with pytest.raises(UsageError, match="is not a file that could be replaced"):
        NewFile(f"/dev/fd/{writing}")
    os.close(reading)
    os.close(writing)
