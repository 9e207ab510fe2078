"""Test rotation against a sandbox: lost answers, failing carriers, the circuit, the report."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import traceback
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field

from telepath_async import NotFoundError, Secret, SipCredentials, TelepathClient, Trunk, UsageError
from telepath_async.jobs import JournalBusy, RotationReport, rotate_passwords
from telepath_async.jobs.commands import CommandNotStarted, run_command
from telepath_async.jobs.journal import Journal
from telepath_async.jobs.ledger import Entry
from telepath_async.sandbox import Sandbox
from tests.support.cancelling import cancel
from tests.support.clients import posts
from tests.support.totals import overstate_total

ROTATE = "/trunks/{id}/rotate-sip-password"


@define
class Carrier:
    """Takes passwords; `refuse[username]`: how often it says no before."""

    refuse: dict[str, int] = field(factory=dict)
    passwords: dict[str, str] = field(factory=dict, repr=False)
    asked: list[str] = field(factory=list)

    async def apply(self, credentials: SipCredentials) -> None:
        assert credentials.sip_username is not None
        self.asked.append(credentials.sip_username)
        left = self.refuse.get(credentials.sip_username, 0)
        if left:
            self.refuse[credentials.sip_username] = left - 1
            raise ConnectionError(f"the carrier refused {credentials.sip_password.reveal()}")
        self.passwords[credentials.sip_username] = credentials.sip_password.reveal()

    def locked_out(self, sandbox: Sandbox) -> list[str]:
        """Return the users whose password here is not the one at the server."""
        return [
            name
            for name, password in self.passwords.items()
            if not sandbox.sip_login(name, password)
        ]


@pytest.fixture
def carrier() -> Carrier:
    return Carrier()


@pytest.fixture
def rotate(
    telepath: TelepathClient, carrier: Carrier, journal: Path
) -> Callable[..., Awaitable[RotationReport]]:
    async def run(trunks: Any = None, apply: Any = None, **options: Any) -> RotationReport:
        trunks = telepath.trunks.list() if trunks is None else trunks
        return await rotate_passwords(
            telepath, trunks, apply or carrier.apply, journal, **{"backoff": 0.0001, **options}
        )

    return run


Rotate = Callable[..., Awaitable[RotationReport]]


def names(sandbox: Sandbox) -> dict[str, str]:
    return {trunk["sip_username"]: trunk_id for trunk_id, trunk in sandbox.trunks.items()}


async def test_every_trunk_gets_a_password_that_its_carrier_knows(
    sandbox: Sandbox, carrier: Carrier, rotate: Rotate
) -> None:
    report = await rotate()
    assert report.complete
    assert set(report.rotated) == set(report.applied) == set(sandbox.trunks)
    assert (report.pending, report.untouched, report.recent) == ((), (), ())
    assert carrier.locked_out(sandbox) == []


async def test_until_a_first_carrier_has_its_password_trunks_go_one_by_one(
    sandbox: Sandbox, carrier: Carrier, rotate: Rotate
) -> None:
    under_way, most = 0, []

    async def apply(credentials: SipCredentials) -> None:
        nonlocal under_way
        under_way += 1
        await asyncio.sleep(0.02)
        most.append((len(carrier.passwords), under_way))
        under_way -= 1
        if len(most) == 1:
            raise ConnectionError
        await carrier.apply(credentials)

    report = await rotate(apply=apply, concurrency=3, attempts=1)
    assert len(report.pending) == 1
    assert {count for applied, count in most if not applied} == {1}


async def test_a_command_that_cannot_be_started_costs_one_password(
    sandbox: Sandbox, rotate: Rotate
) -> None:
    async def apply(credentials: SipCredentials) -> None:
        await run_command(["/nonexistent/tell-carrier"], Secret("{}"))

    report = await rotate(apply=apply, attempts=4)
    assert posts(sandbox) == len(report.pending) == 1
    assert report.pending[0].why == (
        "apply failed 1 times, the last time with CommandNotStarted: /nonexistent/tell-carrier "
        "cannot be started: No such file or directory"
    )
    assert len(report.untouched) == len(sandbox.trunks) - 1


async def test_trunks_are_given_as_a_list_an_iterator_or_ids(
    sandbox: Sandbox, telepath: TelepathClient, rotate: Rotate
) -> None:
    first, second, third = await telepath.trunks.list().collect()
    assert (await rotate([first, second.id])).applied == (first.id, second.id)
    assert (await rotate(iter([third]))).applied == (third.id,)
    assert (await rotate([])).complete


async def test_after_a_run_the_journal_holds_no_password(
    sandbox: Sandbox, journal: Path, rotate: Rotate
) -> None:
    await rotate()
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    assert {line["state"] for line in lines} == {"finished"}
    assert [
        trunk_id
        for trunk_id in sandbox.trunks
        if sandbox.sip_password(trunk_id) in journal.read_text()
    ] == []


async def test_the_password_is_in_the_journal_when_the_carrier_is_told(
    journal: Path, rotate: Rotate
) -> None:
    async def apply(credentials: SipCredentials) -> None:
        assert credentials.sip_password.reveal() in journal.read_text()

    assert (await rotate(apply=apply)).complete


async def test_a_trunk_that_was_finished_recently_is_left_alone(
    sandbox: Sandbox, rotate: Rotate
) -> None:
    await rotate()
    again = await rotate()
    assert (set(again.recent), again.applied, again.complete) == (set(sandbox.trunks), (), True)
    assert posts(sandbox) == 3
    assert len((await rotate(not_again_within=timedelta(0))).rotated) == 3


async def test_a_journal_of_a_clock_that_was_wrong_keeps_no_trunk_from_being_rotated(
    sandbox: Sandbox, journal: Path, rotate: Rotate
) -> None:
    await rotate()
    journal.write_text(journal.read_text().replace('"at":"2', '"at":"3'))
    assert len((await rotate()).applied) == 3


async def test_what_has_to_be_applied_comes_before_what_is_in_doubt_and_both_before_what_is_new(
    carrier: Carrier, sandbox: Sandbox, rotate: Rotate
) -> None:
    first, second, third = names(sandbox)
    sandbox.fail_next(drop="after", path=ROTATE)
    await rotate([names(sandbox)[first]], attempts=1)
    carrier.refuse[second] = 1
    sandbox.fail_next(drop="after", path=ROTATE)
    await rotate([names(sandbox)[second]], attempts=1, concurrency=1)
    carrier.asked.clear()
    await rotate(concurrency=1)
    assert carrier.asked == [second, first, third]


async def test_a_carrier_that_fails_is_asked_again(
    carrier: Carrier, sandbox: Sandbox, rotate: Rotate
) -> None:
    name = next(iter(names(sandbox)))
    carrier.refuse[name] = 3
    assert (await rotate()).complete
    assert carrier.asked.count(name) == 4


async def test_a_carrier_that_goes_on_failing_is_pending_and_is_told_by_the_next_run(
    carrier: Carrier, sandbox: Sandbox, journal: Path, rotate: Rotate
) -> None:
    name, trunk_id = next(iter(names(sandbox).items()))
    carrier.refuse[name] = 5
    report = await rotate()
    (pending,) = report.pending
    assert (pending.trunk_id, pending.sip_username) == (trunk_id, name)
    assert pending.why == "apply failed 4 times, the last time with ConnectionError"
    assert len(report.applied) == 2
    assert not report.complete
    assert journal.read_text().count("sip_password") == 1

    report = await rotate([])  # it is finished although nobody asks for it
    assert (report.rotated, report.applied, report.complete) == ((), (trunk_id,), True)
    assert sandbox.sip_login(name, carrier.passwords[name])
    assert posts(sandbox) == 3


async def test_a_carrier_that_never_answers_is_given_up(rotate: Rotate, sandbox: Sandbox) -> None:
    async def apply(credentials: SipCredentials) -> None:
        await asyncio.Event().wait()

    report = await rotate(list(sandbox.trunks)[:1], apply, apply_timeout=0.001, attempts=2)
    assert report.pending[0].why == "apply failed 2 times, the last time with TimeoutError"


async def test_what_earlier_runs_left_behind_counts_as_failed_too(
    carrier: Carrier, sandbox: Sandbox, rotate: Rotate
) -> None:
    carrier.refuse = dict.fromkeys(names(sandbox), 10**6)
    broken = list(sandbox.trunks)
    well = sandbox.add_trunk()["sip_username"]
    trunks = [*broken, names(sandbox)[well]]
    for _ in range(2):
        report = await rotate(trunks, attempts=1, stop_after=3, concurrency=1)
        assert [trunk.trunk_id for trunk in report.untouched] == trunks[3:]
    report = await rotate(trunks, attempts=1, stop_after=4, concurrency=1)
    assert len(report.pending) == 3
    assert list(carrier.passwords) == [well]


async def test_a_command_that_is_gone_in_the_middle_of_a_run_is_not_tried_again_and_ends_it(
    sandbox: Sandbox, rotate: Rotate
) -> None:
    asked: list[str | None] = []

    async def apply(credentials: SipCredentials) -> None:
        asked.append(credentials.id)
        if len(asked) > 1:
            raise CommandNotStarted("tell-carrier cannot be started: there is no such program")

    report = await rotate(apply=apply, concurrency=1)
    assert asked == list(sandbox.trunks)[:2]
    assert [trunk.trunk_id for trunk in report.pending] == asked[1:]
    assert len(report.untouched) == 1
    assert "no such program" in report.pending[0].why


async def test_the_run_stops_before_more_trunks_are_locked_out(
    carrier: Carrier, sandbox: Sandbox, rotate: Rotate
) -> None:
    for _ in range(7):
        sandbox.add_trunk()
    carrier.refuse = dict.fromkeys(names(sandbox), 10**6)
    report = await rotate(attempts=2, stop_after=2, concurrency=3)
    assert 2 <= len(report.pending) <= 2 + 3 - 1
    assert len(report.pending) + len(report.untouched) == 10
    assert {trunk.why for trunk in report.untouched} == {
        "not reached: others failed first; mend those, or raise stop_after"
    }
    assert posts(sandbox) == len(report.pending)

    report = await rotate(attempts=2, stop_after=2, concurrency=1)  # the carrier is still down
    assert posts(sandbox) == len(report.pending)
    assert len(report.untouched) == 10 - len(report.pending)

    carrier.refuse.clear()
    assert (await rotate(stop_after=2)).complete
    assert carrier.locked_out(sandbox) == []


async def test_no_more_trunks_are_in_the_air_than_allowed(sandbox: Sandbox, rotate: Rotate) -> None:
    in_the_air = most = 0

    async def apply(credentials: SipCredentials) -> None:
        nonlocal in_the_air, most
        in_the_air += 1
        most = max(most, in_the_air)
        await asyncio.sleep(0.005)
        in_the_air -= 1

    for _ in range(5):
        sandbox.add_trunk()
    assert (await rotate(apply=apply, concurrency=3)).complete
    assert most == 3


async def test_a_rotate_whose_answer_was_lost_is_sent_again(
    carrier: Carrier, sandbox: Sandbox, rotate: Rotate
) -> None:
    sandbox.fail_next(drop="after", path=ROTATE, times=2)
    assert (await rotate()).complete
    assert posts(sandbox) == 5
    assert carrier.locked_out(sandbox) == []


async def test_a_rotate_that_stays_in_doubt_is_pending_and_is_sent_again_by_the_next_run(
    sandbox: Sandbox, journal: Path, rotate: Rotate
) -> None:
    trunk_id = next(iter(sandbox.trunks))
    sandbox.fail_next(drop="after", path=ROTATE, times=3)
    report = await rotate([trunk_id], attempts=3)
    assert "the old password may be dead; rotate again" in report.pending[0].why
    assert report.rotated == ()
    assert [json.loads(line)["state"] for line in journal.read_text().splitlines()] == ["in doubt"]
    report = await rotate([])
    assert (report.rotated, report.applied, report.complete) == ((trunk_id,), (trunk_id,), True)


async def test_an_answer_that_cannot_be_read_is_kept_until_a_readable_one_has_come(
    sandbox: Sandbox, journal: Path, rotate: Rotate
) -> None:
    trunk_id = next(iter(sandbox.trunks))
    sandbox.fail_next(
        status=200, executed=True, body='{"sip_password": "n\u00e9edle', path=ROTATE, times=2
    )
    report = await rotate([trunk_id], attempts=2)
    (line,) = map(json.loads, journal.read_text().splitlines())
    assert line["raw"].encode("latin-1").decode() == '{"sip_password": "n\u00e9edle'
    assert "edle" not in repr(report)
    assert (await rotate([])).applied == (trunk_id,)
    assert "raw" not in journal.read_text()


async def test_a_rotate_that_is_refused_leaves_the_trunk_untouched(
    sandbox: Sandbox, journal: Path, rotate: Rotate
) -> None:
    sandbox.fail_next(status=403, path=ROTATE)
    report = await rotate(concurrency=1)
    (untouched,) = report.untouched
    assert untouched.trunk_id == next(iter(sandbox.trunks))
    assert untouched.why.startswith("403")
    assert (len(report.applied), report.pending) == (2, ())
    assert untouched.trunk_id not in {
        json.loads(line)["trunk_id"] for line in journal.read_text().splitlines()
    }


async def test_refusals_stop_the_run_too_but_trunks_that_are_gone_do_not(
    sandbox: Sandbox, rotate: Rotate
) -> None:
    report = await rotate(
        ["gone-1", "gone-2", "gone-3", *sandbox.trunks], stop_after=1, concurrency=1
    )
    assert [trunk.trunk_id for trunk in report.untouched] == ["gone-1", "gone-2", "gone-3"]
    assert len(report.applied) == 3
    sandbox.fail_next(status=403, path=ROTATE)
    report = await rotate(stop_after=1, concurrency=1, not_again_within=timedelta(0))
    assert (len(report.untouched), report.applied) == (3, ())


async def test_a_refusal_after_a_lost_answer_leaves_the_trunk_in_doubt(
    sandbox: Sandbox, rotate: Rotate
) -> None:
    trunk_id = next(iter(sandbox.trunks))
    sandbox.fail_next(drop="after", path=ROTATE)
    sandbox.fail_next(status=403, path=ROTATE)
    report = await rotate([trunk_id])
    assert (report.pending[0].trunk_id, report.pending[0].why[:3]) == (trunk_id, "403")


async def in_doubt(sandbox: Sandbox, telepath: TelepathClient, rotate: Rotate) -> Trunk:
    """Leave a trunk in doubt, and remove it at the server."""
    trunk = await telepath.trunks.list().first()
    assert trunk is not None
    sandbox.fail_next(drop="after", path=ROTATE)
    await rotate([trunk], attempts=1)
    sandbox.remove_trunk(trunk.id)
    return trunk


async def test_a_trunk_in_doubt_that_is_gone_is_reported_and_not_asked_for_again(
    sandbox: Sandbox, telepath: TelepathClient, journal: Path, rotate: Rotate
) -> None:
    trunk = await in_doubt(sandbox, telepath, rotate)
    (gone,) = (await rotate([])).untouched
    assert (gone.trunk_id, gone.sip_username, gone.why[:3]) == (trunk.id, trunk.sip_username, "404")
    assert journal.read_text() == ""


async def test_another_accounts_key_does_not_settle_a_trunk_in_doubt(
    sandbox: Sandbox, telepath: TelepathClient, carrier: Carrier, journal: Path, rotate: Rotate
) -> None:
    trunk_id = (await in_doubt(sandbox, telepath, rotate)).id
    async with (
        Sandbox(trunks=0) as other,
        TelepathClient(other.api_key, base_url=other.base_url) as stranger,
    ):
        report = await rotate_passwords(stranger, [], carrier.apply, journal)
    assert [(trunk.trunk_id, trunk.why[:3]) for trunk in report.pending] == [(trunk_id, "404")]


async def test_an_answer_without_names_is_completed_from_what_is_known(
    sandbox: Sandbox, rotate: Rotate
) -> None:
    seen: list[SipCredentials] = []

    async def apply(credentials: SipCredentials) -> None:
        seen.append(credentials)
        if len(seen) == 1:
            raise ConnectionError

    username, trunk_id = next(iter(names(sandbox).items()))
    sandbox.fail_next(status=200, body={"sip_password": "n3w-password"}, path=ROTATE)
    assert not (await rotate(apply=apply, attempts=1, stop_after=1, concurrency=1)).complete
    await rotate([], apply)  # out of the journal
    assert seen[0] == seen[1]
    assert (seen[1].id, seen[1].sip_username) == (trunk_id, username)
    assert seen[1].sip_password.reveal() == "n3w-password"


async def test_two_runs_on_one_journal_are_refused_before_anything_is_sent(
    sandbox: Sandbox, rotate: Rotate
) -> None:
    async def apply(credentials: SipCredentials) -> None:
        sent = len(sandbox.requests)
        with pytest.raises(JournalBusy):
            await rotate()
        assert len(sandbox.requests) == sent

    assert (await rotate(list(sandbox.trunks)[:1], apply)).complete


async def test_a_cancelled_run_lets_go_of_the_journal_at_once_and_the_next_one_finishes(
    carrier: Carrier, sandbox: Sandbox, rotate: Rotate
) -> None:
    applying = asyncio.Event()

    async def apply(credentials: SipCredentials) -> None:
        applying.set()
        await asyncio.Event().wait()

    run = asyncio.ensure_future(rotate(apply=apply))
    await applying.wait()
    await cancel(run)
    assert (await rotate()).complete
    assert carrier.locked_out(sandbox) == []


@pytest.mark.parametrize("state", ["in doubt", "rotated", "finished"])
async def test_a_journal_that_cannot_be_written_stops_the_run_and_the_next_one_finishes(
    state: str, carrier: Carrier, sandbox: Sandbox, rotate: Rotate, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Journal.write

    def full(self: Journal, entry: Entry) -> None:
        if entry.state == state:
            self.close()
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, entry)

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "write", full)
        with pytest.raises(OSError, match="No space left"):
            await rotate()
    # A password that the disk does not take goes to the carrier all the same: nobody else has it.
    assert len(carrier.passwords) == (state != "in doubt")
    assert posts(sandbox) == (state != "in doubt")
    assert (await rotate()).complete
    assert carrier.locked_out(sandbox) == []


def full_for_passwords(fd: int, data: Any, write: Callable[..., int] = os.write) -> int:
    """A disk that is full when a password is to be written."""
    if b"sip_password" in bytes(data):
        raise OSError(errno.ENOSPC, "No space left on device")
    return write(fd, data)


async def test_nothing_more_is_rotated_once_the_journal_cannot_be_written(
    sandbox: Sandbox, rotate: Rotate, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.fail_next(drop="after", path=ROTATE, times=3)
    await rotate(attempts=1, concurrency=1)  # all are in doubt
    sandbox.requests.clear()
    monkeypatch.setattr(os, "write", full_for_passwords)
    with pytest.raises(OSError, match="No space left"):
        await rotate(concurrency=1)
    assert posts(sandbox) == 1


async def test_no_password_is_shown_in_reports_logs_or_errors(
    carrier: Carrier,
    sandbox: Sandbox,
    rotate: Rotate,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    carrier.refuse = dict.fromkeys(names(sandbox), 3)
    with caplog.at_level(logging.DEBUG):
        shown = repr(await rotate())
    assert "apply failed for trunk" in caplog.text

    monkeypatch.setattr(os, "write", full_for_passwords)
    with pytest.raises(OSError, match="No space left") as raised:
        await rotate(not_again_within=timedelta(0))
    frames = traceback.TracebackException.from_exception(raised.value, capture_locals=True).stack
    ours = [frame for frame in frames if "/telepath_async/" in frame.filename]
    assert {"_keep", "write", "_write"} <= {frame.name for frame in ours}
    shown += caplog.text + str(raised.value) + "".join(str(frame.locals) for frame in ours)
    assert [
        trunk_id for trunk_id in sandbox.trunks if sandbox.sip_password(trunk_id) in shown
    ] == []


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"trunks": "conn_1"}, "not one text"),
        ({"trunks": 5}, "trunks must be an iterable of trunks or their ids, not int"),
        ({"trunks": [5, None, "conn_1"]}, "not NoneType, int"),
        ({"apply": 5}, "apply must be a coroutine function"),
        ({"apply_timeout": 0}, "apply_timeout must be a number of seconds above 0, not 0"),
        ({"concurrency": 0}, "concurrency must be a whole number from 1, not 0"),
        ({"stop_after": True}, "stop_after must be a whole number from 1, not True"),
        ({"attempts": 1.5}, "attempts must be a whole number from 1, not 1.5"),
        ({"backoff": -1.0}, "backoff must be a number of seconds from 0, not -1.0"),
        ({"backoff": float("nan")}, "backoff must be"),
    ],
)
async def test_bad_options_are_refused_before_anything_is_sent(
    options: dict[str, Any], named: str, sandbox: Sandbox, rotate: Rotate
) -> None:
    with pytest.raises(UsageError, match=named):
        await rotate(**options)
    assert sandbox.requests == []


async def test_trunks_that_the_list_may_have_missed_are_reported(
    telepath: TelepathClient, rotate: Rotate, monkeypatch: pytest.MonkeyPatch
) -> None:
    overstate_total(monkeypatch, by=2)
    report = await rotate()
    assert (len(report.applied), report.uncertain) == (3, 2)
    assert not report.complete
    listed = await telepath.trunks.list().collect()
    assert (await rotate(listed, not_again_within=timedelta(0))).complete


async def test_a_list_that_fails_frees_the_journal(sandbox: Sandbox, rotate: Rotate) -> None:
    sandbox.fail_next(status=404, path="/trunks")
    with pytest.raises(NotFoundError):
        await rotate()
    assert (await rotate()).complete
