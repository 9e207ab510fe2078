"""Write the last month's calls into a file: python export_calls.py calls.parquet.

The name may also end in .csv or .ndjson. The file appears under its name when it is whole. Parquet
needs `pip install "telepath-async[parquet]"`.
"""

import asyncio
import sys
from datetime import UTC, datetime, timedelta

from telepath_async import TelepathClient
from telepath_async.export import ExportProgress, export_calls


def show(progress: ExportProgress) -> None:
    print(f"\r{progress.rows:,} calls in {progress.seconds:.1f} s", end="", flush=True)


async def main(path: str) -> int:
    now = datetime.now(UTC)
    async with TelepathClient() as telepath:
        report = await export_calls(
            telepath, path, since=now - timedelta(days=31), until=now, on_progress=show
        )
    print(f"\n{report.rows:,} rows, {report.bytes:,} bytes in {report.path}")
    if report.uncertain:
        print(f"the list changed meanwhile: {report.uncertain} calls may be missing; run it again")
    return 1 if report.uncertain else 0


sys.exit(asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "calls.csv")))
