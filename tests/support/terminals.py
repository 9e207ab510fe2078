"""Text that drives a terminal, where it is printed as it is."""

from __future__ import annotations

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b2J\x9d0;x\x9c\x7f\x85\u2028\u202e\u2066\u200f\ufeff"


def is_harmless(text: str) -> bool:
    return all(line.isprintable() for line in text.split("\n"))
