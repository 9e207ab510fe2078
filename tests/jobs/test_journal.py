"""The journal on disk: its mode, its lock, what a crash leaves, and a disk that fails."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from telepath_async import Secret, SipCredentials, UsageError
from telepath_async.jobs import JournalBusy, JournalDamaged
from telepath_async.jobs.journal import open_journal
from telepath_async.jobs.ledger import Entry

SECRET = "needle-in-a-haystack"


def finished(trunk_id: str = "a") -> Entry:
    return Entry(state="finished", trunk_id=trunk_id, at=datetime.now(UTC))


def rotated(trunk_id: str = "a") -> Entry:
    credentials = SipCredentials(id=trunk_id, sip_username="u", sip_password=Secret(SECRET))
    return Entry(state="rotated", trunk_id=trunk_id, at=datetime.now(UTC), credentials=credentials)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def append(journal: Path, *entries: Entry) -> None:
    with open_journal(journal) as opened:
        for entry in entries:
            opened.write(entry)


def known(journal: Path) -> dict[str, Entry]:
    with open_journal(journal) as opened:
        return dict(opened.entries)


def refused(journal: Any, kind: type[Exception], reason: str | None = None) -> BaseException:
    """See that a journal cannot be opened, and return why."""
    with pytest.raises(kind, match=reason) as raised, open_journal(journal):
        pass
    return raised.value


def shown_with_locals(error: BaseException) -> str:
    """Return what a crash reporter shows of an error."""
    return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


def test_journal_and_lock_are_for_their_owner_from_their_first_byte_whatever_the_umask(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[int] = []
    write = os.write

    def record(fd: int, data: Any) -> int:
        modes.append(stat.S_IMODE(os.fstat(fd).st_mode))
        return write(fd, data)

    monkeypatch.setattr(os, "write", record)
    before = os.umask(0)
    try:
        with open_journal(journal) as opened:
            opened.write(rotated())
            opened.compact()
    finally:
        os.umask(before)
    assert modes == [0o600, 0o600]
    assert {path.name: mode(path) for path in journal.parent.iterdir()} == {
        "rotation.ndjson": 0o600,
        "rotation.ndjson.lock": 0o600,
    }


@pytest.mark.parametrize("others", [0o640, 0o604, 0o620, 0o602, 0o610])
@pytest.mark.parametrize("suffix", ["", ".lock", ".new"])
def test_a_file_that_others_can_open_is_refused_with_the_remedy(
    journal: Path, suffix: str, others: int
) -> None:
    path = journal.with_name(journal.name + suffix)
    path.touch()
    path.chmod(others)
    refused(journal, UsageError, rf"{path} can be read or written by .*chmod 600")
    assert mode(path) == others


@pytest.mark.parametrize("suffix", [".lock", ".new"])
@pytest.mark.parametrize("target", ["victim", "nowhere"])
def test_a_link_in_the_place_of_a_file_of_ours_is_refused_and_its_target_left_alone(
    journal: Path, suffix: str, target: str
) -> None:
    victim = journal.with_name("victim")
    victim.write_text("precious")
    victim.chmod(0o644)
    link = journal.with_name(journal.name + suffix)
    link.symlink_to(journal.with_name(target))
    refused(journal, UsageError, "is a symbolic link")
    assert (victim.read_text(), mode(victim)) == ("precious", 0o644)
    assert link.is_symlink()
    assert not journal.with_name("nowhere").exists()


def test_a_link_that_is_planted_during_the_run_gets_no_password(journal: Path) -> None:
    victim = journal.with_name("victim")
    victim.write_text("precious")
    with open_journal(journal) as opened:
        opened.write(rotated())
        journal.with_name(f"{journal.name}.new").symlink_to(victim)
        with pytest.raises(FileExistsError):
            opened.compact()
    assert victim.read_text() == "precious"
    assert SECRET in journal.read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs the right to give a file away")
@pytest.mark.parametrize("suffix", ["", ".lock", ".new"])
def test_a_file_of_another_user_is_refused(journal: Path, suffix: str) -> None:
    path = journal.with_name(journal.name + suffix)
    path.touch(mode=0o600)
    os.chown(path, 12_345, -1)
    refused(journal, UsageError, r"belongs to another user \(12345\): chown it")


@pytest.mark.parametrize("suffix", [".lock", ".new"])
def test_a_pipe_in_the_place_of_a_file_of_ours_is_refused_and_waited_for_by_nobody(
    journal: Path, suffix: str
) -> None:
    os.mkfifo(journal.with_name(journal.name + suffix), 0o600)
    refused(journal, UsageError, "is not a file; remove it")


def test_a_folder_that_cannot_be_written_to_is_an_ordinary_error(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere" / "journal", FileNotFoundError)


def test_what_is_written_is_there_when_it_is_opened_again(journal: Path) -> None:
    entries = [rotated("a"), finished("b")]
    append(journal, *entries)
    assert list(known(journal).values()) == entries


def test_a_torn_last_line_is_forgotten_and_written_over(journal: Path) -> None:
    append(journal, finished("a"))
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"state":"rota')
    with open_journal(journal) as opened:
        assert journal.read_bytes() == whole
        opened.write(finished("b"))
    assert list(known(journal)) == ["a", "b"]


def test_a_last_line_without_its_end_is_kept_and_gets_one(journal: Path) -> None:
    append(journal, rotated("a"))
    journal.write_bytes(journal.read_bytes().rstrip(b"\n"))
    with open_journal(journal) as opened:
        assert list(opened.entries) == ["a"]
        opened.write(finished("b"))
    assert list(known(journal)) == ["a", "b"]


def test_another_file_is_refused_and_stays_as_it_is(journal: Path) -> None:
    journal.touch(mode=0o600)
    journal.write_text('[{"name":"A","sip_password":"only-copy-of-it"}]')
    refused(journal, JournalDamaged)
    assert "only-copy-of-it" in journal.read_text()


def test_what_is_no_file_is_refused_and_keeps_its_mode(tmp_path: Path) -> None:
    before = mode(tmp_path)
    refused(tmp_path, UsageError, "is not a file")
    assert mode(tmp_path) == before


@pytest.mark.parametrize("path", ["", 5, None, b"rotation", Path("a\0b")], ids=repr)
def test_what_is_no_path_is_refused_and_removes_nothing(
    path: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, own = tmp_path / "folder", tmp_path / "folder.new"
    folder.mkdir()
    own.touch(0o600)
    monkeypatch.chdir(folder)
    refused(path, UsageError, "journal must be the path of a file")
    assert sorted(tmp_path.iterdir()) == [folder, own]


def test_a_damaged_journal_is_refused_and_nothing_of_it_is_shown(journal: Path) -> None:
    journal.touch(mode=0o600)
    journal.write_bytes(f'{{"sip_password": "{SECRET}"}}\n'.encode())
    error = refused(journal, JournalDamaged, r"line 1 of .*rotation\.ndjson")
    shown = shown_with_locals(error)
    assert "size = " in shown  # our locals are there
    assert SECRET not in shown
    refused(journal, JournalDamaged)  # the lock is free again


def test_a_second_run_on_one_journal_is_refused_until_the_first_has_ended(journal: Path) -> None:
    with open_journal(journal):
        with pytest.raises(JournalBusy, match="let it end"), open_journal(journal):
            pass
        journal.with_name("link").symlink_to(journal)
        with pytest.raises(JournalBusy), open_journal(journal.with_name("link")):
            pass
    with open_journal(journal):
        pass


def test_a_file_system_that_cannot_lock_says_so(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(fd: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    refused(journal, OSError, "No locks available")


def test_compaction_follows_a_link_and_keeps_what_is_known(journal: Path) -> None:
    link = journal.with_name("link")
    link.symlink_to(journal)
    with open_journal(link) as opened:
        opened.write(rotated("a"))
        opened.write(finished("a"))
        opened.write(finished("b"))
        assert SECRET in journal.read_text()
        opened.compact()
    assert link.is_symlink()
    assert SECRET not in journal.read_text()
    assert list(known(link)) == ["a", "b"]


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="needs /proc")
def test_everything_is_on_the_disk_before_the_next_step(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def recorded(name: str) -> None:
        function = getattr(os, name)

        def record(*arguments: Any) -> Any:
            target = (
                arguments[-1] if name == "replace" else os.readlink(f"/proc/self/fd/{arguments[0]}")
            )
            done.append(f"{name} {Path(target).name}")
            return function(*arguments)

        monkeypatch.setattr(os, name, record)

    for name in ("write", "fsync", "replace"):
        recorded(name)
    directory, name = journal.parent.name, journal.name
    with open_journal(journal) as opened:
        assert done == [f"fsync {directory}"]
        opened.write(finished())
        assert done[1:] == [f"write {name}", f"fsync {name}"]
        opened.compact()
        assert done[3:] == [
            f"write {name}.new",
            f"fsync {name}.new",
            f"replace {name}",
            f"fsync {directory}",
        ]


def test_what_a_killed_compaction_left_is_in_nobodys_way(journal: Path) -> None:
    leftover = journal.with_name("rotation.ndjson.new")
    leftover.touch(mode=0o600)
    leftover.write_text(SECRET * 100)
    with open_journal(journal) as opened:
        opened.write(finished())
        opened.compact()
    assert SECRET not in journal.read_text()


def failing_after(bytes_written: int) -> Callable[..., int]:
    """A disk that takes so many bytes more, a few at a time."""
    write, left = os.write, [bytes_written]

    def short(fd: int, data: Any) -> int:
        if not left[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = write(fd, bytes(data)[: min(left[0], 10)])
        left[0] -= taken
        return taken

    return short


def test_a_disk_that_takes_a_few_bytes_at_a_time_gets_all_of_them(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "write", failing_after(10_000))
    entry = rotated()
    append(journal, entry)
    assert list(known(journal).values()) == [entry]


def test_a_full_disk_is_an_error_that_shows_no_secret_and_nothing_is_written_behind_it(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_journal(journal) as opened:
        opened.write(finished("a"))
        with monkeypatch.context() as patched:
            patched.setattr(os, "write", failing_after(30))
            with pytest.raises(OSError, match="No space left") as full:
                opened.write(rotated("b"))
        with pytest.raises(OSError, match="Bad file descriptor"):
            opened.write(finished("c"))
        assert list(opened.entries) == ["a"]
    shown = shown_with_locals(full.value)
    ours = shown[shown.index("in write") :]
    assert SECRET not in ours.partition("in short")[0]
    assert list(known(journal)) == ["a"]
