"""One limiter for each key of this process: shared through Redis, or this process's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

from attrs import define, field

from telepath_async import Limiter, LocalLimiter, Secret, UsageError

from .accounts import Account

if TYPE_CHECKING:
    from telepath_async.redis import RedisLimiter

# Not 60, at which the server's X-RateLimit-Limit would set the whole limit for each process.
_SECONDS_OF_A_SHARE: Final = 30.0


@define
class Limiters:
    """Limiters by the hash of their key.

    `redis_url`: where they are shared; None: each process takes `limit / expected_processes`. A
    shared one is open while a job uses it, so that 10,000 keys do not hold 10,000 connections.
    """

    redis_url: Secret | None
    expected_processes: int
    _local: dict[str, LocalLimiter] = field(factory=dict, init=False)
    _shared: dict[str, _Shared] = field(factory=dict, init=False)

    def check(self, limits: Iterable[int]) -> None:
        """Raise UsageError for a limit too small to be shared, or a URL that cannot be used."""
        for limit in set(limits):
            if self.redis_url is None:
                local_limiter(limit, self.expected_processes)
            else:
                self._shared_limiter(limit, self.redis_url)

    @asynccontextmanager
    async def hold(self, account: Account) -> AsyncIterator[Limiter]:
        """Give the limiter of the account's key."""
        if self.redis_url is None:
            yield self._local.setdefault(
                account.key_id, local_limiter(account.limit, self.expected_processes)
            )
            return
        shared = self._shared.setdefault(account.key_id, _Shared())
        shared.users += 1
        try:
            async with shared.opening:
                shared.limiter = shared.limiter or await self._open(
                    account, self.redis_url, shared.stack
                )
            yield shared.limiter
        finally:
            shared.users -= 1
            if not shared.users:
                del self._shared[account.key_id]
                await shared.stack.aclose()

    async def _open(self, account: Account, url: Secret, stack: AsyncExitStack) -> Limiter:
        return await stack.enter_async_context(self._shared_limiter(account.limit, url))

    def _shared_limiter(self, limit: int, url: Secret) -> RedisLimiter:
        from telepath_async.redis import RedisLimiter

        return RedisLimiter(url, limit=limit, expected_processes=self.expected_processes)


@define
class _Shared:
    users: int = 0
    limiter: Limiter | None = None
    opening: asyncio.Lock = field(factory=asyncio.Lock)
    stack: AsyncExitStack = field(factory=AsyncExitStack)


def local_limiter(limit: int, processes: int) -> LocalLimiter:
    """Return the limiter of one process out of several.

    Raises UsageError where nothing would be left for it.
    """
    if processes == 1:
        return LocalLimiter(limit)
    share = int(limit * _SECONDS_OF_A_SHARE / 60 / processes)
    if not share:
        raise UsageError(
            f"a limit of {limit} a minute is too small for {processes} processes; share it: "
            "--limiter-redis URL"
        )
    return LocalLimiter(share, _SECONDS_OF_A_SHARE)
