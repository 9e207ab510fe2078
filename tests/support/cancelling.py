"""Cancel a task, and see that it ends by that."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest


async def cancel(task: asyncio.Future[Any]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
