"""Give every active trunk a new SIP password, and its carrier too; for cron.

Killed at any moment, the next run finishes it.

ROTATION_JOURNAL: rotation.ndjson when it is not set; it holds what is not finished, for its owner
only.
"""

import asyncio
import os
import sys

from telepath_async import SipCredentials, TelepathClient
from telepath_async.jobs import rotate_passwords


async def apply(credentials: SipCredentials) -> None:
    """Tell your carrier, with credentials.sip_password.reveal().

    Raise when it says no: it is asked again.
    """
    await asyncio.sleep(0.01)
    print("the carrier has the new password of", credentials.sip_username)


async def main() -> int:
    async with TelepathClient() as telepath:
        report = await rotate_passwords(
            telepath,
            telepath.trunks.list(status="active"),
            apply,
            os.environ.get("ROTATION_JOURNAL", "rotation.ndjson"),
        )
    print(f"{len(report.applied)} rotated, {len(report.recent)} were rotated within the last hour")
    for trunk in report.pending:
        print("DEAD PASSWORD AT THE CARRIER:", trunk.sip_username or trunk.trunk_id, trunk.why)
    for trunk in report.untouched:
        print("untouched:", trunk.sip_username or trunk.trunk_id, trunk.why)
    return 0 if report.complete else 1


sys.exit(asyncio.run(main()))
