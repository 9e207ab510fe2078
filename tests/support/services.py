"""Servers that tests need beside us: found, else started, else skipped.

Under TELEPATH_REQUIRE_SERVICES=1, skipping is a failure. Import the fixtures into a conftest:
`from tests.support.services import postgres_server, postgres_url` or `redis_url`.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, TypeVar
from uuid import uuid4

import asyncpg
import pytest
import redis
from attrs import define

T = TypeVar("T")

_UNPRIVILEGED = ("postgres", "nobody")  # PostgreSQL refuses to run as root
_SECONDS_TO_START = 20.0


def missing(service: str, reason: str) -> NoReturn:
    """Skip the test, or fail it where services are required."""
    if os.environ.get("TELEPATH_REQUIRE_SERVICES") == "1":
        pytest.fail(f"TELEPATH_REQUIRE_SERVICES=1, and there is no {service}: {reason}")
    pytest.skip(f"no {service}: {reason}")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Yield the URL of a database on a real PostgreSQL server.

    DATABASE_URL, or the one of this machine, or one of our own.
    """
    named = os.environ.get("DATABASE_URL", "")
    candidates = [named] if named.startswith("postgres") else []
    for url in [
        *candidates,
        "postgresql://postgres@127.0.0.1:5432/test",
        "postgresql://postgres@127.0.0.1:5432/postgres",
    ]:
        if _answers(url):
            yield url
            return
    initdb = _program("initdb")
    if initdb is None:
        missing(
            "PostgreSQL",
            "nothing answers at DATABASE_URL or 127.0.0.1:5432, and initdb is not installed",
        )
    with _own_postgres(initdb) as url:
        yield url


@pytest.fixture
async def postgres_url(postgres_server: str) -> AsyncIterator[str]:
    """A PostgreSQL URL whose tables live in a fresh schema."""
    schema = f"telepath_{uuid4().hex[:12]}"
    connection = await asyncpg.connect(postgres_server)
    try:
        await connection.execute(f"CREATE SCHEMA {schema}")
        yield f"{postgres_server}{'&' if '?' in postgres_server else '?'}search_path={schema}"
        await connection.execute(f"DROP SCHEMA {schema} CASCADE")
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """Yield the URL of a real Redis or Valkey.

    REDIS_URL, or the one of this machine, or one of our own.
    """
    for url in filter(None, [os.environ.get("REDIS_URL"), "redis://127.0.0.1:6379"]):
        if _pongs(url):
            yield url
            return
    with own_redis() as server:
        yield server.url


@define
class RedisServer:
    """A Redis of our own, to be killed, stopped, and started anew; it keeps nothing."""

    program: str
    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"redis://127.0.0.1:{self.port}"

    def restart(self) -> None:
        """Kill it, unless that is done, and start it anew and empty."""
        self.kill()
        self.process = _start_redis(self.program, self.port)

    def kill(self) -> None:
        """End it by SIGKILL."""
        self.process.kill()
        self.process.wait()


@contextmanager
def own_redis() -> Iterator[RedisServer]:
    """Run a Redis of our own on a free port; skip where none is installed."""
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        missing("Redis", "no redis-server or valkey-server is installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    server = RedisServer(program, port, _start_redis(program, port))
    try:
        yield server
    finally:
        server.kill()


def _start_redis(program: str, port: int) -> subprocess.Popen[bytes]:
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    process = subprocess.Popen(
        [program, *options], cwd=tempfile.gettempdir(), stdout=subprocess.DEVNULL
    )
    end = time.monotonic() + _SECONDS_TO_START
    while not _pongs(f"redis://127.0.0.1:{port}"):
        if time.monotonic() > end:
            process.kill()
            missing("Redis", f"our own did not answer within {_SECONDS_TO_START} s")
        time.sleep(0.02)
    return process


def _pongs(url: str) -> bool:
    try:
        with redis.Redis.from_url(url, socket_timeout=5) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def _answers(url: str) -> bool:
    async def ask() -> bool:
        try:
            connection = await asyncpg.connect(url, timeout=5)
        except (OSError, asyncpg.PostgresError, TimeoutError):
            return False
        await connection.close()
        return True

    return _run_aside(ask())


def _run_aside(work: Coroutine[object, object, T]) -> T:
    """Run in a thread: the loop of this one belongs to pytest-asyncio."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


def _program(name: str) -> str | None:
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(installed[-1]) if installed else None)


@contextmanager
def _own_postgres(initdb: str) -> Iterator[str]:
    user = (
        next((name for name in _UNPRIVILEGED if _exists(name)), None) if os.geteuid() == 0 else None
    )
    server = Path(initdb).resolve().with_name("postgres")
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        if user is not None:
            shutil.chown(folder, user)
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
        free.close()
        options = ["-D", f"{folder}/data", "-U", "postgres", "-A", "trust", "--no-sync"]
        subprocess.run(
            [initdb, *options], user=user, cwd=folder, check=True, stdout=subprocess.DEVNULL
        )
        command = [
            str(server),
            "-D",
            f"{folder}/data",
            "-p",
            port,
            "-k",
            folder,
            "-h",
            "127.0.0.1",
            "-c",
            "fsync=off",
        ]
        with subprocess.Popen(command, user=user, cwd=folder, stderr=subprocess.DEVNULL) as process:
            try:
                yield _once_up(f"postgresql://postgres@127.0.0.1:{port}/postgres")
            finally:
                process.terminate()


def _exists(user: str) -> bool:
    return any(entry.pw_name == user for entry in pwd.getpwall())


def _once_up(url: str) -> str:
    end = time.monotonic() + _SECONDS_TO_START
    while not _answers(url):
        if time.monotonic() > end:
            missing("PostgreSQL", f"our own did not answer within {_SECONDS_TO_START} s")
        time.sleep(0.1)
    return url
