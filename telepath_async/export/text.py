"""Calls as CSV and as NDJSON, both in UTF-8."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import BinaryIO, Final

from telepath_async import Call

from .rows import COLUMNS, iso_time, values_of, write_json

# What a spreadsheet may take for a formula: anybody who can call can choose what stands here. The
# last four are the full-width forms, which some take for the plain ones. Phone numbers calculate to
# nothing worse than a wrong number.
_FORMULA: Final = re.compile("[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_PHONE_NUMBER: Final = re.compile(r"\+[0-9][0-9 ().-]*")
_BOM: Final = "\ufeff"
_ESCAPE: Final = "'"


class _TextRows:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def finish(self) -> None:
        """Nothing stands at the end."""

    def abandon(self) -> None:
        """Nothing is held beside the file."""


class NdjsonRows(_TextRows):
    """One JSON object a line, with every column; `null` for a missing value."""

    def write(self, calls: Sequence[Call]) -> None:
        rows = (dict(zip(COLUMNS, values_of(call), strict=True)) for call in calls)
        self._file.write("".join(f"{write_json(row)}\n" for row in rows).encode())


class CsvRows(_TextRows):
    """RFC 4180 with a header. Text stands in quotes and no value is empty without them, so that ""
    and none differ.

    A text that a spreadsheet could run as a formula has a `'` in front, and so has one that begins
    with `'`: take one away to get the text back. Phone numbers (`+1-555-010-0001`) stay as they
    are. `extra` is JSON. `bom`: begin with the mark by which Excel knows UTF-8.
    """

    def __init__(self, file: BinaryIO, *, bom: bool = False) -> None:
        super().__init__(file)
        file.write(f"{_BOM if bom else ''}{','.join(COLUMNS)}\r\n".encode())

    def write(self, calls: Sequence[Call]) -> None:
        self._file.write(
            "".join(f"{','.join(map(_cell, values_of(call)))}\r\n" for call in calls).encode()
        )


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        text = f"{_ESCAPE}{value}" if _needs_escape(value) else value
        return f'"{text.replace(_QUOTE, _QUOTE * 2)}"'
    if isinstance(value, datetime):
        return iso_time(value)
    if isinstance(value, dict):
        return f'"{write_json(value).replace(_QUOTE, _QUOTE * 2)}"'
    return str(value)


def _needs_escape(text: str) -> bool:
    return text.startswith(_ESCAPE) or (
        _FORMULA.match(text) is not None and _PHONE_NUMBER.fullmatch(text) is None
    )


_QUOTE: Final = '"'
