"""Count the instructions of one typed GET beside raw aiohttp + orjson, where valgrind is installed.

It is the difference of 300 requests and 100, so that imports and the first request count for
nothing. No other figure here stays the same on a busy machine.
"""

import asyncio
import os
import re
import shutil
import subprocess
import sys

import aiohttp
import orjson
from compare import Table, goal, server

from telepath_async import LocalLimiter, TelepathClient

FEW, MANY = 100, 300
KEY = "sk_bench"
FLOOR, OURS = "floor: aiohttp + orjson, dicts", "telepath_async"


async def send(contender: str, base_url: str, times: int) -> None:
    """Send requests one after the other: what valgrind counts."""
    limiter = LocalLimiter(limit=10_000_000, period=1.0)
    async with (
        TelepathClient(KEY, base_url=base_url, limiter=limiter) as telepath,
        aiohttp.ClientSession() as session,
    ):
        for _ in range(times):
            if contender == OURS:
                await telepath.calls.get("call_7")
            else:
                headers = {"Authorization": f"Bearer {KEY}"}
                async with session.get(f"{base_url}/calls/call_7", headers=headers) as answer:
                    orjson.loads(await answer.read())


def instructions(contender: str, base_url: str, times: int) -> int:
    """Return the instructions of a process that sends so many requests."""
    command = [
        "valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
        sys.executable, __file__, contender, base_url, str(times),
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    assert found is not None, done.stderr
    return int(found[1])


def main() -> None:
    if shutil.which("valgrind") is None:
        print("valgrind is not installed: no instructions were counted")
        return
    table = Table("one typed GET, one after the other", "thousand instructions each")
    with server() as base_url:
        for contender in (FLOOR, OURS):
            few, many = (instructions(contender, base_url, times) for times in (FEW, MANY))
            table.add(contender, (many - few) / (MANY - FEW) / 1000)
    table.show()
    goal("instructions of a GET, against the floor", table.ratio(OURS, FLOOR), at_most=1.06)


if __name__ == "__main__":
    if len(sys.argv) == 4:
        asyncio.run(send(sys.argv[1], sys.argv[2], int(sys.argv[3])))
    else:
        main()
