"""Rows that are not as the API's pages describe them: a description of them, without a value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from attrs import field, frozen

from .redaction import sanitize

_MOST_NAMED: Final = 10
_LONGEST_NAME: Final = 200


@frozen(kw_only=True)
class RejectedRow:
    """A row that cannot be handed out, because it has no usable id.

    `path`: where it stood in the answer; `reason`: what is wrong; `row`: the row, its secrets
    hidden, or None where it is nested too deeply.
    """

    path: str
    reason: str
    row: Any = field(repr=False)


@frozen(kw_only=True)
class OddValue:
    """A value that is not of its field's type, and so stands in `extra`, in the row with this `id`.

    `field`: its name on the wire, and the way to it (`metrics.calls_today`); `reason`: what was
    expected.
    """

    id: str
    field: str
    reason: str


def describe(
    of: str, rejected: Sequence[RejectedRow] = (), odd: Sequence[OddValue] = ()
) -> str | None:
    """Return one line about a page of the list of `of`, the first ten of a kind named, or None."""
    parts = []
    if rejected:
        reasons = _named(row.reason for row in rejected)
        parts.append(f"left out, without a usable id: {len(rejected)} ({reasons})")
    if odd:
        values = _named(f"{value.id}: {value.field}: {value.reason}" for value in odd)
        parts.append(f"in extra, not of their fields' types: {len(odd)} ({values})")
    return f"the list of {of}: {'; '.join(parts)}" if parts else None


def _named(faults: Iterable[str]) -> str:
    named = [sanitize(fault)[:_LONGEST_NAME] for fault in faults]
    left = len(named) - _MOST_NAMED
    return "; ".join(named[:_MOST_NAMED]) + (f"; and {left} more" if left > 0 else "")
