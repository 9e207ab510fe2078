"""Measure the rows a second of 1, 2 and 4 worker processes on one Redis.

There are many accounts, each with its key and its SQLite file.

Redis: REDIS_URL, or the server of this machine (database 6 is emptied); without one, it says so.
`--whole`: 200 accounts, which take minutes.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import redis
from compare import QUICK, Table, server

ACCOUNTS = 6 if QUICK else 200 if "--whole" in sys.argv else 12
CALLS = 1_000 if QUICK else 5_000
ROUNDS = 1
WORKERS = (1, 2, 4)
URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379").rstrip("/") + "/6"
COMMAND = "from telepath_async.cli.worker import group; group()"
SECONDS = 300.0


def accounts_file(folder: Path, base_url: str) -> Path:
    """Each account has a key of its own, so that no limit is shared, and is synced once."""
    path = folder / "accounts.toml"
    sections = (
        f'[accounts.a{index}]\napi_key_env = "KEY_{index}"\nbase_url = "{base_url}"\n'
        f'host = "{socket.gethostname()}"\ndatabase_url = "sqlite:///{folder}/{index}.db"\n'
        'limit = 1000000\nsync.cron = "@yearly"\n'
        for index in range(ACCOUNTS)
    )
    path.write_text("".join(sections))
    return path


def rows_a_second(workers: int, base_url: str, client: redis.Redis) -> float:
    """Return the rows a second from the first worker's first job to the end of the last job."""
    client.flushdb()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        keys = {f"KEY_{index}": f"sk_bench_{index}" for index in range(ACCOUNTS)}
        arguments = [
            "--accounts",
            str(accounts_file(folder, base_url)),
            "--redis",
            URL,
            "--expected-processes",
            str(workers),
        ]
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", COMMAND, *arguments],
                env={**os.environ, **keys},
                stdout=(folder / f"{number}.log").open("w"),
            )
            for number in range(workers)
        ]
        try:
            begun = wait_for(folder, '"event": "start"', workers)
            ended = wait_for(folder, '"outcome": "success"', ACCOUNTS)
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait()
    return ACCOUNTS * CALLS / (ended - begun)


def wait_for(folder: Path, text: str, times: int) -> float:
    """Return when the logs of all workers hold the text so many times."""
    end = time.monotonic() + SECONDS
    while sum(log.read_text().count(text) for log in folder.glob("*.log")) < times:
        if time.monotonic() > end:
            sys.exit(f"the workers did not come to an end within {SECONDS:.0f} s")
        time.sleep(0.05)
    return time.monotonic()


def main() -> None:
    client = redis.Redis.from_url(URL)
    try:
        if client.dbsize():
            print(
                "\nworkers are left out: database 6 of this Redis is not empty, and they would "
                "empty it"
            )
            return
    except redis.RedisError as error:
        print(f"\nworkers are left out: no Redis ({type(error).__name__})")
        return
    table = Table(
        f"{ACCOUNTS} accounts x {CALLS:,} calls, 20 ms, SQLite, {os.cpu_count()} cores",
        "rows a second",
    )
    with server(size=CALLS, latency_ms=20) as base_url:
        for _ in range(ROUNDS):
            for workers in WORKERS:
                table.add(f"{workers} workers", rows_a_second(workers, base_url, client))
    table.show()
    client.flushdb()


if __name__ == "__main__":
    main()
