"""Read and write the lines of a rotation journal: what is known of each trunk. No I/O, no clock.

A trunk is `in doubt` from before a rotate is sent, `rotated` once its new password is known (the
carrier may not have it yet), and `finished` when the carrier has it; `untouched`, when the rotate
was refused. A line holds all that is known of a trunk, in JSON, so that its latest line is the one
that counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from attrs import asdict, fields_dict, frozen

from telepath_async import Secret, SipCredentials
from telepath_async.protocol.strict import strict_converter, structure_json

if TYPE_CHECKING:
    from cattrs import Converter

State: TypeAlias = Literal["in doubt", "rotated", "finished", "untouched"]
_BEGINNING: Final = b'{"state":"'


@frozen(kw_only=True)
class Entry:
    """What is known of one trunk, since `at`.

    `account`: the `key_id` of the client that began it. `credentials`: what the carrier is to have,
    when `rotated`. `raw`: an answer to a rotate that could not be read, as Latin-1; the password
    may stand in it.
    """

    state: State
    trunk_id: str
    at: datetime
    sip_username: str | None = None
    account: str | None = None
    credentials: SipCredentials | None = None
    raw: Secret | None = None

    def __attrs_post_init__(self) -> None:
        if (self.state == "rotated") != (self.credentials is not None):
            raise ValueError("credentials belong to the state 'rotated', and to no other")


@frozen(kw_only=True)
class _Credentials:
    """What a line keeps of `SipCredentials`."""

    id: str | None
    sip_username: str | None
    sip_password: Secret
    rotated_at: datetime | None


@frozen
class DamagedLine:
    """A line that is not of a rotation journal, and why; it shows no value."""

    number: int
    why: str


def read_entries(content: bytes) -> tuple[dict[str, Entry] | DamagedLine, int]:
    """Return what is known of each trunk, or the first damaged line; and the length of the whole
    lines.

    What follows the last whole line was torn by a crash, and nothing relies on it. An object that
    is whole was not torn, it lacks the end of its line: an editor leaves that out.
    """
    entries: dict[str, Entry] = {}
    *lines, torn = content.split(b"\n")
    if torn.strip() and not _is_torn(torn):
        lines, torn = [*lines, torn], b""
    for number, line in enumerate(lines, 1):
        entry = _read_line(line)
        if isinstance(entry, str):
            return DamagedLine(number, entry), len(content)
        note(entries, entry)
    return entries, len(content) - len(torn)


def _read_line(line: bytes) -> Entry | str:
    """Return the entry, or why it cannot be read."""
    try:
        return structure_json(_converter(), line, Entry)
    except ValueError as error:
        return str(error)


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
    fields = _converter().unstructure(entry)
    known = {name: value for name, value in fields.items() if value is not None}
    return json.dumps(known, separators=(",", ":")).encode() + b"\n"


def write_lines(entries: Iterable[Entry]) -> bytes:
    """Return the lines of a whole journal."""
    return b"".join(map(write_line, entries))


@cache
def _converter() -> Converter:
    converter = strict_converter()
    converter.register_unstructure_hook(Secret, Secret.reveal)
    converter.register_structure_hook(
        SipCredentials,
        lambda value, _: SipCredentials(
            **asdict(converter.structure(value, _Credentials), recurse=False)
        ),
    )
    converter.register_unstructure_hook(
        SipCredentials,
        lambda kept: converter.unstructure(
            _Credentials(**{name: getattr(kept, name) for name in fields_dict(_Credentials)})
        ),
    )
    return converter
