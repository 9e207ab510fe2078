"""The documents that the commands of `accounts.toml` get, and how these commands are run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from attrs import frozen

from telepath_async import Secret, SipCredentials
from telepath_async.jobs import LatencyAlert
from telepath_async.jobs.commands import run_command

_SECONDS: Final = 30.0


@frozen
class Commands:
    """How commands are run.

    `hidden`: the variables that hold the accounts' secrets, which no command gets to see.
    """

    hidden: frozenset[str] = frozenset()
    seconds: float = _SECONDS

    async def run(self, command: Sequence[str], document: Secret) -> None:
        """Give the command the document, and wait for its end. Raises CommandFailed.

        What it prints is not kept: it may hold secrets.
        """
        await run_command(command, document, seconds=self.seconds, hidden=self.hidden)


def alert_document(account: str, alert: LatencyAlert) -> Secret:
    """Return what the alert's command gets."""
    return _document(
        {
            "account": account,
            "kind": alert.kind,
            "metric": alert.threshold.metric,
            "limit": alert.threshold.limit,
            "value": alert.value,
            "since": alert.since.isoformat(),
            "at": alert.at.isoformat(),
            "worst_calls": [call.id for call in alert.worst_calls],
        }
    )


def credentials_document(account: str, credentials: SipCredentials) -> Secret:
    """Return what the carrier's command gets: the one place where a password leaves, by a pipe."""
    return _document(
        {
            "account": account,
            "trunk_id": credentials.id,
            "sip_username": credentials.sip_username,
            "sip_password": credentials.sip_password.reveal(),
        }
    )


def _document(fields: Mapping[str, Any]) -> Secret:
    return Secret(json.dumps(fields))
