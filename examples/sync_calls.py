"""Keep the call history in an SQL table.

Run it again: the second time takes over only what is new or has changed. DATABASE_URL:
sqlite:///calls.db when it is not set, or postgresql://user:password@host/name. Kill it at any
moment, and start it again: it goes on after the last committed page. Needs `pip install
"telepath-async[sync]"`.
"""

import asyncio
import os
from datetime import timedelta

from telepath_async import TelepathClient
from telepath_async.sync import SyncProgress, sync_calls


def show(progress: SyncProgress) -> None:
    of_total = "" if progress.total is None else f" of {progress.total:,}"
    print(f"\r{progress.rows:,}{of_total} calls in {progress.seconds:.1f} s", end="", flush=True)


async def main() -> None:
    database_url = os.environ.get("DATABASE_URL", "sqlite:///calls.db")
    async with TelepathClient() as telepath:
        report = await sync_calls(
            telepath, database_url, lookback=timedelta(hours=1), on_progress=show
        )
    print(
        f"\n{report.inserted:,} inserted, {report.updated:,} updated, "
        f"{report.unchanged:,} unchanged"
    )
    print(f"complete up to {report.watermark}")


asyncio.run(main())
