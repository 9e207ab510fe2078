"""Let the loop turn, without letting time pass."""

from __future__ import annotations

import asyncio


async def settle() -> None:
    """Let every task run as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)
