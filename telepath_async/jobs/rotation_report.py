"""What became of the trunks of a rotation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import define, field, frozen

from .ledger import Entry


@frozen(kw_only=True)
class UnrotatedTrunk:
    """A trunk whose rotation has not come to its end, and `why`."""

    trunk_id: str
    sip_username: str | None
    why: str


@frozen(kw_only=True)
class RotationReport:
    """What became of the trunks, by their ids.

    - `rotated`: got a new password in this run. `applied`: their carrier took it in this run; some
      may have been rotated by an earlier one.
    - `pending`: **their carrier may hold a dead password.** Run again: the journal knows how to go
      on.
    - `untouched`: nothing has been changed. `recent`: finished so recently that it was not due.
    - `uncertain`: trunks that may have been missed, because the list changed while it was read. Run
      again.
    """

    rotated: tuple[str, ...]
    applied: tuple[str, ...]
    pending: tuple[UnrotatedTrunk, ...]
    untouched: tuple[UnrotatedTrunk, ...]
    recent: tuple[str, ...]
    uncertain: int = 0

    @property
    def complete(self) -> bool:
        """Whether every trunk has a new password that its carrier knows."""
        return not (self.pending or self.untouched or self.uncertain)


@define
class Progress:
    """What has become of the trunks so far, by their ids; `why`: the latest failure of each."""

    rotated: list[str] = field(factory=list)
    applied: list[str] = field(factory=list)
    why: dict[str, str] = field(factory=dict)
    failures: int = 0

    def report(
        self, entries: Iterable[Entry], wanted: Mapping[str, str | None], recent: list[str]
    ) -> RotationReport:
        """Return the report: `entries`, of the journal; `wanted`: SIP usernames by trunk id."""
        pending = [entry for entry in entries if entry.state != "finished"]
        settled = {*self.applied, *recent, *(entry.trunk_id for entry in pending)}
        return RotationReport(
            rotated=tuple(self.rotated),
            applied=tuple(self.applied),
            pending=tuple(self._unrotated(entry.trunk_id, entry.sip_username) for entry in pending),
            untouched=tuple(
                self._unrotated(*trunk) for trunk in wanted.items() if trunk[0] not in settled
            ),
            recent=tuple(recent),
        )

    def _unrotated(self, trunk_id: str, sip_username: str | None) -> UnrotatedTrunk:
        why = self.why.get(
            trunk_id, "not reached: others failed first; mend those, or raise stop_after"
        )
        return UnrotatedTrunk(trunk_id=trunk_id, sip_username=sip_username, why=why)
