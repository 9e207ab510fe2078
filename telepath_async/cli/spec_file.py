"""Files of trunk specs: CSV, JSON, NDJSON or YAML -> checked specs, each with its line.

A parser's own message may quote the file, and passwords stand in it: a fault here gives the line,
and no content.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import attrs
from attrs import frozen

from telepath_async import Secret, TrunkSpec, UsageError

from .output import counted

_FIELDS: Final = tuple(field.name for field in attrs.fields(TrunkSpec))
_BLANK: Final = dict.fromkeys(("name", "ai_provider", "sip_username", "sip_password"))
_MOST_FAULTS_SHOWN: Final = 50
_STANDARD_INPUT: Final = Path("-")
_WHITE: Final = re.compile(r"\s*")
_Numbered = Iterator[tuple[int, Any]]


@frozen
class Row:
    """A spec, and the line of the file at which it begins."""

    line: int
    spec: TrunkSpec = attrs.field(repr=False)


def name_of(file: Path) -> str:
    """Return what a file is called in messages."""
    return "standard input" if file == _STANDARD_INPUT else str(file)


def read_rows(file: Path, keys: Mapping[str, Secret | None]) -> list[Row]:
    """Return the specs of a file; `-` is standard input, whose format is seen from its first mark.

    `keys`: by provider, for the rows that have none of their own.

    Raises UsageError that lists every fault of every row with its line, and a username that occurs
    twice.
    """
    name = name_of(file)
    if file != _STANDARD_INPUT and file.suffix.lower() not in _READERS:
        raise UsageError(f"{name} must end in {', '.join(_READERS)}, which says what it holds")
    try:
        text = _text_of(file)
        read = _READERS.get(file.suffix.lower()) or _reader_of(text)
        numbered = list(read(text))
    except OSError as error:
        raise UsageError(f"cannot read {name}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{name} is no text in UTF-8: save it so") from None
    except _Damaged as damaged:
        raise UsageError(f"{name}, {damaged}") from None
    return _checked(name, numbered, keys)


def _text_of(file: Path) -> str:
    if file == _STANDARD_INPUT:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    return file.read_text(encoding="utf-8-sig")


def _reader_of(text: str) -> Callable[[str], _Numbered]:
    """Return how to read a text: JSON begins with a bracket, YAML with a dash, CSV with a name."""
    begin = text.lstrip()[:1]
    return _json if begin in ("[", "{") else _yaml if begin == "-" else _csv


class _Damaged(Exception):
    """The file is not of the kind that its name says."""


def _checked(
    file: str, numbered: list[tuple[int, Any]], keys: Mapping[str, Secret | None]
) -> list[Row]:
    rows: list[Row] = []
    faults: list[str] = []
    lines: dict[str, int] = {}
    for line, fields in numbered:
        made = _spec(fields, keys)
        if isinstance(made, str):
            faults.append(f"line {line}: {made}")
        elif made.sip_username in lines:
            faults.append(
                f"line {line}: sip_username {made.sip_username!r} stands in line "
                f"{lines[made.sip_username]} already"
            )
        else:
            lines[made.sip_username] = line
            rows.append(Row(line, made))
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
    unknown = [f"unknown field {str(name)[:60]!r}" for name in fields if name not in _FIELDS]
    known: dict[str, Any] = _BLANK | {
        name: value for name, value in fields.items() if name in _FIELDS and value is not None
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


def _csv(text: str) -> _Numbered:
    reader = csv.DictReader(
        io.StringIO(text, newline=""), strict=True, restkey="(beyond the last column)"
    )
    try:
        if reader.fieldnames and not any(name.strip() in _FIELDS for name in reader.fieldnames):
            # A trunk, most likely, and its password would be called an unknown field.
            raise _Damaged(
                "line 1: this must name the columns, with commas between them: name,ai_provider,…"
            )
        for row in reader:
            yield (
                reader.line_num,
                {(name or "").strip(): value or None for name, value in row.items()},
            )
    except csv.Error:
        raise _Damaged(
            f"line {reader.reader.line_num}: this is no CSV; look at the quotes"
        ) from None


def _json(text: str) -> _Numbered:
    """An array, or a value a line: one after the other, so that each has its line."""
    decode, end = json.JSONDecoder().raw_decode, len(text.rstrip())
    inside = text.lstrip().startswith("[")
    place, line, seen = _behind(text, 0, "[" if inside else ""), 1, 0
    while place < end and not (inside and text[place] == "]"):
        line, seen = line + text.count("\n", seen, place), place
        try:
            value, after = decode(text, place)
        except (ValueError, RecursionError) as error:
            raise _damaged_json(text, getattr(error, "pos", place)) from None
        yield line, value
        place = _behind(text, after, "," if inside else "")
    if inside and place != end - 1:  # the bracket that closes it
        raise _damaged_json(text, place)


def _behind(text: str, place: int, mark: str) -> int:
    """Return the next index after white space, one `mark`, and white space."""
    index = _after_white(text, place)
    if mark and text.startswith(mark, index):
        index = _after_white(text, index + len(mark))
    return index


def _after_white(text: str, index: int) -> int:
    return _WHITE.match(text, index).end()  # type: ignore[union-attr]  # it matches anything


def _damaged_json(text: str, place: int) -> _Damaged:
    line = text.count("\n", 0, place) + 1
    return _Damaged(f"line {line}: this is no JSON; look at the commas, quotes and brackets")


def _yaml(text: str) -> _Numbered:
    import yaml

    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if not isinstance(node, yaml.SequenceNode):
            raise _Damaged("line 1: this must be a list of trunks, each begun by a dash")
        for child in node.value:
            yield child.start_mark.line + 1, loader.construct_object(child, deep=True)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = 1 if mark is None else mark.line + 1
        raise _Damaged(
            f"line {line}: this is no YAML; a text that begins with * & ! % @ or ` needs quotes"
        ) from None


_READERS: Final[dict[str, Callable[[str], _Numbered]]] = {
    ".csv": _csv,
    ".json": _json,
    ".ndjson": _json,
    ".jsonl": _json,
    ".yaml": _yaml,
    ".yml": _yaml,
}
