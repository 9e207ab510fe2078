"""One run of a job, in each of its ways to end, against a sandbox."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from telepath_async.sandbox import Sandbox
from telepath_async.sync.database import account_lock, make_engine
from telepath_async.worker.file_store import FileStore
from telepath_async.worker.log import JobFailed
from telepath_async.worker.runner import Runner
from telepath_async.worker.status import JobStatus
from telepath_async.worker.work import Run
from tests.support.cancelling import cancel
from tests.support.totals import overstate_total
from tests.sync.tables import stored, truth
from tests.worker.running import RunnerOn, accounts_of, runner_of, until

SYNC = '[accounts.acme.sync]\ncron = "@yearly"\nsince = 2026-01-01\n'
WATCH = (
    '[accounts.acme.watch]\ncron = "@yearly"\n'
    "thresholds = {{ avg_ai_latency_ms = 1 }}\ncommand = {command}\n"
)
ROTATE = '[accounts.acme.rotate]\ncron = "@yearly"\njournal = "{journal}"\ncommand = {command}\n'
KEEP = "import sys; open(sys.argv[1], 'a').write(sys.stdin.read() + chr(10))"


@pytest.fixture
def events(caplog: pytest.LogCaptureFixture) -> Iterator[list[dict[str, Any]]]:
    found: list[dict[str, Any]] = []
    handler = logging.Handler()
    handler.emit = lambda record: found.append(json.loads(record.getMessage()))  # type: ignore[method-assign]
    logger = logging.getLogger("telepath_async.worker")
    logger.addHandler(handler)
    with caplog.at_level(logging.INFO, logger.name):
        yield found
    logger.removeHandler(handler)


def keeping(path: Path) -> str:
    return json.dumps([sys.executable, "-c", KEEP, str(path)])


async def status_of(runner: Runner, key: str) -> JobStatus:
    (status,) = await runner.store.read([key])
    assert status is not None
    return status


async def is_due(runner: Runner, key: str) -> None:
    """Let a rotation's time have come."""
    (status,) = await runner.statuses([key])
    await runner.store.write(evolve(status, next_run=datetime.now(UTC)))


async def test_a_sync_by_partitions_ends_with_the_server_s_truth(
    runner_on: RunnerOn, sandbox: Sandbox, tmp_path: Path, events: list[dict[str, Any]]
) -> None:
    runner = runner_on(SYNC + "partitions = 3")
    for part in ("1of3", "2of3", "3of3"):
        assert await runner.run("acme:sync", part) == "success"
    assert await stored(f"sqlite:///{tmp_path}/calls.db") == truth(sandbox)
    assert [(event["partition"], event["outcome"]) for event in events] == [
        ("1of3", "success"), ("2of3", "success"), ("3of3", "success"),
    ]  # fmt: skip
    assert [event["rows"] for event in events] == [
        0,
        0,
        300,
    ]  # the sandbox's calls are of the last 30 days
    assert events[0].keys() == {
        "time", "event", "account", "job", "partition", "outcome", "rows", "seconds", "worker",
    }  # fmt: skip


async def test_after_its_partitions_a_sync_goes_on_from_the_right_watermark(
    runner_on: RunnerOn, sandbox: Sandbox, tmp_path: Path
) -> None:
    runner = runner_on(SYNC + "partitions = 2")
    for part in ("1of2", "2of2"):
        assert await runner.run("acme:sync", part) == "success"
    sandbox.add_call()
    await is_due(runner, "acme:sync")
    before = len(sandbox.requests)
    assert await runner.run("acme:sync") == "success"
    assert await stored(f"sqlite:///{tmp_path}/calls.db") == truth(sandbox)
    asked = [one for one in sandbox.requests[before:] if one.path.endswith("/calls")]
    first = dict(asked[0].query)
    assert datetime.now(UTC) - datetime.fromisoformat(first["from"]) < timedelta(hours=2)


async def test_a_delivery_that_is_late_or_of_another_partition_does_nothing(
    runner_on: RunnerOn, events: list[dict[str, Any]]
) -> None:
    runner = runner_on(SYNC + "partitions = 2")
    assert await runner.run("acme:sync", "2of2") == "not due"
    for part in ("1of2", "2of2"):
        assert await runner.run("acme:sync", part) == "success"
    assert await runner.run("acme:sync", "2of2") == "not due"
    assert await runner.run("acme:sync") == "not due"
    assert len(events) == 2


async def test_a_job_that_this_worker_does_not_know_is_left_alone(
    runner_on: RunnerOn, store: FileStore, events: list[dict[str, Any]]
) -> None:
    runner = runner_on(SYNC)
    assert await runner.run("other:sync") == "unknown job"
    assert events[0]["outcome"] == "unknown job"
    assert await store.read_all() == []


async def test_what_repeating_cannot_cure_is_not_repeated(
    runner_on: RunnerOn, sandbox: Sandbox, events: list[dict[str, Any]]
) -> None:
    sandbox.fail_next(status=401)
    runner = runner_on(SYNC)
    with pytest.raises(JobFailed, match="AuthenticationError: 401"):
        await runner.run("acme:sync")
    status = await status_of(runner, "acme:sync")
    assert status.permanent
    assert status.next_run - datetime.now(UTC) > timedelta(minutes=59)
    assert await runner.run("acme:sync") == "not due"
    assert len(sandbox.requests) == 1
    assert (events[0]["outcome"], events[0]["error"]) == ("fault", status.error)


async def test_a_database_that_fails_is_tried_again_soon_and_named(
    runner_on: RunnerOn, tmp_path: Path
) -> None:
    (tmp_path / "calls.db").write_bytes(b"this is no database" * 100)
    runner = runner_on(SYNC)
    named = rf"DatabaseError: the database {tmp_path}/calls.db: \S"
    with pytest.raises(JobFailed, match=named):
        await runner.run("acme:sync")
    status = await status_of(runner, "acme:sync")
    assert (status.permanent, status.failures, status.running_since) == (False, 1, None)
    assert status.next_run - datetime.now(UTC) < timedelta(seconds=6)


async def test_a_sync_that_finds_another_one_at_work_is_due_as_before(
    runner_on: RunnerOn, tmp_path: Path, events: list[dict[str, Any]]
) -> None:
    runner = runner_on(SYNC)
    engine = make_engine(f"sqlite:///{tmp_path}/calls.db")
    async with engine.connect() as connection, account_lock(connection, "acme"):
        assert await runner.run("acme:sync") == "busy"
    await engine.dispose()
    status = await status_of(runner, "acme:sync")
    assert (status.failures, status.last_failure) == (0, None)
    assert status.next_run <= datetime.now(UTC)
    assert events[0]["error"].startswith("SyncBusy: ")


async def test_a_sync_without_more_time_keeps_its_rows_and_goes_on(
    store: FileStore, tmp_path: Path
) -> None:
    async with Sandbox(calls=3_000, latency=0.1, rate_limit=1_000_000) as sandbox:
        accounts = accounts_of(tmp_path, sandbox, SYNC)
        runner = runner_of(accounts, store, seconds={"sync": 0.3})
        outcomes = ["timed out"]
        while outcomes[-1] == "timed out":
            outcomes.append(await runner.run("acme:sync"))
            runner.seconds = {"sync": 2 * runner.seconds["sync"]}
        assert outcomes[1] == "timed out"
        assert outcomes[-1] == "success"
        assert await stored(f"sqlite:///{tmp_path}/calls.db") == truth(sandbox)


async def test_a_poll_without_more_time_has_failed(runner_on: RunnerOn, sandbox: Sandbox) -> None:
    sandbox.fail_next(delay=5.0)
    runner = runner_on(WATCH.format(command='["/bin/true"]'), seconds={"watch": 0.1})
    with pytest.raises(JobFailed, match=r"it took more than 0.1 s, and was ended"):
        await runner.run("acme:watch")


async def test_a_timeout_inside_of_a_run_is_an_ordinary_failure(runner_on: RunnerOn) -> None:
    async def times_out(run: Run, telepath: object) -> None:
        raise TimeoutError("the database took too long")

    runner = runner_on(SYNC)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "do", times_out)
        with pytest.raises(JobFailed, match="TimeoutError: the database took too long"):
            await runner.run("acme:sync")


async def test_a_run_that_is_stopped_says_so_and_is_due_as_before(
    runner_on: RunnerOn, sandbox: Sandbox, events: list[dict[str, Any]]
) -> None:
    sandbox.fail_next(delay=30.0)
    runner = runner_on(SYNC)
    begun: list[Run] = []
    running = asyncio.create_task(runner.run("acme:sync", None, begun.append))
    await until(lambda: sandbox.requests)
    await cancel(running)
    assert begun[0].account.name == "acme"
    assert events[0]["outcome"] == "stopped"
    assert (await status_of(runner, "acme:sync")).next_run <= datetime.now(UTC)


async def test_rows_that_may_have_been_missed_are_a_failure(runner_on: RunnerOn) -> None:
    from telepath_async.worker import work

    async def uncertain(*arguments: object, **options: object) -> object:
        return type("Report", (), {"inserted": 1, "updated": 0, "uncertain": 2})()

    runner = runner_on(SYNC)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(work, "sync_calls", uncertain)
        with pytest.raises(JobFailed, match="2 calls may have been missed"):
            await runner.run("acme:sync")


async def test_an_alert_is_told_once_however_often_it_is_polled(
    runner_on: RunnerOn, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.add_call(ai_latency_ms=500)
    runner = runner_on(WATCH.format(command=keeping(tmp_path / "alerts")))
    assert await runner.run("acme:watch") == "success"
    await is_due(runner, "acme:watch")
    assert await runner.run("acme:watch") == "success"
    (alert,) = (tmp_path / "alerts").read_text().splitlines()
    assert json.loads(alert)["kind"] == "crossed"
    assert (await status_of(runner, "acme:watch")).rows == 0


async def test_an_alert_that_could_not_be_told_is_told_again(
    runner_on: RunnerOn, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.add_call(ai_latency_ms=500)
    failing = runner_on(WATCH.format(command='["/bin/false"]'))
    with pytest.raises(JobFailed, match="CommandFailed: /bin/false ended with exit code 1"):
        await failing.run("acme:watch")
    mended = runner_on(WATCH.format(command=keeping(tmp_path / "alerts")))
    await is_due(mended, "acme:watch")
    assert await mended.run("acme:watch") == "success"
    assert len((tmp_path / "alerts").read_text().splitlines()) == 1


@pytest.mark.parametrize("job", ["watch", "rotate"])
async def test_a_command_that_is_gone_fails_the_run_before_anything_is_sent(
    runner_on: RunnerOn, sandbox: Sandbox, tmp_path: Path, events: list[dict[str, Any]], job: str
) -> None:
    plan = {"watch": WATCH, "rotate": ROTATE}[job]
    jobs = plan.format(journal=tmp_path / "journal", command='["/nowhere/tell-carrier"]')
    runner = runner_on(jobs)
    await is_due(runner, f"acme:{job}")
    reason = "CommandNotStarted: /nowhere/tell-carrier cannot be started: there is no such file"
    with pytest.raises(JobFailed, match=reason):
        await runner.run(f"acme:{job}")
    assert sandbox.requests == []
    assert (await status_of(runner, f"acme:{job}")).error == reason
    assert events[-1]["error"] == reason


async def test_a_rotation_whose_list_may_have_missed_trunks_is_tried_again(
    runner_on: RunnerOn, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = ROTATE.format(journal=tmp_path / "journal", command='["/bin/true"]')
    runner = runner_on(jobs)
    await is_due(runner, "acme:rotate")
    with monkeypatch.context() as patch:
        overstate_total(patch, by=2)
        with pytest.raises(JobFailed, match="2 trunks may have been missed, because the list"):
            await runner.run("acme:rotate")
    rotations = sum(request.method == "POST" for request in sandbox.requests)
    assert rotations == 3


async def test_a_rotation_gives_each_carrier_its_password_and_keeps_none(
    runner_on: RunnerOn, sandbox: Sandbox, tmp_path: Path, events: list[dict[str, Any]]
) -> None:
    journal = tmp_path / "journal"
    rotate = ROTATE.format(journal=journal, command=keeping(tmp_path / "carriers"))
    runner = runner_on(rotate)
    assert await runner.run("acme:rotate") == "not due"
    await is_due(runner, "acme:rotate")
    assert await runner.run("acme:rotate") == "success"
    told = [json.loads(line) for line in (tmp_path / "carriers").read_text().splitlines()]
    assert {item["sip_username"] for item in told} == {
        trunk["sip_username"] for trunk in sandbox.trunks.values()
    }
    assert all(sandbox.sip_login(item["sip_username"], item["sip_password"]) for item in told)
    kept = (await status_of(runner, "acme:rotate")).to_json() + json.dumps(events)
    assert not any(item["sip_password"] in kept for item in told)


async def test_a_rotation_that_carriers_refuse_is_finished_by_the_next_try_without_a_second_one(
    runner_on: RunnerOn, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def at_once(seconds: float) -> None:
        return None

    monkeypatch.setattr("telepath_async.jobs.rotation_run.asyncio.sleep", at_once)
    journal = tmp_path / "journal"
    refusing = runner_on(ROTATE.format(journal=journal, command='["/bin/false"]'))
    await is_due(refusing, "acme:rotate")
    with pytest.raises(
        JobFailed,
        match=r"3 carriers may hold a dead password, 0 trunks are untouched; .*: apply failed"
        r".* the last time with CommandFailed: /bin/false ended with exit code 1",
    ):
        await refusing.run("acme:rotate")
    rotated = {trunk_id: sandbox.sip_password(trunk_id) for trunk_id in sandbox.trunks}
    mended = runner_on(ROTATE.format(journal=journal, command=keeping(tmp_path / "carriers")))
    await is_due(mended, "acme:rotate")
    assert await mended.run("acme:rotate") == "success"
    assert rotated == {trunk_id: sandbox.sip_password(trunk_id) for trunk_id in sandbox.trunks}


async def test_what_a_wrong_clock_has_written_is_mended_in_the_store_and_logged(
    runner_on: RunnerOn, store: FileStore, tmp_path: Path, events: list[dict[str, Any]]
) -> None:
    jobs = ROTATE.format(journal=tmp_path / "journal", command='["/bin/true"]')
    runner = runner_on(SYNC + jobs)
    keys = ["acme:sync", "acme:rotate"]
    for status in await runner.statuses(keys):
        ahead = datetime.now(UTC) + timedelta(days=800)
        await store.write(evolve(status, next_run=ahead, last_success=ahead))
    mended = await runner.statuses(keys)
    assert mended[0].next_run <= datetime.now(UTC) < mended[1].next_run
    assert await store.read(keys) == mended
    assert [(event["event"], event["job"]) for event in events] == [
        ("clock was wrong", "acme:sync"), ("clock was wrong", "acme:rotate"),
    ]  # fmt: skip
    assert await runner.statuses(keys) == mended
    assert await runner.run("acme:sync") == "success"


async def test_what_a_stranger_sends_is_one_clean_line_of_the_status(runner_on: RunnerOn) -> None:
    async def fails(run: Run, telepath: object) -> None:
        raise JobFailed("conn_\x1b]0;owned\x07\x9b2J\u202e is not\nwell")

    runner = runner_on(SYNC)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "do", fails)
        with pytest.raises(JobFailed):
            await runner.run("acme:sync")
    error = (await status_of(runner, "acme:sync")).error
    assert error == "JobFailed: conn_ ]0;owned  2J  is not"
