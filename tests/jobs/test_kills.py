"""Killed at every step, and started again: no trunk is left with a password that nobody knows."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from attrs import define

from telepath_async.jobs.ledger import Entry, read_entries
from telepath_async.sandbox import Sandbox
from tests.jobs.killing import KILLED, SPECS

pytestmark = [pytest.mark.long, pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")]


@define
class Job:
    """Tells `killing.py` what to do."""

    process: asyncio.subprocess.Process

    async def run(self, directory: Path, *, last: int = 0) -> int:
        """Run the job up to the step `last` (0: to its end); return how it ended."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{last} {directory}\n".encode())
        return int(await asyncio.wait_for(self.process.stdout.readline(), 30))


@asynccontextmanager
async def job(name: str, sandbox: Sandbox) -> AsyncIterator[Job]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(Path(__file__).with_name("killing.py")), name, sandbox.base_url,
        sandbox.api_key, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    yield Job(process)
    assert process.stdin is not None
    process.stdin.close()
    await process.wait()


def journal_entries(directory: Path) -> dict[str, Entry]:
    path = directory / "journal"
    entries, _ = read_entries(path.read_bytes() if path.exists() else b"")
    assert isinstance(entries, dict)
    return entries


def carriers(sandbox: Sandbox, directory: Path) -> dict[str, str]:
    """Let each carrier have its trunk's password, and return the passwords by trunk."""
    directory.mkdir()
    passwords = {trunk_id: sandbox.sip_password(trunk_id) for trunk_id in sandbox.trunks}
    for trunk_id, password in passwords.items():
        (directory / f"{sandbox.trunks[trunk_id]['sip_username']}.carrier").write_text(password)
    return passwords


def lost(sandbox: Sandbox, directory: Path) -> list[str]:
    """Return the trunks whose password is lost: not in the journal, nor at the carrier.

    A password that the journal holds as doubtful is not lost.
    """
    return [
        trunk_id
        for trunk_id, trunk in sandbox.trunks.items()
        if not at_carrier(sandbox, directory, trunk_id)
        and not (
            (entry := journal_entries(directory).get(trunk_id))
            and known_or_in_doubt(entry, trunk["sip_password"])
        )
    ]


def known_or_in_doubt(entry: Entry, password: str) -> bool:
    return entry.state == "in doubt" or (
        entry.credentials is not None and entry.credentials.sip_password.reveal() == password
    )


def at_carrier(sandbox: Sandbox, directory: Path, trunk_id: str) -> bool:
    username = sandbox.trunks[trunk_id]["sip_username"]
    return sandbox.sip_login(username, (directory / f"{username}.carrier").read_text())


@pytest.mark.parametrize("refuses", [False, True])
async def test_a_rotation_killed_at_any_step_loses_no_password_and_is_finished_by_the_next_run(
    refuses: bool, sandbox: Sandbox, tmp_path: Path
) -> None:
    """Kill a rotation at each step, and let the next run finish it.

    `refuses`: one carrier says no until that next run, so that its password outlives the end of a
    run.
    """
    async with job("rotate", sandbox) as rotation:
        for last in itertools.count(1):
            directory = tmp_path / str(last)
            before = carriers(sandbox, directory)
            refusal = directory / f"{next(iter(sandbox.trunks.values()))['sip_username']}.refuses"
            if refuses:
                refusal.touch()
            ended = await rotation.run(directory, last=last)
            assert lost(sandbox, directory) == []
            if ended != KILLED:
                assert ended == refuses
                break
            refusal.unlink(missing_ok=True)
            assert await rotation.run(directory) == 0
            assert [
                trunk_id for trunk_id in before if not at_carrier(sandbox, directory, trunk_id)
            ] == []
            assert [
                trunk_id
                for trunk_id in before
                if sandbox.sip_password(trunk_id) == before[trunk_id]
            ] == []
            assert "sip_password" not in (directory / "journal").read_text()
    assert last > 50


async def test_a_rotation_killed_again_and_again_is_finished_in_the_end(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    dice = random.Random(5)
    async with job("rotate", sandbox) as rotation:
        for attempt in range(5):
            directory = tmp_path / str(attempt)
            carriers(sandbox, directory)
            for _ in range(6):
                await rotation.run(directory, last=dice.randrange(5, 45))
                assert lost(sandbox, directory) == []
            assert await rotation.run(directory) == 0
            assert all(at_carrier(sandbox, directory, trunk_id) for trunk_id in sandbox.trunks)


async def test_a_provisioning_killed_at_any_step_leaves_no_trunk_whose_password_is_not_in_the_vault(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    usernames = [spec["sip_username"] for spec in SPECS]
    async with job("provision", sandbox) as provisioning:
        for last in itertools.count(1):
            directory = tmp_path / str(last)
            directory.mkdir()
            ended = await provisioning.run(directory, last=last)
            created = {
                trunk["sip_username"]: trunk_id for trunk_id, trunk in sandbox.trunks.items()
            }
            vault = {path.stem: path.read_text().split() for path in directory.glob("*.vault")}
            assert [
                name
                for name in usernames
                if name in created and not sandbox.sip_login(name, vault[name][1])
            ] == []
            if ended == 0:
                break
            assert ended == KILLED
            assert await provisioning.run(directory) == 0
            vault = {path.stem: path.read_text().split() for path in directory.glob("*.vault")}
            assert {state for state, _ in vault.values()} <= {"created", "exists"}
            assert [name for name in usernames if not sandbox.sip_login(name, vault[name][1])] == []
            for trunk_id, trunk in list(sandbox.trunks.items()):
                if trunk["sip_username"] in usernames:
                    sandbox.remove_trunk(trunk_id)
    assert last > 15
