"""The specs of a batch, checked together before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from ..checks import check_iterable
from ..errors import UsageError
from .trunk_spec import FIELDS, TrunkSpec, spec_faults

_MOST_FAULTS_SHOWN: Final = 50


def check_specs(specs: Iterable[TrunkSpec | Mapping[str, Any]]) -> list[TrunkSpec] | UsageError:
    """Return all specs, made from mappings where needed, or one UsageError with every fault."""
    entries = list(check_iterable("specs", specs, "TrunkSpecs or mappings of their fields"))
    faults = [
        f"[{index}]: {fault}" for index, entry in enumerate(entries) for fault in _faults(entry)
    ]
    faults += _duplicates(entries)
    if faults:
        shown = "\n  ".join(faults[:_MOST_FAULTS_SHOWN])
        more = (
            f"\n  … and {len(faults) - _MOST_FAULTS_SHOWN} more"
            if len(faults) > _MOST_FAULTS_SHOWN
            else ""
        )
        return UsageError(
            f"nothing was sent, because {len(faults)} faults stand in the batch; correct "
            f"them:\n  {shown}{more}"
        )
    return [entry if isinstance(entry, TrunkSpec) else TrunkSpec(**entry) for entry in entries]


def _faults(entry: object) -> list[str]:
    if isinstance(entry, TrunkSpec):
        return []
    if not isinstance(entry, Mapping):
        return [f"must be a TrunkSpec or a mapping of its fields, not {type(entry).__name__}"]
    unknown = [
        f"unknown field {name!r} (put it into extra={{…}})"
        for name in entry
        if name not in (*FIELDS, "extra")
    ]
    return unknown + spec_faults(entry)


def _duplicates(entries: list[TrunkSpec | Mapping[str, Any]]) -> list[str]:
    indexes_of: dict[str, list[int]] = {}
    for index, entry in enumerate(entries):
        username = _username(entry)
        if username is not None:
            indexes_of.setdefault(username, []).append(index)
    return [
        f"one sip_username stands at {', '.join(f'[{index}]' for index in indexes)}; it must be "
        "unique"
        for indexes in indexes_of.values()
        if len(indexes) > 1
    ]


def _username(entry: object) -> str | None:
    username = (
        entry.get("sip_username")
        if isinstance(entry, Mapping)
        else getattr(entry, "sip_username", None)
    )
    return username if isinstance(username, str) else None
