"""Keep the database up to date while the page is shown."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from attrs import define, field

from telepath_async import Event, Secret, TelepathClient, TelepathError, Throttled
from telepath_async.sync import SyncProgress, sync_calls
from telepath_async.sync.database import database_errors


@define(kw_only=True)
class Syncer:
    """Sync one account, again and again."""

    telepath: TelepathClient
    database_url: Secret
    account: str | None
    since: datetime | None
    seconds: float
    error: str | None = None
    rows: int | None = None
    meter: Callable[[], int] = field(default=lambda: 0)

    async def run(self) -> None:
        """Sync until cancelled; a failure is shown, and the next try may succeed."""
        while True:
            begun = time.monotonic()
            await self.once()
            await asyncio.sleep(max(0.0, self.seconds - (time.monotonic() - begun)))

    async def once(self) -> None:
        """Sync what is new."""
        self.rows = 0
        try:
            await sync_calls(
                self.telepath,
                self.database_url,
                account=self.account,
                since=self.since,
                on_progress=self._progress,
            )
            self.error = None
        except TelepathError as error:
            self.error = str(error)
        except database_errors() as error:
            self.error = f"the database does not answer ({type(error).__name__})"
        self.rows = None

    def _progress(self, progress: SyncProgress) -> None:
        self.rows = progress.rows

    def figures(self) -> dict[str, Any]:
        """Return what the page's foot shows of this account."""
        limit = self.telepath.rate_limit
        return {
            "error": self.error,
            "syncing_rows": self.rows,
            "waits": self.meter(),
            "limit": limit and limit.limit,
            "remaining": limit and limit.remaining,
            "limit_resets": limit and limit.reset_at and limit.reset_at.astimezone(UTC).isoformat(),
        }


@define
class Waits:
    """Count how often our own limiter made a request wait."""

    count: int = 0

    def __call__(self, event: Event) -> None:
        self.count += isinstance(event, Throttled)
