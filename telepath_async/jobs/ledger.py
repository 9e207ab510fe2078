"""What a rotation journal says: lines -> what is known of each trunk, and back. No I/O, no clock.

A trunk is `in doubt` from before a rotate is sent, `rotated` once its new password is known (the
carrier may not have it yet), and `finished` when the carrier has it; `untouched`, when the rotate
was refused. A line holds all that is known of a trunk, in JSON, so that its latest line is the one
that counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeAlias, get_args

from attrs import frozen

from telepath_async import Secret, SipCredentials

State: TypeAlias = Literal["in doubt", "rotated", "finished", "untouched"]
_BEGINNING: Final = b'{"state":"'
_STATES: Final = frozenset(get_args(State))


@frozen(kw_only=True)
class Entry:
    """What is known of one trunk, since `at`.

    `account`: the `key_id` of the client that began it. `credentials`: what the carrier is to have, when `rotated`. `raw`:
    an answer to a rotate that could not be read, as Latin-1; the password may stand in it.
    """

    state: State
    trunk_id: str
    at: datetime
    sip_username: str | None = None
    account: str | None = None
    credentials: SipCredentials | None = None
    raw: Secret | None = None


def read_entries(content: bytes) -> tuple[dict[str, Entry] | int, int]:
    """Return what is known of each trunk, or the number of a line that makes no sense; and the
    length of the whole lines.

    What stands behind the last whole line was torn by a crash, and nothing relies on it. An object
    that is whole was not torn, it lacks the end of its line: an editor leaves that out.
    """
    entries: dict[str, Entry] = {}
    *lines, torn = content.split(b"\n")
    if torn.strip() and not _is_torn(torn):
        lines, torn = [*lines, torn], b""
    for number, line in enumerate(lines, 1):
        try:
            note(entries, _entry(json.loads(line)))
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError):
            return number, len(content)
    return entries, len(content) - len(torn)


def _is_torn(line: bytes) -> bool:
    """Whether it is the beginning of one of our lines, which no JSON value is."""
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return b"\0" in line or line.startswith(_BEGINNING[: len(line)])
    return False


def note(entries: dict[str, Entry], entry: Entry) -> None:
    """Take over the latest that is known of a trunk."""
    entries[entry.trunk_id] = entry
    if entry.state == "untouched":
        del entries[entry.trunk_id]


def write_line(entry: Entry) -> bytes:
    """Return the line of an entry, with its secrets in plain text."""
    return json.dumps(_fields(entry), separators=(",", ":")).encode() + b"\n"


def write_lines(entries: Iterable[Entry]) -> bytes:
    """Return the lines of a whole journal."""
    return b"".join(map(write_line, entries))


def _entry(fields: Mapping[str, Any]) -> Entry:
    if fields["state"] not in _STATES or not isinstance(fields["trunk_id"], str):
        raise ValueError("no state or trunk of ours")
    raw = fields.get("raw")
    return Entry(
        state=fields["state"],
        trunk_id=fields["trunk_id"],
        at=datetime.fromisoformat(fields["at"]).astimezone(UTC),
        sip_username=fields.get("sip_username"),
        account=fields.get("account"),
        credentials=_credentials(fields["credentials"]) if fields["state"] == "rotated" else None,
        raw=None if raw is None else Secret(raw),
    )


def _credentials(fields: Mapping[str, Any]) -> SipCredentials:
    rotated_at = fields["rotated_at"]
    return SipCredentials(
        id=fields["id"],
        sip_username=fields["sip_username"],
        sip_password=Secret(fields["sip_password"]),
        rotated_at=None if rotated_at is None else datetime.fromisoformat(rotated_at),
    )


def _fields(entry: Entry) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "state": entry.state,
        "trunk_id": entry.trunk_id,
        "at": entry.at.isoformat(),
        "sip_username": entry.sip_username,
        "account": entry.account,
        "raw": None if entry.raw is None else entry.raw.reveal(),
        "credentials": None if entry.credentials is None else _credential_fields(entry.credentials),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _credential_fields(credentials: SipCredentials) -> dict[str, str | None]:
    return {
        "id": credentials.id,
        "sip_username": credentials.sip_username,
        "sip_password": credentials.sip_password.reveal(),
        "rotated_at": None
        if credentials.rotated_at is None
        else credentials.rotated_at.isoformat(),
    }
