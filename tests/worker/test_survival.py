"""A worker as a process, under what befalls machines: a held file, a full disk, a wrong clock."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from telepath_async.sandbox import Sandbox
from tests.worker.disks import fill, full_disk, held

__all__ = ["full_disk"]

pytestmark = pytest.mark.long

OFTEN = "* * * * * */1"
# A schedule of seconds, which a file cannot have: nobody waits for minutes in a test.
_EVERY_SECOND_ALLOWED = f"""
from telepath_async.cli import main
from telepath_async.worker import accounts_fields
accounts_fields.CRON_NAMES += ({OFTEN!r},)
main()
"""
FAKETIME = [str(path) for path in Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")]
EVERY_SECOND = """
    [accounts.acme]
    api_key_env = "ACME_KEY"
    base_url = "{base_url}"
    [accounts.acme.watch]
    cron = "{cron}"
    thresholds = {{ success_rate = 2 }}
    command = ["/bin/true"]
"""


@frozen
class Running:
    """A worker and its log."""

    process: asyncio.subprocess.Process
    log: Path

    def events(self, **wanted: object) -> list[dict[str, Any]]:
        lines = self.log.read_text().splitlines()
        events = [json.loads(line) for line in lines if line.endswith("}")]
        return [event for event in events if wanted.items() <= event.items()]

    async def logs(self, number: int = 1, **wanted: object) -> None:
        """Wait for so many lines like this."""
        end = time.monotonic() + 60
        while len(self.events(**wanted)) < number:
            assert self.process.returncode is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()[-3000:]
            await asyncio.sleep(0.05)

    async def stop(self) -> None:
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(self.process.wait(), 20) == 0


@asynccontextmanager
async def worker(
    folder: Path, sandbox: Sandbox, state: Path, *, cron: str, **environment: str
) -> AsyncIterator[Running]:
    """Run `telepath worker`, and stop it in the end."""
    accounts, log = folder / "accounts.toml", folder / f"log-{time.monotonic_ns()}"
    accounts.write_text(EVERY_SECOND.format(base_url=sandbox.base_url, cron=cron))
    with log.open("wb") as stream:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _EVERY_SECOND_ALLOWED, "worker",
            "--accounts", str(accounts), "--state", str(state),
            stdout=stream, stderr=stream,
            env={**os.environ, "ACME_KEY": sandbox.api_key, **environment},
        )  # fmt: skip
    running = Running(process, log)
    try:
        yield running
        await running.stop()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert "Traceback" not in log.read_text()


async def test_a_state_file_that_is_held_for_seconds_is_waited_for_and_jobs_go_on(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    async with worker(tmp_path, sandbox, state, cron=OFTEN) as running:
        await running.logs(2, event="job", outcome="success")
        with held(state):
            await running.logs(event="outage")
            await asyncio.sleep(3)
        await running.logs(event="outage over")
        succeeded = len(running.events(event="job", outcome="success"))
        await running.logs(succeeded + 2, event="job", outcome="success")
        assert len(running.events(event="outage")) == 1
        assert running.events(event="job", outcome="stopped") == []


async def test_a_full_disk_is_waited_for_and_jobs_go_on(
    sandbox: Sandbox, tmp_path: Path, full_disk: Path
) -> None:
    async with worker(tmp_path, sandbox, full_disk / "state", cron=OFTEN) as running:
        await running.logs(2, event="job", outcome="success")
        fill(full_disk)
        await running.logs(event="outage")
        assert "OperationalError: " in running.events(event="outage")[0]["error"]
        (full_disk / "filling").unlink()
        await running.logs(event="outage over")
        succeeded = len(running.events(event="job", outcome="success"))
        await running.logs(succeeded + 2, event="job", outcome="success")


async def test_a_worker_stops_in_time_during_an_outage(sandbox: Sandbox, tmp_path: Path) -> None:
    state = tmp_path / "state"
    async with worker(tmp_path, sandbox, state, cron=OFTEN) as running:
        await running.logs(1, event="job", outcome="success")
        with held(state):
            await running.logs(event="outage")
            await running.stop()


@pytest.mark.skipif(not FAKETIME, reason="needs libfaketime")
async def test_a_run_under_a_clock_that_was_ahead_keeps_no_later_one_waiting(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    ahead = {"LD_PRELOAD": FAKETIME[0], "FAKETIME": "+400d", "DONT_FAKE_MONOTONIC": "1"}
    async with worker(tmp_path, sandbox, state, cron="@yearly", **ahead) as running:
        await running.logs(event="job", outcome="success")
    assert running.events()[0]["time"] > "2027"
    async with worker(tmp_path, sandbox, state, cron="@yearly") as running:
        await running.logs(event="clock was wrong", job="acme:watch")
        await running.logs(event="job", outcome="success")
    assert len(sandbox.requests) == 2
