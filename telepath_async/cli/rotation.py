"""`telepath trunks rotate`: a new password, shown only once, and so kept whatever happens."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from telepath_async import (
    OutcomeUnknown,
    ResponseError,
    SipCredentials,
    TelepathError,
    UsageError,
)

from .credentials import SecretFile
from .options import named_file
from .output import echo, json_line
from .shell import Shell, command, unprinted

if TYPE_CHECKING:
    from telepath_async import TelepathClient


def add_to(group: typer.Typer) -> None:
    """Add the command to `telepath trunks`."""
    command(
        group,
        "rotate",
        examples=[
            "telepath trunks rotate conn_abc123 --save new-password.json",
            "telepath trunks rotate conn_abc123 --show-secrets",
        ],
    )(rotate)


async def rotate(
    shell: Shell,
    trunk_id: Annotated[str, typer.Argument(metavar="TRUNK_ID")],
    *,
    save: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Keep the new password in this new file, for you alone (mode 0600).",
            callback=named_file("name a file, or print the password by --show-secrets"),
        ),
    ] = None,
) -> None:
    """Have a new SIP password made for a trunk.

    The old one is dead at once, and the new one is shown this once: give --save, or --show-secrets
    to see it. For many trunks, and their carriers: telepath jobs rotate.
    """
    if save is None and not shell.show_secrets:
        raise UsageError(
            "the new password is shown only once: give --save FILE or --show-secrets; "
            "nothing was sent"
        )
    async with shell.client() as telepath:
        credentials = await _rotate_and_keep(
            shell, telepath, trunk_id, None if save is None else SecretFile(save)
        )
        where = f"it stands in {save}" if save else "it is new, the old one is dead: rotate again"
        # inside, for nothing may wait, and so be cut off, between the answer and this
        with unprinted("the new password", where):
            _show_credentials(shell, credentials, save)


def _show_credentials(shell: Shell, credentials: SipCredentials, save: str | None) -> None:
    fields = {
        "trunk": credentials.id,
        "SIP username": credentials.sip_username,
        "SIP password": credentials.sip_password,
        "rotated (UTC)": credentials.rotated_at,
        "saved in": save,
    }
    shell.show(credentials, fields.items())


async def _rotate_and_keep(
    shell: Shell, telepath: TelepathClient, trunk_id: str, kept: SecretFile | None
) -> SipCredentials:
    """Rotate, and return the new credentials, kept in the file where there is one."""
    try:
        credentials = await telepath.trunks.rotate_sip_password(trunk_id)
    except ResponseError as error:
        _keep_raw(error, kept)
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


def _keep_raw(error: ResponseError, kept: SecretFile | None) -> None:
    """Keep an answer that cannot be read: where it is not empty, the new password stands in it."""
    if not error.raw:
        echo("the answer was empty, and the old password may be dead: rotate again", kind="warning")
        _discard(kept)
    elif kept is not None:
        kept.replace(error.raw)
        kept.close()
        echo("the answer was saved as it came: the new password stands in it", kind="warning")
    else:  # it was to be shown
        echo(f"the answer as it came, with the new password in it: {error.raw!r}", kind="warning")


def _discard(kept: SecretFile | None) -> None:
    if kept is not None:
        kept.discard()
