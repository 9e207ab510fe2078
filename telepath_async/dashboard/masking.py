"""Hide phone numbers, all but their ends."""

from __future__ import annotations

import re
from typing import Final

_NUMBER: Final = re.compile(r"\+\d[\d\s().-]{5,}\d")
_SHOWN: Final = 2  # digits at either end


def mask_number(number: str | None) -> str | None:
    """Return a phone number with its middle hidden."""
    if number is None:
        return None
    digits = [index for index, character in enumerate(number) if character.isdigit()]
    hidden = set(digits[_SHOWN : len(digits) - _SHOWN]) if len(digits) > 2 * _SHOWN else set(digits)
    return "".join("•" if index in hidden else c for index, c in enumerate(number))


def mask_numbers(text: str, *known: str | None) -> str:
    """Hide every phone number in a text: the known ones, and what is written like one."""
    for number in filter(None, known):
        text = text.replace(number, mask_number(number) or "")
    return _NUMBER.sub(lambda match: mask_number(match[0]) or "", text)
