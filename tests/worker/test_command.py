"""Test `telepath worker` and its status, as processes, with both brokers and without.

Stops, faults, and not a secret anywhere.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import redirect_stderr, redirect_stdout
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from attrs import evolve
from redis import Redis

from telepath_async import Secret
from telepath_async.cli import exits, main
from telepath_async.sandbox import Sandbox
from telepath_async.worker import HealthOptions, WorkerOptions
from telepath_async.worker.file_store import FileStore, is_served
from telepath_async.worker.status import first_status, succeeded
from tests.cli.conftest import Ended
from tests.support.terminals import HOSTILE, is_harmless
from tests.worker.processes import Workers, workers
from tests.worker.statuses import LATER, NOW, a_failure, sync_job

pytestmark = [pytest.mark.long, pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")]

KEY = "sk_live_0123456789abcdef"
DATABASE_PASSWORD = "pw-of-the-database"
STATUS = [sys.executable, "-m", "telepath_async.cli", "worker", "status"]
BOTH = """
    [accounts.acme]
    api_key_env = "ACME_KEY"
    base_url = "{base_url}"
    database_url = "sqlite:///{folder}/acme.db"
    host = "{host}"
    sync = {{ cron = "@hourly", since = 2026-01-01 }}
    [accounts.other]
    api_key_env = "OTHER_KEY"
    base_url = "{base_url}"
    database_url_env = "OTHER_DB"
    sync = {{ cron = "@hourly" }}
"""


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(calls=300, api_key=KEY, rate_limit=1_000_000) as sandbox:
        yield sandbox


@pytest.fixture
def accounts(sandbox: Sandbox, tmp_path: Path) -> Path:
    path = tmp_path / "accounts.toml"
    path.write_text(
        BOTH.format(base_url=sandbox.base_url, folder=tmp_path, host=os.uname().nodename)
    )
    return path


@pytest.fixture
def secrets(postgres_server: str) -> dict[str, str]:
    """One account that works, and one whose key and database do not."""
    return {
        "ACME_KEY": KEY,
        "OTHER_KEY": "sk_live_wrong_key",
        "OTHER_DB": f"postgresql://nobody:{DATABASE_PASSWORD}@127.0.0.1:1/none",
    }


def events(fleet: Workers) -> list[dict[str, Any]]:
    return [json.loads(line) for line in fleet.log.read_text().splitlines() if line.startswith("{")]


async def logged(fleet: Workers, number: int, **wanted: object) -> None:
    """Wait for so many lines like this."""
    end = time.monotonic() + 40
    while sum(wanted.items() <= event.items() for event in events(fleet)) < number:
        assert time.monotonic() < end, fleet.log.read_text()[-3000:]
        await asyncio.sleep(0.1)


async def status(*arguments: str) -> list[dict[str, Any]]:
    process = await asyncio.create_subprocess_exec(
        *STATUS, *arguments, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return [json.loads(line) for line in out.splitlines()]


async def everything_in(broker_arguments: list[str]) -> str:
    """Whatever the broker holds, as one text."""
    option, url = broker_arguments
    if option == "--redis":
        with Redis.from_url(url) as redis:
            return repr([(key, redis.dump(key), value_of(redis, key)) for key in redis.scan_iter()])
    server, _, schema = url.rpartition("?options=-csearch_path%3D")
    connection = await asyncpg.connect(server)
    tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = $1", schema)
    rows = [await connection.fetch(f'SELECT * FROM {schema}."{table[0]}"') for table in tables]
    await connection.close()
    return repr([[tuple(row) for row in table] for table in rows])


def value_of(redis: Redis, key: Any) -> object:
    kind = redis.type(key)
    read: Any = {
        b"string": redis.get, b"hash": redis.hgetall, b"list": lambda key: redis.lrange(key, 0, -1),
        b"zset": lambda key: redis.zrange(key, 0, -1),
    }[kind]  # type: ignore[index]  # fmt: skip
    return read(key)


async def test_a_fleet_stops_in_time_shows_its_jobs_and_keeps_its_secrets(
    broker_arguments: list[str],
    accounts: Path,
    secrets: dict[str, str],
    tmp_path: Path,
    sandbox: Sandbox,
) -> None:
    sandbox.fail_next(delay=60.0, path="/calls")  # the sync of acme, or the refusal of other
    arguments = ["--accounts", str(accounts), *broker_arguments]
    async with workers(tmp_path, arguments, **secrets) as fleet:
        await fleet.start(0)
        await logged(fleet, 2, event="begun")
        while not sandbox.requests:
            await asyncio.sleep(0.05)
        begun = time.monotonic()
        await fleet.say("stop", 0)
        assert await fleet.end("wait", 0) == 0
        assert time.monotonic() - begun < 10
        assert {"queued"} <= {job["state"] for job in await status(*broker_arguments)}
        await fleet.start(1)
        await logged(fleet, 1, event="job", account="acme", outcome="success")
        await logged(fleet, 1, event="job", account="other", outcome="failure")
        acme, other = await status(*broker_arguments)
        assert (acme["state"], acme["rows"], acme["error"]) == ("waiting", 300, None)
        assert other["failures"] >= 1
        assert other["error"].startswith(("ConnectionRefusedError", "OSError"))
        kept = await everything_in(broker_arguments)
        await fleet.say("stop", 1)
        assert await fleet.end("wait", 1) == 0
        said = kept + fleet.log.read_text() + json.dumps([acme, other])
    assert "acme" in kept
    assert not any(secret in said for secret in (KEY, "sk_live_wrong_key", DATABASE_PASSWORD))


def test_the_command_runs_until_a_signal(
    accounts: Path, secrets: dict[str, str], tmp_path: Path
) -> None:
    def stop_soon() -> None:
        end = time.monotonic() + 30
        while time.monotonic() < end:
            if is_served(f"{accounts}.state"):
                os.kill(os.getpid(), signal.SIGTERM)
                return
            time.sleep(0.05)

    accounts.write_text(accounts.read_text().replace("OTHER_DB", "ACME_DB"))
    stopping = threading.Thread(target=stop_soon)
    stopping.start()
    before = signal.getsignal(signal.SIGTERM)
    result = invoke(
        "--accounts", str(accounts), **secrets, ACME_DB=f"sqlite:///{tmp_path}/other.db"
    )
    stopping.join()
    assert result.code == 0
    assert [
        json.loads(line)["event"]
        for line in (result.out.splitlines()[0], result.out.splitlines()[-1])
    ] == ["start", "stop"]
    assert signal.getsignal(signal.SIGTERM) is before


async def test_without_a_broker_the_same_jobs_run_and_a_restart_goes_on(
    accounts: Path, secrets: dict[str, str], tmp_path: Path
) -> None:
    arguments = ["--accounts", str(accounts)]
    async with workers(tmp_path, arguments, **secrets) as fleet:
        await fleet.start(0)
        await logged(fleet, 1, event="job", account="acme", outcome="success")
        assert await fleet.end("kill", 0) == -9
        await fleet.start(1)
        await logged(fleet, 2, event="job", account="other", outcome="failure")
        await fleet.start(2)
        assert await fleet.end("wait", 2) == exits.CONFLICT
        acme, other = await status(*arguments)
        assert (acme["state"], acme["rows"]) == ("waiting", 300)
        assert other["failures"] >= 2
        await fleet.say("stop", 1)
        assert await fleet.end("wait", 1) == 0
        assert sum(event.get("account") == "acme" for event in events(fleet)) == 1
        said = fleet.log.read_text()
    assert "another worker runs on" in said
    assert [secret for secret in secrets.values() if secret in said] == []


def invoke(*arguments: str, **environment: str) -> Ended:
    """Run `telepath worker` in this process."""
    out, err = TextIOWrapper(BytesIO()), StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        for name, value in environment.items():
            patch.setenv(name, value)
        code = main(["worker", *arguments])
    out.flush()
    return Ended(code, out.buffer.getvalue().decode(), err.getvalue())  # type: ignore[attr-defined]


def test_faults_of_the_file_end_the_command_with_2(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("[accounts.a]\n")
    result = invoke("--accounts", str(tmp_path / "a.toml"))
    assert result.code == 2
    assert "error: " in result.err
    assert "accounts.a.api_key_env" in result.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["status", "--accounts", "/nowhere/a.toml"], "there is no /nowhere/a.toml.state"),
        (
            ["status", "--redis", "redis://h", "--postgres", "postgresql://h/d"],
            "a fleet has one broker",
        ),
        (["status", "--redis", "redis://127.0.0.1:1"], "the broker cannot be reached"),
        (["--web", "0"], "--web shows a broker's queues"),
        (
            ["--redis", "redis://:secret@127.0.0.1:1"],
            "can read the password in --redis: set its variable",
        ),
    ],
)
def test_what_cannot_be_done_is_said(arguments: list[str], said: str) -> None:
    result = invoke(*arguments)
    assert said in result.err
    assert "secret@" not in result.err


def test_a_password_from_the_environment_needs_no_warning(tmp_path: Path) -> None:
    result = invoke(
        "--accounts", str(tmp_path / "none"), TELEPATH_WORKER_REDIS="redis://:secret@127.0.0.1:1"
    )
    assert "warning" not in result.err


def test_what_the_command_is_given_reaches_the_worker(
    accounts: Path, secrets: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[WorkerOptions] = []

    async def run(*_: object, options: WorkerOptions, **__: object) -> None:
        given.append(options)

    monkeypatch.setattr("telepath_async.worker.run_worker", run)
    broker = ["--redis", "redis://h", "--limiter-redis", "redis://l", "--expected-processes", "2"]
    result = invoke(
        "--accounts",
        str(accounts),
        *broker,
        "--concurrency",
        "3",
        "--web",
        "0",
        "--otel",
        **secrets,
    )
    assert (result.code, result.err) == (0, "")
    limiter = Secret("redis://l")
    assert given == [
        WorkerOptions(concurrency=3, limiter_redis=limiter, expected_processes=2, web=0, otel=True)
    ]


@pytest.mark.parametrize(
    ("given", "host", "port"),
    [("9090", "127.0.0.1", 9090), ("0.0.0.0:0", "0.0.0.0", 0), ("[::1]:65535", "::1", 65_535)],
)
def test_the_address_of_the_health_reaches_the_worker(
    accounts: Path,
    secrets: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    given: str,
    host: str,
    port: int,
) -> None:
    options: list[WorkerOptions] = []

    async def run(*_: object, **given: Any) -> None:
        options.append(given["options"])

    monkeypatch.setattr("telepath_async.worker.run_worker", run)
    arguments = ["--redis", "redis://h", "--health", given, "--late-after", "30"]
    assert invoke("--accounts", str(accounts), *arguments, **secrets).code == 0
    assert options[0].health == HealthOptions(host=host, port=port, late_after_minutes=30)


@pytest.mark.parametrize("address", ["http", "127.0.0.1:", "1:65536", "-1", "٣"])
def test_an_address_that_is_none_is_refused(
    accounts: Path, secrets: dict[str, str], address: str
) -> None:
    result = invoke("--accounts", str(accounts), f"--health={address}", **secrets)
    assert (result.code, result.out) == (exits.USAGE, "")
    assert "--health must be a port, or HOST:PORT" in result.err


def test_a_failure_of_any_kind_is_one_line_and_has_its_exit_code(
    accounts: Path, secrets: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a\x1b[2Jbug")

    monkeypatch.setattr("telepath_async.worker.run_worker", run)
    arguments = ["--accounts", str(accounts), "--redis", "redis://h"]
    result = invoke(*arguments, **secrets)
    said = "error: ZeroDivisionError: a·[2Jbug (--debug shows where)\n"
    assert (result.code, result.err) == (exits.FAILED, said)
    assert "Traceback" in invoke(*arguments, "--debug", **secrets).err
    assert invoke("status", "--redis", "redis://127.0.0.1:1").code == exits.FAILED


def test_a_second_signal_ends_what_does_not_stop(
    accounts: Path, secrets: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run(*_: object, stop: asyncio.Event, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await stop.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(60)

    monkeypatch.setattr("telepath_async.worker.run_worker", run)
    result = invoke("--accounts", str(accounts), "--redis", "redis://h", **secrets)
    assert result.code == exits.SIGNALLED + signal.SIGTERM


async def test_the_status_of_a_hostile_server_s_trunk_drives_no_terminal(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    hostile = f"E: conn_{HOSTILE} is not well"
    store = FileStore(str(tmp_path / "state"))
    await store.write(evolve(a_failure(first_status(sync_job(), NOW)), error=hostile))
    store.close()
    for form in ("--table", "--json"):
        result = await asyncio.to_thread(
            subprocess.run,
            [*STATUS, form, "--state", str(tmp_path / "state")],
            capture_output=True, check=True, text=True,
        )  # fmt: skip
        assert is_harmless(result.stdout)
        assert "is not well" in result.stdout


def test_the_status_is_a_table_for_people(tmp_path: Path) -> None:
    state = tmp_path / "state"
    store = FileStore(str(state))
    job = sync_job(partitions=3)
    done = succeeded(first_status(job, NOW), job, LATER, rows=1234, seconds=1.0)
    asyncio.run(store.write(a_failure(done, job=job)))
    asyncio.run(store.write(evolve(done, account="other")))
    store.close()
    result = invoke("status", "--table", "--state", str(state), COLUMNS="100")
    lines = result.out.splitlines()
    titles = "account job state next run (UTC) last success rows last failure"
    assert " ".join(lines[0].split()) == titles
    assert lines[1].split() == [
        "acme", "sync", "2of3", "overdue", "06-01", "12:03:15", "06-01", "12:03:10", "7", "06-01",
        "12:03:10",
    ]  # fmt: skip
    assert lines[2].split()[0] == "other"
    assert lines[3:] == ["acme:sync: E: no"]
    result = invoke("status", "--json", "--state", str(state))
    acme, other = map(json.loads, result.out.splitlines())
    assert (acme["partition"], acme["error"], other["next_run"]) == (
        "2of3", "E: no", LATER.isoformat(),
    )  # fmt: skip
