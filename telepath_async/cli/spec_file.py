"""Files of trunk specs -> checked specs, each with its line.

Passwords stand in a file: a fault gives the line, the field and the rule, and no content.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import attrs
from attrs import frozen

from telepath_async import Secret, TrunkSpec, UsageError

from .output import counted
from .spec_formats import FIELDS, READERS, Damaged, Numbered, read_csv, read_json, read_yaml

_BLANK: Final = dict.fromkeys(("name", "ai_provider", "sip_username", "sip_password"))
_MOST_FAULTS_SHOWN: Final = 50
_LONGEST_NAME: Final = 40
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")
_SAVE_AS: Final = "save it as UTF-8 (in Excel: File > Save As > CSV UTF-8)"
_STANDARD_INPUT: Final = Path("-")


@frozen
class SpecRow:
    """A spec, and the line of the file at which it begins."""

    line: int
    spec: TrunkSpec = attrs.field(repr=False)


def name_of(file: Path) -> str:
    """Return what a file is called in messages."""
    return "standard input" if file == _STANDARD_INPUT else str(file)


def read_rows(file: Path, keys: Mapping[str, Secret | None]) -> list[SpecRow]:
    """Return the specs of a file; `-` is standard input, whose format is seen from its first mark.

    `keys`: by provider, for the rows that have none of their own.

    Raises UsageError that lists every fault of every row with its line, and a username that occurs
    twice.
    """
    name = name_of(file)
    if file != _STANDARD_INPUT and file.suffix.lower() not in READERS:
        raise UsageError(f"{name} must end in {', '.join(READERS)}, which shows what it holds")
    try:
        text = _text_of(file)
        read = READERS.get(file.suffix.lower()) or _reader_of(text)
        numbered = list(read(text))
    except OSError as error:
        raise UsageError(f"cannot read {name}: {error.strerror}") from None
    except Damaged as damaged:
        raise UsageError(f"{name}, {damaged}") from None
    return _checked(name, numbered, keys)


def _reader_of(text: str) -> Callable[[str], Numbered]:
    """Return how to read a text: JSON begins with a bracket, YAML with a dash, CSV with a name."""
    begin = text.lstrip()[:1]
    return read_json if begin in ("[", "{") else read_yaml if begin == "-" else read_csv


def _text_of(file: Path) -> str:
    name = name_of(file)
    content = sys.stdin.buffer.read() if file == _STANDARD_INPUT else file.read_bytes()
    if content.startswith(_UTF_16) or b"\0" in content[:4]:
        raise UsageError(f"{name} is UTF-16: {_SAVE_AS}")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
    raise UsageError(f"{name}, line {line}: this is not UTF-8 (Windows-1252?): {_SAVE_AS}")


def _checked(
    file: str, numbered: list[tuple[int, Any]], keys: Mapping[str, Secret | None]
) -> list[SpecRow]:
    rows: list[SpecRow] = []
    faults: list[str] = []
    lines: dict[str, int] = {}
    for line, fields in numbered:
        made = _spec(fields, keys)
        if isinstance(made, str):
            faults.append(f"line {line}: {made}")
        elif made.sip_username in lines:
            faults.append(
                f"line {line}: this sip_username stands in line {lines[made.sip_username]} already"
            )
        else:
            lines[made.sip_username] = line
            rows.append(SpecRow(line, made))
    if not numbered:
        raise UsageError(f"{file} holds no trunks")
    if faults:
        more = (
            [f"… and {len(faults) - _MOST_FAULTS_SHOWN:,} more"]
            if len(faults) > _MOST_FAULTS_SHOWN
            else []
        )
        listed = "\n  ".join([*faults[:_MOST_FAULTS_SHOWN], *more])
        raise UsageError(
            f"nothing was sent, because {counted(len(faults), 'row')} of {file} "
            f"{'has' if len(faults) == 1 else 'have'} faults; correct them:\n  {listed}"
        )
    return rows


def _spec(fields: Any, keys: Mapping[str, Secret | None]) -> TrunkSpec | str:
    """Return the spec of a row, or all that is wrong with it."""
    if not isinstance(fields, dict):
        return f"must be a trunk with its fields, not {type(fields).__name__}"
    unknown = [f"unknown field {_field_name(name)}" for name in fields if name not in FIELDS]
    known: dict[str, Any] = _BLANK | {
        name: value for name, value in fields.items() if name in FIELDS and value is not None
    }
    provider = known["ai_provider"]
    key = keys.get(provider) if isinstance(provider, str) else None
    if key is not None:
        known.setdefault(f"{provider}_api_key", key)
    try:
        spec = TrunkSpec(**known)
    except UsageError as error:
        return "; ".join([*unknown, str(error)])
    return "; ".join(unknown) or spec


def _field_name(name: object) -> str:
    """Return a name as it stands in the file, where it is one: a long one may be anything."""
    text = str(name)
    return repr(text) if len(text) <= _LONGEST_NAME else f"of {len(text)} characters"
