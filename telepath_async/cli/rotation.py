"""Rotate one password from the command line, and keep it whatever happens.

The new password is shown only once.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from telepath_async import (
    OutcomeUnknown,
    ResponseError,
    SipCredentials,
    TelepathError,
)

from .credentials import SecretFile
from .output import echo, json_line
from .shell import Shell

if TYPE_CHECKING:
    from telepath_async import TelepathClient


async def rotate_one(
    shell: Shell, telepath: TelepathClient, trunk_id: str, kept: SecretFile | None
) -> SipCredentials:
    """Rotate, and return the new credentials, kept in the file where there is one."""
    try:
        credentials = await telepath.trunks.rotate_sip_password(trunk_id)
    except ResponseError as error:
        _keep_raw(shell, error, kept)
        raise
    except (OutcomeUnknown, asyncio.CancelledError):
        echo("the old password may be dead: rotate again, to have one that works", kind="warning")
        _discard(kept)
        raise
    except TelepathError:
        _discard(kept)
        raise
    if kept is not None:
        kept.replace(json_line(credentials))
        kept.close()
    return credentials


def _keep_raw(shell: Shell, error: ResponseError, kept: SecretFile | None) -> None:
    """The answer makes no sense to us, and the new password stands in it, where it is not empty."""
    if not error.raw:
        echo("the answer was empty, and the old password may be dead: rotate again", kind="warning")
        _discard(kept)
    elif kept is not None:
        kept.replace(error.raw)
        kept.close()
        echo("the answer was saved as it came: the new password stands in it", kind="warning")
    elif shell.show_secrets:
        echo(f"the answer as it came, with the new password in it: {error.raw!r}", kind="warning")


def _discard(kept: SecretFile | None) -> None:
    if kept is not None:
        kept.discard()
