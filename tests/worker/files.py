"""Accounts files for the tests."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from telepath_async.worker import Accounts, load_accounts

ENVIRONMENT = {
    "ACME_KEY": "sk_live_acme",
    "OTHER_KEY": "sk_live_other",
    "ACME_DB": "postgresql://u:p%40ss@127.0.0.1/acme",
}

WHOLE = """
    [accounts.acme]
    api_key_env = "ACME_KEY"
    base_url = "http://127.0.0.1:8080/v1"
    database_url = "sqlite:///acme.db"
    host = "voice-1"
    limit = 3000

    [accounts.acme.sync]
    cron = "*/5 * * * *"
    since = 2026-01-01
    partitions = 4

    [accounts.acme.watch]
    cron = "* * * * *"
    thresholds.avg_ai_latency_ms = 400
    thresholds.success_rate = { limit = 95, recovery = 97, for_seconds = 60 }
    window_minutes = 10
    command = ["/usr/local/bin/page", "voice"]

    [accounts.acme.rotate]
    cron = "0 3 1 * *"
    journal = "/var/lib/telepath/acme.journal"
    command = ["/usr/local/bin/tell-carrier"]
"""


def load(folder: Path, text: str, *, distributed: bool = False) -> Accounts:
    """Load a file of this text."""
    path = folder / "accounts.toml"
    path.write_text(dedent(text))
    return load_accounts(path, distributed=distributed, environment=ENVIRONMENT)
