"""Running the commands that `accounts.toml` names: no shell, a JSON document on standard input, an exit code for an answer."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from attrs import frozen

from telepath_async import Secret, SipCredentials
from telepath_async.jobs import LatencyAlert

_SECONDS: Final = 30.0


class CommandFailed(RuntimeError):
    """A command could not be run, took too long, or its exit code was not 0.

    Its output was not kept: it may hold secrets.
    """


@frozen
class Commands:
    """How commands are run.

    `hidden`: the variables that hold the accounts' secrets, which no command gets to see.
    """

    hidden: frozenset[str] = frozenset()
    seconds: float = _SECONDS

    async def run(self, command: Sequence[str], document: Secret) -> None:
        """Give the command the document, and wait for its end; it is killed when the time is up, or
        on cancellation.

        Raises CommandFailed.
        """
        environment = {name: value for name, value in os.environ.items() if name not in self.hidden}
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                env=environment,
            )
        except OSError as error:
            failure = CommandFailed(f"{command[0]} cannot be run: {error.strerror}")
        else:
            try:
                async with asyncio.timeout(self.seconds):
                    await process.communicate(document.reveal().encode())
                failure = CommandFailed(f"{command[0]} ended with exit code {process.returncode}")
            except TimeoutError:
                failure = CommandFailed(
                    f"{command[0]} took more than {self.seconds:g} s, and was ended"
                )
            finally:
                if process.returncode is None:
                    with suppress(ProcessLookupError):
                        process.kill()
                    await process.wait()
            if process.returncode == 0:
                return
        raise failure


def alert_document(account: str, alert: LatencyAlert) -> Secret:
    """Return what the alert's command is told."""
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
    """Return what the carrier's command is told: the one place where a password leaves, on a pipe."""
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
