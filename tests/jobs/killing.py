"""Run a job in children which end themselves at a given step.

Importing once makes dozens of kills cheap.

    python killing.py rotate|provision BASE_URL API_KEY

It obeys lines on standard input: `STEP DIRECTORY` forks a child that runs the job on that directory
and ends by `os._exit` at that step (0: never). The child's exit code is printed: 0, 1 (not
complete), or KILLED. A step is every moment between two effects: around each write (and in its
middle), sync, rename, request and answer, and around what the carrier or the sink does.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from telepath_async import (
    CallEnded,
    CallStarted,
    LocalLimiter,
    RetryPolicy,
    Secret,
    SipCredentials,
    TelepathClient,
)
from telepath_async.jobs import ProvisionedTrunk, provision_trunks, rotate_passwords

KILLED = 9
SPECS = [
    {"name": "One", "ai_provider": "openai", "openai_api_key": "sk-1", "sip_username": "one"},
    {"name": "Two", "ai_provider": "openai", "openai_api_key": "sk-1", "sip_username": "two"},
    {
        "name": "Three", "ai_provider": "openai", "openai_api_key": "sk-1", "sip_username": "three",
        "sip_password": "given-one",
    },
]  # fmt: skip


class Steps:
    def __init__(self, last: int) -> None:
        self.last = last
        self.taken = 0

    def step(self, event: object = None) -> None:
        if isinstance(event, CallStarted | CallEnded):
            return  # nothing happens between these and the event beside them
        self.taken += 1
        if self.taken == self.last:
            os._exit(KILLED)

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def stepping(*arguments: Any) -> Any:
            self.step()
            result = function(*arguments)
            self.step()
            return result

        return stepping

    def tear_writes(self) -> None:
        write = os.write

        def tearing(fd: int, data: Any) -> int:
            half = len(data) // 2
            self.step()
            write(fd, data[:half])
            self.step()
            return half + write(fd, data[half:])

        os.write, os.fsync, os.replace = tearing, self.around(os.fsync), self.around(os.replace)  # type: ignore[assignment]


def put(path: Path, text: str) -> None:
    """Replace a file at once, without a step of its own."""
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").rename(path)


async def rotate(telepath: TelepathClient, directory: Path, steps: Steps) -> bool:
    async def apply(credentials: SipCredentials) -> None:
        steps.step()
        if (directory / f"{credentials.sip_username}.refuses").exists():
            raise ConnectionError
        put(directory / f"{credentials.sip_username}.carrier", credentials.sip_password.reveal())
        steps.step()

    report = await rotate_passwords(
        telepath, telepath.trunks.list(), apply, directory / "journal", backoff=0.001
    )
    return report.complete


async def provision(telepath: TelepathClient, directory: Path, steps: Steps) -> bool:
    async def sink(trunk: ProvisionedTrunk) -> Secret | None:
        steps.step()
        vault = directory / f"{trunk.sip_username}.vault"
        if trunk.state == "planned" and not vault.exists():
            assert trunk.sip_password is not None
            put(vault, f"planned {trunk.sip_password.reveal()}")
        password = vault.read_text().split()[1]
        if trunk.state != "planned":
            put(vault, f"{trunk.state} {password}")
        steps.step()
        return Secret(password)

    report = await provision_trunks(telepath, SPECS, sink=sink)
    return report.complete


async def run(job: str, base_url: str, api_key: str, directory: Path, steps: Steps) -> bool:
    limiter = LocalLimiter(limit=1_000_000, period=1.0)
    retry = RetryPolicy(max_attempts=1)
    async with TelepathClient(
        api_key, base_url=base_url, limiter=limiter, retry=retry, on_event=steps.step
    ) as telepath:
        return await {"rotate": rotate, "provision": provision}[job](telepath, directory, steps)


if __name__ == "__main__":
    for line in sys.stdin:
        last, _, directory = line.strip().partition(" ")
        child = os.fork()
        if child == 0:
            steps = Steps(int(last))
            steps.tear_writes()
            complete = asyncio.run(run(*sys.argv[1:4], Path(directory), steps))
            os._exit(0 if complete else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
