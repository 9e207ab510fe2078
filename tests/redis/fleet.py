"""Four processes on one key and a Redis of their own, that are killed, and what they got."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import redis

from tests.support.services import RedisServer, own_redis
from tests.support.windows import most_in_a_window


class Fleet:
    """Run four processes that want more than `limit` permits in every `period` seconds.

    What each got stands in a file.
    """

    def __init__(self, server: RedisServer, folder: Path, limit: int, period: float) -> None:
        self.server = server
        self._limit = limit
        self._period = period
        self._folder = folder
        figures = {"limit": limit, "period": period, "burst": 54, "expected_processes": 4}
        command = [
            sys.executable,
            str(Path(__file__).with_name("taking.py")),
            server.url,
            str(uuid4()),
            json.dumps(figures),
        ]
        self._nest = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.processes = [self.spawn() for _ in range(4)]

    def spawn(self) -> int:
        assert self._nest.stdin is not None
        assert self._nest.stdout is not None
        self._nest.stdin.write(f"{self._folder / str(uuid4())}\n".encode())
        self._nest.stdin.flush()
        return int(self._nest.stdout.readline())

    def kill(self, index: int) -> None:
        os.kill(self.processes[index], signal.SIGKILL)

    def end(self) -> None:
        for index in range(4):
            self.kill(index)
        self._nest.communicate()

    def once_under_way(self) -> None:
        end = time.monotonic() + 20
        while sum(bool(path.stat().st_size) for path in self._folder.iterdir()) < 4:
            assert time.monotonic() < end
            time.sleep(0.05)

    def grants(self) -> list[tuple[float, str]]:
        lines = [line for path in self._folder.iterdir() for line in path.read_text().splitlines()]
        return sorted((float(moment), state) for moment, state in (line.split() for line in lines))

    def held(self) -> bool:
        return self.most() <= self._limit

    def most(self) -> int:
        return most_in_a_window([moment for moment, _ in self.grants()], self._period)


@contextmanager
def fleet(folder: Path, limit: int, period: float) -> Iterator[Fleet]:
    with own_redis() as server:
        ours = Fleet(server, folder, limit, period)
        try:
            ours.once_under_way()
            yield ours
        finally:
            ours.end()


def words(server: RedisServer) -> int:
    with redis.Redis.from_url(server.url) as client:
        stats = client.info("commandstats")
    return sum(
        int(stats[f"cmdstat_{name}"]["calls"])
        for name in ("evalsha", "eval")
        if f"cmdstat_{name}" in stats
    )
