"""Where the next run begins, by what the runs before it have seen: without dlt."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from telepath_async import TelepathClient
from telepath_async.dlt.progress import Progress
from telepath_async.sandbox import Sandbox
from tests.support.totals import overstate_total

HOUR = timedelta(hours=1)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(trunks=1, calls=0) as sandbox:
        yield sandbox


class Runs:
    """Runs one after the other, as dlt would make them."""

    def __init__(self, telepath: TelepathClient) -> None:
        self.telepath = telepath
        self.saved: dict[str, Any] = {}

    async def read(self, *, since: datetime | None = None, until: datetime | None = None) -> int:
        """Read what is missing; return how many calls that was."""
        progress = Progress.of(self.saved, since, until, HOUR)
        calls, count = self.telepath.calls.list(since=progress.walk.since, until=until), 0
        async for page in calls.pages():
            progress.note(page)
            count += len(page.items)
        self.saved = progress.at_the_end()
        return count


@pytest.fixture
async def runs(sandbox: Sandbox) -> AsyncIterator[Runs]:
    async with TelepathClient(sandbox.api_key, base_url=sandbox.base_url) as telepath:
        yield Runs(telepath)


def ago(**duration: float) -> str:
    return (datetime.now(UTC) - timedelta(**duration)).isoformat()


@pytest.mark.parametrize("status", ["in-progress", None, "Ringing", "connected"])
async def test_a_call_longer_than_the_lookback_is_read_until_it_has_ended(
    sandbox: Sandbox, runs: Runs, status: str | None
) -> None:
    call = sandbox.add_call(start_time=ago(hours=3), status=status, end_time=None)
    sandbox.add_call(status="completed", start_time=ago(hours=8))
    sandbox.add_call(status="completed", start_time=ago(minutes=1))
    assert [await runs.read() for _ in range(3)] == [3, 2, 2]
    sandbox.update_call(call["id"], status="completed", end_time=ago(minutes=0))
    assert [await runs.read() for _ in range(2)] == [2, 1]


@pytest.mark.parametrize(
    ("status", "ended"), [("completed", False), ("Failed", False), ("connected", True)]
)
async def test_a_call_that_has_ended_is_not_read_again(
    sandbox: Sandbox, runs: Runs, status: str, ended: bool
) -> None:
    end = ago(hours=2) if ended else None
    sandbox.add_call(status=status, start_time=ago(hours=3), end_time=end)
    sandbox.add_call(status="completed", start_time=ago(minutes=1))
    assert [await runs.read() for _ in range(2)] == [2, 1]


async def test_a_call_that_never_ends_is_given_up_a_day_after_its_start(
    sandbox: Sandbox, runs: Runs
) -> None:
    sandbox.add_call(start_time=ago(hours=25), status="in-progress", end_time=None)
    sandbox.add_call(status="completed", start_time=ago(minutes=1))
    assert [await runs.read() for _ in range(2)] == [2, 1]


async def test_a_start_in_the_future_or_none_moves_the_watermark_no_further_than_the_present(
    sandbox: Sandbox, runs: Runs
) -> None:
    sandbox.add_call(status="completed", start_time=ago(days=-400))
    sandbox.add_call(status="completed", start_time=ago(minutes=1))
    assert await runs.read() == 2
    assert datetime.fromisoformat(runs.saved["watermark"]) <= datetime.now(UTC)
    sandbox.add_call(status="completed", start_time=ago(minutes=0))
    assert await runs.read() == 3


async def test_a_range_in_the_past_is_read_and_then_what_came_after_and_before_it(
    sandbox: Sandbox, runs: Runs
) -> None:
    for hours in (50, 30, 10):
        sandbox.add_call(status="completed", start_time=ago(hours=hours))
    now, day = datetime.now(UTC), timedelta(days=1)
    assert await runs.read(since=now - 2 * day, until=now - day) == 1
    assert await runs.read(since=now - 2 * day) == 1
    assert await runs.read() == 3


async def test_an_account_without_calls_proves_nothing(sandbox: Sandbox, runs: Runs) -> None:
    assert await runs.read() == 0
    assert runs.saved == {}
    sandbox.add_call(status="completed", start_time=ago(days=3))
    assert await runs.read() == 1


async def test_a_list_that_may_have_lost_calls_moves_no_watermark_and_says_so(
    sandbox: Sandbox, runs: Runs, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.add_call(status="completed", start_time=ago(hours=5))
    overstate_total(monkeypatch, by=2, walks=1)
    await runs.read()
    assert runs.saved == {}
    assert "2 calls may be missing" in caplog.text
