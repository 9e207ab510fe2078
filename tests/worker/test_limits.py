"""Test the limiter of a key: shared by its jobs, by processes, or through Redis."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from functools import partial
from types import ModuleType
from typing import Any

import pytest
from attrs import evolve

from telepath_async import LocalLimiter, Secret, UsageError
from telepath_async.worker import limits
from telepath_async.worker.limits import Limiters, local_limiter
from tests.support.jumping import jumping, now
from tests.worker.statuses import sync_job

ACCOUNT = sync_job().account


class Shared(LocalLimiter):
    opened: list[tuple[Secret, int, int]] = []
    closed = 0

    def __init__(self, url: Secret, *, limit: int, expected_processes: int) -> None:
        super().__init__(limit)
        self.given = (url, limit, expected_processes)

    async def __aenter__(self) -> Shared:
        await asyncio.sleep(0)
        Shared.opened.append(self.given)
        return self

    async def __aexit__(self, *error: object) -> None:
        Shared.closed += 1


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    module: Any = ModuleType("telepath_async.redis")
    module.RedisLimiter = Shared
    monkeypatch.setitem(sys.modules, "telepath_async.redis", module)
    Shared.opened, Shared.closed = [], 0
    return Shared


async def test_jobs_of_one_key_share_a_limiter_of_the_process() -> None:
    limiters = Limiters(None, 1)
    async with limiters.hold(ACCOUNT) as one, limiters.hold(evolve(ACCOUNT, name="other")) as same:
        assert one is same
    async with (
        limiters.hold(ACCOUNT) as later,
        limiters.hold(evolve(ACCOUNT, key_id="2f")) as other,
    ):
        assert later is one
        assert other is not one


@pytest.mark.parametrize(("processes", "share"), [(4, 1500), (1, 6000)])
@jumping
async def test_a_process_takes_its_share_whatever_the_server_says_the_limit_is(
    monkeypatch: pytest.MonkeyPatch, processes: int, share: int
) -> None:
    clock = asyncio.get_running_loop().time
    monkeypatch.setattr(limits, "LocalLimiter", partial(LocalLimiter, clock=clock))
    limiter = local_limiter(6000, processes)
    limiter.observe(
        {"X-RateLimit-Limit": "6000", "X-RateLimit-Remaining": "5999", "X-RateLimit-Reset": "60"}
    )
    for _ in range(share):
        await limiter.acquire()
    assert now() == pytest.approx(60, abs=1)


def test_a_share_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="a limit of 6 a minute is too small for 4 processes"):
        local_limiter(6, 4)


async def test_a_shared_limiter_is_open_while_somebody_uses_it(shared: Any) -> None:
    limiters = Limiters(Secret("redis://h/0"), 3)

    async def use(gate: asyncio.Event) -> object:
        async with limiters.hold(ACCOUNT) as limiter:
            await gate.wait()
            return limiter

    gate = asyncio.Event()
    both = [asyncio.create_task(use(gate)) for _ in range(2)]
    await asyncio.sleep(0.01)
    gate.set()
    one, same = await asyncio.gather(*both)
    assert one is same
    assert shared.opened == [(Secret("redis://h/0"), 6000, 3)]
    assert shared.closed == 1
    async with limiters.hold(ACCOUNT):
        assert len(shared.opened) == 2
    assert shared.closed == 2
