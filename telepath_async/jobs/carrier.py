"""`Carrier`: the other system that holds the password of a trunk, and must get a new one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from attrs import frozen

from telepath_async import SipCredentials

from .commands import CommandFailed, CommandNotStarted

_log: Final = logging.getLogger("telepath_async.jobs")


@frozen(kw_only=True)
class NotApplied:
    """`why` a carrier has not taken a password; `hopeless`: nor will any other one."""

    why: str
    hopeless: bool


@frozen(kw_only=True)
class Carrier:
    """Calls `apply`, which is given `timeout` seconds."""

    apply: Callable[[SipCredentials], Awaitable[object]]
    timeout: float | None

    async def update(
        self, trunk_id: str, credentials: SipCredentials, waits: tuple[float, ...]
    ) -> NotApplied | None:
        """Have the carrier of a trunk take its password, trying again after each wait.

        None: it has taken it.
        """
        failure = None
        for attempt, wait in enumerate((*waits, None), 1):
            try:
                async with asyncio.timeout(self.timeout):
                    await self.apply(credentials)
            except Exception as error:  # noqa: BLE001  # whatever a carrier's library raises
                reason = _shown(error)
                failure = NotApplied(
                    why=f"apply failed {attempt} times, the last time with {reason}",
                    hopeless=isinstance(error, CommandNotStarted),
                )
            else:
                return None
            _log.warning(
                "apply failed for trunk %s with %s, attempt %d of %d",
                trunk_id,
                reason,
                attempt,
                len(waits) + 1,
            )
            if failure.hopeless:
                break
            if wait is not None:
                await asyncio.sleep(wait)
        return failure


def _shown(error: Exception) -> str:
    """Return what may be shown of an error of `apply`: the text of others may hold the password."""
    name = type(error).__name__
    return f"{name}: {error}" if isinstance(error, CommandFailed) else name
