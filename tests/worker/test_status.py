"""How a job stands after each way to end, and when it is due again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from telepath_async import Secret
from telepath_async.worker.accounts import Account, Job, RotatePlan
from telepath_async.worker.report import report_jobs
from telepath_async.worker.status import (
    current,
    distrust,
    end_of_part,
    failed,
    first_status,
    read_status,
    started,
    succeeded,
    timed_out,
    tried_for,
)
from tests.worker.statuses import LATER, NOW, a_failure, sync_job


def rotate_job() -> Job:
    plan = RotatePlan(cron="0 3 1 * *", journal="/j", command=("/c",))
    return Job(
        Account(name="acme", api_key=Secret("sk_1"), key_id="1f", host="h1", rotate=plan), "rotate"
    )


def test_a_sync_that_nobody_has_run_is_due_at_once_and_a_rotation_at_its_time() -> None:
    assert first_status(sync_job(), NOW).next_run == NOW
    rotation = first_status(rotate_job(), NOW)
    assert rotation.next_run == datetime(2026, 7, 1, 3, tzinfo=UTC)
    assert rotation.host == "h1"


def test_a_success_waits_for_the_next_time_and_forgets_the_failures_before() -> None:
    before = started(a_failure(started(first_status(sync_job(), NOW), NOW)), LATER)
    after = succeeded(before, sync_job(), LATER, rows=5, seconds=1.5)
    assert after.next_run == datetime(2026, 6, 1, 12, 5, tzinfo=UTC)
    assert (after.last_success, after.last_failure) == (LATER, LATER)
    assert (after.error, after.failures, after.rows, after.seconds) == (None, 0, 5, 1.5)
    assert (after.running_since, after.began) == (None, None)


def test_the_state_of_the_alerts_outlives_a_run_that_has_none() -> None:
    told = succeeded(
        first_status(sync_job(), NOW), sync_job(), NOW, rows=0, seconds=0.1, alerts="{}"
    )
    assert told.alerts == "{}"
    assert succeeded(told, sync_job(), NOW, rows=0, seconds=0.1).alerts == "{}"


def test_failures_are_tried_again_later_and_later() -> None:
    status, waits = started(first_status(sync_job(), NOW), NOW), []
    for _ in range(12):
        status = a_failure(status)
        waits.append((status.next_run - LATER).total_seconds())
    assert waits == [5, 10, 20, 40, 80, 160, 320, 640, 900, 900, 900, 900]
    assert (status.failures, status.error, status.rows) == (12, "E: no", 7)
    assert status.last_failure == LATER
    assert status.began == NOW
    early = a_failure(first_status(sync_job(), NOW), jitter=1.0)
    assert early.next_run == LATER + timedelta(seconds=2.5)


def test_a_hundred_thousand_failures_are_no_overflow() -> None:
    status = a_failure(evolve(first_status(sync_job(), NOW), failures=100_000))
    assert status.next_run == LATER + timedelta(minutes=15)


def test_what_repeating_cannot_cure_waits_for_an_hour() -> None:
    status = a_failure(started(first_status(sync_job(), NOW), NOW), permanent=True)
    assert status.next_run == datetime(2026, 6, 1, 13, 5, tzinfo=UTC)
    assert (status.permanent, status.began) == (True, None)


def test_a_run_without_more_time_goes_on_at_once() -> None:
    status = timed_out(started(first_status(sync_job(), NOW), NOW), LATER, rows=9, seconds=900.0)
    assert (status.next_run, status.rows, status.failures) == (LATER, 9, 0)
    assert status.running_since is None


def test_the_partitions_of_a_first_sync_follow_each_other_at_once() -> None:
    job = sync_job(partitions=3)
    status, parts = first_status(job, NOW), []
    while status.part is not None:
        parts.append((status.part_name, end_of_part(status, job.account.sync)))  # type: ignore[arg-type]
        assert status.next_run == NOW
        status = succeeded(started(status, NOW), job, NOW, rows=1, seconds=1.0)
    until = NOW.replace(microsecond=0)
    third = timedelta(days=31, hours=12, minutes=2, seconds=30) / 3
    since = datetime(2026, 5, 1, tzinfo=UTC)
    assert parts == [("1of3", since + third), ("2of3", since + 2 * third), ("3of3", until)]
    assert status.next_run == datetime(2026, 6, 1, 12, 5, tzinfo=UTC)
    assert end_of_part(status, job.account.sync) is None  # type: ignore[arg-type]


@given(st.integers(2, 1000), st.timedeltas(timedelta(0), timedelta(days=4000)))
def test_partitions_lie_side_by_side_from_the_beginning_to_the_end(
    partitions: int, span: timedelta
) -> None:
    since = NOW - span
    job = sync_job(partitions=partitions, since=since)
    status = first_status(job, NOW)
    plan = job.account.sync
    assert plan is not None
    ends = [end_of_part(evolve(status, parts_done=done), plan) for done in range(partitions)]
    assert ends == sorted(end for end in ends if end is not None)
    assert ends[-1] is not None
    assert timedelta(0) <= NOW - ends[-1] < timedelta(seconds=2) or ends[-1] == since


def test_without_partitions_a_sync_goes_up_to_the_present() -> None:
    job = sync_job()
    assert first_status(job, NOW).part_name is None
    assert end_of_part(first_status(job, NOW), job.account.sync) is None  # type: ignore[arg-type]


def test_a_status_survives_its_json() -> None:
    status = a_failure(started(first_status(sync_job(partitions=3), NOW), NOW), permanent=True)
    assert read_status(status.to_json()) == status
    assert read_status(status.to_json().replace("{", '{"of_a_later_version": 1, ', 1)) == status


def test_all_faults_of_a_status_are_named() -> None:
    text = '{"account": "acme", "job": "walk", "plan": "p", "next_run": "soon", "failures": "3"}'
    with pytest.raises(ValueError, match="expected") as raised:
        read_status(text)
    assert str(raised.value).split("; ") == [
        "$.job: expected one of 'sync', 'watch', 'rotate'",
        "$.next_run: expected an ISO 8601 time",
        "$.failures: expected int, got str",
    ]


def test_an_unchanged_plan_changes_nothing() -> None:
    status = first_status(sync_job(), NOW)
    assert current(status, sync_job(), LATER) is status


def test_a_changed_plan_waits_for_its_own_time_and_begins_its_partitions_anew() -> None:
    job = sync_job(partitions=2)
    status = succeeded(first_status(job, NOW), job, NOW, rows=3, seconds=1.0)
    changed = sync_job(partitions=4, cron="0 * * * *")
    after = current(status, changed, LATER)
    assert (after.plan, after.parts, after.parts_done) == (changed.plan, 4, 0)
    assert after.next_run == datetime(2026, 6, 1, 13, tzinfo=UTC)
    assert (after.last_success, after.rows) == (NOW, 3)
    unrun = current(first_status(job, NOW), changed, LATER)
    assert unrun.next_run == datetime(2026, 6, 1, 13, tzinfo=UTC)


def test_a_changed_plan_lets_a_fault_be_tried_at_once() -> None:
    after = current(
        a_failure(first_status(sync_job(), NOW), permanent=True), sync_job(cron="@daily"), LATER
    )
    assert (after.next_run, after.permanent) == (LATER, False)


def test_what_failed_is_tried_again_as_soon_under_a_changed_plan() -> None:
    status = a_failure(started(first_status(rotate_job(), NOW), NOW), job=rotate_job())
    changed = evolve(rotate_job(), account=evolve(rotate_job().account, key_id="2f"))
    after = current(status, changed, LATER)
    assert (after.next_run, after.began, after.failures) == (status.next_run, NOW, 1)
    ahead = current(evolve(status, next_run=NOW + YEAR), changed, LATER)
    assert ahead.next_run == LATER + timedelta(minutes=15)


def test_a_plan_changes_with_the_key_the_server_and_the_database_but_not_with_a_password() -> None:
    plans = {sync_job().plan}
    account = sync_job().account
    assert account.sync is not None
    for changes in ({"key_id": "2f"}, {"base_url": "http://127.0.0.1/v1"}):
        plans.add(Job(evolve(account, **changes), "sync").plan)
    for url in ("postgresql://u:pw@h/e", "postgresql://u:other@h/d"):
        plans.add(
            Job(evolve(account, sync=evolve(account.sync, database_url=Secret(url))), "sync").plan
        )
    assert len(plans) == 4


def test_a_report_tells_what_each_job_is_doing(tmp_path: Path) -> None:
    base = succeeded(first_status(sync_job(), NOW), sync_job(), NOW, rows=3, seconds=1.0)
    jobs = {name: evolve(base, account=name) for name in ("a", "b", "c", "d", "e", "f")}
    jobs["c"] = evolve(jobs["c"], next_run=NOW - timedelta(seconds=61))
    jobs["d"] = evolve(a_failure(jobs["d"]), next_run=NOW)
    jobs["e"] = a_failure(jobs["e"], permanent=True)
    reports = report_jobs(reversed(jobs.values()), {"a:sync": "running", "b:sync": "queued"}, NOW)
    assert [(report.status.account, report.state) for report in reports] == [
        ("a", "running"), ("b", "queued"), ("c", "overdue"), ("d", "failed"), ("e", "fault"),
        ("f", "waiting"),
    ]  # fmt: skip
    told = reports[4].to_dict()
    assert told["state"] == "fault"
    assert told["error"] == "E: no"
    assert told["next_run"] == "2026-06-01T13:05:00+00:00"
    assert told["partition"] is None


@pytest.mark.parametrize("name", ["plan", "alerts", "first_until", "began"])
def test_a_report_leaves_out_what_is_ours(name: str) -> None:
    (report,) = report_jobs([first_status(sync_job(), NOW)], {}, NOW)
    assert name not in report.to_dict()


def test_a_run_a_little_early_does_not_bring_its_moment_again() -> None:
    due = datetime(2026, 6, 1, 12, 5, tzinfo=UTC)
    early, before = due - timedelta(seconds=3), evolve(first_status(sync_job(), NOW), next_run=due)
    after = succeeded(before, sync_job(), early, rows=0, seconds=0.1)
    assert after.next_run == due + timedelta(minutes=5)


YEAR = timedelta(days=400)


@pytest.mark.parametrize("job", [sync_job(), rotate_job()], ids=["sync", "rotate"])
def test_no_moment_that_a_clock_ahead_has_written_is_waited_for(job: Job) -> None:
    ahead = NOW + YEAR
    first = started(first_status(job, ahead), ahead)
    for status in (
        first,
        succeeded(first, job, ahead, rows=1, seconds=1.0),
        failed(first, job, ahead, error="E", permanent=True, rows=1, seconds=1.0, jitter=0.0),
    ):
        after = distrust(status, job, NOW)
        assert after.next_run == first_status(job, NOW).next_run
        assert after.first_until == first_status(job, NOW).first_until
        assert (after.running_since, after.began) == (None, None)
        assert (after.last_success, after.last_failure) == (None, None)
        assert (after.rows, after.error, after.failures) == (
            status.rows, status.error, status.failures,
        )  # fmt: skip


@pytest.mark.parametrize("cron", ["* * * * *", "*/5 * * * *", "@hourly", "@yearly"])
def test_every_moment_that_a_right_clock_has_written_is_kept(cron: str) -> None:
    job = sync_job(cron=cron, partitions=2)
    first = started(first_status(job, NOW), NOW)
    early = evolve(first, parts=1, next_run=NOW + timedelta(seconds=5))
    for status in (
        first,
        succeeded(first, job, NOW, rows=1, seconds=1.0),
        succeeded(early, job, NOW, rows=1, seconds=1.0),
        timed_out(first, NOW, rows=1, seconds=1.0),
        *(
            failed(
                evolve(first, failures=failures), job, NOW, error="E", permanent=permanent,
                rows=1, seconds=1.0, jitter=0.0,
            )
            for failures in (0, 20)
            for permanent in (False, True)
        ),
    ):  # fmt: skip
        for seconds in (0, -30, 60):  # clocks differ, and time goes on
            assert distrust(status, job, NOW + timedelta(seconds=seconds)) is status


def test_a_pause_is_explained_by_a_failure_alone() -> None:
    job = sync_job(cron="* * * * *")
    soon = evolve(first_status(job, NOW), next_run=NOW + timedelta(minutes=3))
    assert distrust(soon, job, NOW).next_run == NOW
    assert distrust(evolve(soon, failures=1), job, NOW).next_run == soon.next_run
    later = evolve(soon, failures=1, next_run=NOW + timedelta(minutes=40))
    assert distrust(later, job, NOW).next_run == NOW
    assert distrust(evolve(later, permanent=True), job, NOW).next_run == later.next_run


def test_the_partitions_that_are_left_keep_their_borders_when_only_the_next_run_is_wrong() -> None:
    job = sync_job(partitions=3)
    status = succeeded(first_status(job, NOW), job, NOW, rows=1, seconds=1.0)
    after = distrust(evolve(status, next_run=NOW + YEAR), job, LATER)
    assert (after.first_until, after.parts_done) == (status.first_until, 1)
    assert after.next_run == LATER


def test_a_next_run_of_another_plan_is_left_to_the_change_of_plan() -> None:
    status = succeeded(
        first_status(sync_job(cron="@yearly"), NOW), sync_job(cron="@yearly"), NOW, rows=1,
        seconds=1.0,
    )  # fmt: skip
    changed = sync_job(cron="* * * * *")
    assert distrust(status, changed, NOW) is status
    assert current(status, changed, NOW).next_run < NOW + timedelta(minutes=1)


def test_a_plan_that_changes_before_a_rotation_s_first_run_keeps_its_time() -> None:
    status = first_status(rotate_job(), NOW)
    changed = evolve(rotate_job(), account=evolve(rotate_job().account, key_id="2f"))
    due = datetime(2026, 7, 1, 3, tzinfo=UTC)
    assert current(status, changed, NOW).next_run == due
    assert current(status, changed, due + timedelta(seconds=1)).next_run == due


def test_a_rotation_has_been_tried_since_its_latest_scheduled_time_at_most() -> None:
    job = rotate_job()
    status = first_status(job, NOW)
    now = datetime(2026, 7, 1, 3, 30, tzinfo=UTC)
    assert tried_for(status, job, now) == timedelta(0)
    begun = evolve(status, began=now - timedelta(minutes=20))
    assert tried_for(begun, job, now) == timedelta(minutes=20)
    of_1970 = evolve(status, began=datetime(1970, 1, 1, tzinfo=UTC))
    assert tried_for(of_1970, job, now) == timedelta(minutes=30)
    of_2028 = evolve(status, began=now + YEAR)
    assert tried_for(of_2028, job, now) == timedelta(0)
