"""Outages of the store: logged once, waited out, and no job ends by them."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from telepath_async import Secret
from telepath_async.protocol.redaction import Redactor
from telepath_async.worker import outage as module
from telepath_async.worker.log import LogEvent
from telepath_async.worker.outage import Outage
from telepath_async.worker.stores import WaitingStore
from tests.support.cancelling import cancel


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SECONDS_BETWEEN_TRIES", 0.001)


@pytest.fixture
def outage(caplog: pytest.LogCaptureFixture) -> Outage:
    caplog.set_level(logging.INFO, "telepath_async.worker")
    return Outage(errors=(ConnectionError,), redactor=Redactor([Secret("pw")]), worker="here:1")


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, Any]]:
    events = [record.msg for record in caplog.records if isinstance(record.msg, LogEvent)]
    return [(event.event, event.values.get("error")) for event in events]


class Store:
    """Fails so many times, and then gives its result."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.tries = 0

    async def read(self) -> str:
        self.tries += 1
        if self.tries <= self.failures:
            raise ConnectionError(f"no way to pw, try {self.tries}")
        return "status"


async def test_what_succeeds_is_done_once_and_nothing_is_logged(
    outage: Outage, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(0)
    assert await outage.wait_out(store.read) == "status"
    assert (store.tries, told(caplog), outage.error) == (1, [], None)


async def test_an_outage_is_logged_when_it_begins_and_when_it_is_over(
    outage: Outage, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(5)
    assert await outage.wait_out(store.read) == "status"
    assert store.tries == 6
    assert told(caplog) == [
        ("outage", "ConnectionError: no way to **********, try 1"),
        ("outage over", None),
    ]
    assert outage.error is None


async def test_all_that_wait_are_one_outage_and_what_succeeds_meanwhile_does_not_end_it(
    outage: Outage, caplog: pytest.LogCaptureFixture
) -> None:
    waiting = [asyncio.create_task(outage.wait_out(Store(20).read)) for _ in range(3)]
    await asyncio.sleep(0)
    assert await outage.wait_out(Store(0).read) == "status"
    assert outage.error is not None
    assert await asyncio.gather(*waiting) == ["status"] * 3
    assert [event for event, _ in told(caplog)] == ["outage", "outage over"]


async def test_the_next_outage_is_logged_again(
    outage: Outage, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        await outage.wait_out(Store(1).read)
    assert [event for event, _ in told(caplog)] == ["outage", "outage over"] * 2


async def test_any_other_error_is_raised(outage: Outage) -> None:
    async def bug() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await outage.wait_out(bug)


async def test_what_is_cancelled_waits_no_longer_and_ends_no_outage(
    outage: Outage, caplog: pytest.LogCaptureFixture
) -> None:
    waiting = asyncio.create_task(outage.wait_out(Store(10**9).read))
    await asyncio.sleep(0.01)
    await cancel(waiting)
    assert [event for event, _ in told(caplog)] == ["outage"]
    assert await outage.wait_out(Store(1).read) == "status"
    assert [event for event, _ in told(caplog)] == ["outage", "outage over"]


async def test_a_cancellation_that_a_library_turns_into_an_error_is_kept(outage: Outage) -> None:
    begun = asyncio.Event()

    async def lose_it() -> None:
        try:
            begun.set()
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise ConnectionError from None

    waiting = asyncio.create_task(outage.wait_out(lose_it))
    await begun.wait()
    await cancel(waiting)


async def test_a_store_waits_out_every_operation(outage: Outage) -> None:
    operations: list[tuple[object, ...]] = []

    class Failing:
        """Fails at every other operation."""

        async def read(self, keys: list[str]) -> str:
            return self._done("read", keys)

        async def read_all(self) -> str:
            return self._done("read_all")

        async def write(self, status: str, *, keep: bool) -> str:
            return self._done("write", status, keep)

        def _done(self, *operation: object) -> str:
            operations.append(operation)
            if len(operations) % 2:
                raise ConnectionError
            return f"done {len(operations)}"

    failing: Any = Failing()
    store: Any = WaitingStore(failing, outage)
    assert await store.read(["a"]) == "done 2"
    assert await store.read_all() == "done 4"
    await store.write("status")
    await store.write("status", keep=True)
    assert operations[::2] == operations[1::2] == [
        ("read", ["a"]), ("read_all",), ("write", "status", False), ("write", "status", True),
    ]  # fmt: skip
