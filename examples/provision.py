"""Create the trunks that are missing, and keep their passwords in a file of their own.

Run it again: nothing changes. A password is in the vault before its trunk exists, so that it can be
killed at any moment: the next run goes on with the same passwords. VAULT: vault.db when it is not
set; an SQLite file that only its owner can read.
"""

import asyncio
import os
import sqlite3
import sys
from contextlib import closing

from telepath_async import Secret, TelepathClient
from telepath_async.jobs import ProvisionedTrunk, provision_trunks

CUSTOMERS = ["acme", "globex", "initech"]


class Vault:
    def __init__(self, path: str) -> None:
        os.close(os.open(path, os.O_CREAT, 0o600))
        self.database = sqlite3.connect(path)
        self.database.execute(
            "CREATE TABLE IF NOT EXISTS trunks (username TEXT PRIMARY KEY, password TEXT, "
            "state TEXT, id TEXT)"
        )

    async def sink(self, trunk: ProvisionedTrunk) -> Secret | None:
        with self.database:
            if trunk.state == "planned" and trunk.sip_password:
                planned = (trunk.sip_username, trunk.sip_password.reveal(), "planned")
                self.database.execute(
                    "INSERT OR IGNORE INTO trunks (username, password, state) VALUES (?, ?, ?)",
                    planned,
                )
                query = "SELECT password FROM trunks WHERE username = ?"
                (held,) = self.database.execute(query, [trunk.sip_username]).fetchone()
                return Secret(held)  # an earlier run's, where that was killed
            reached = (trunk.state, trunk.trunk and trunk.trunk.id, trunk.sip_username)
            self.database.execute("UPDATE trunks SET state = ?, id = ? WHERE username = ?", reached)
        return None


async def main() -> int:
    specs = [
        {
            "name": f"Agent of {customer}",
            "sip_username": f"agent-{customer}",
            "ai_provider": "openai",
            "openai_api_key": os.environ.get("OPENAI_API_KEY", "sk-openai-abc123"),
        }
        for customer in CUSTOMERS
    ]
    vault = Vault(os.environ.get("VAULT", "vault.db"))
    with closing(vault.database):
        async with TelepathClient() as telepath:
            report = await provision_trunks(telepath, specs, sink=vault.sink)
    for trunk in report.trunks:
        print(trunk.sip_username, trunk.state, trunk.error or "")
    return 0 if report.complete else 1


sys.exit(asyncio.run(main()))
