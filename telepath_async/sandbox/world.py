"""Everything that a sandbox knows: trunks, calls and numbers, all made up from one seed."""

import random
from collections.abc import Callable

import attrs

from .calls import CallLog
from .dialect import Dialect
from .generation import CallGenerator, Incident, Names
from .numbers import LINES, make_numbers
from .rhythm import Arrivals
from .selection import Order, Selection
from .trunks import TrunkBook


class World:
    """The data of one sandbox; the made-up calls lead up to `now` (Unix seconds).

    `incident`: whether the busiest trunk was slow for four hours. `live`: whether more calls come.
    `order`: of its lists. `max_offset`: a larger one is refused; None: none is.
    """

    def __init__(
        self,
        dialect: Dialect,
        *,
        trunks: int,
        calls: int,
        seed: int,
        now: int,
        incident: bool = True,
        live: bool = False,
        order: Order = "newest",
        max_offset: int | None = None,
    ) -> None:
        rng = random.Random(seed)
        self.now = now
        self.order = order
        self.max_offset = max_offset
        self.trunks = TrunkBook(rng, dialect.trunk_id_prefix)
        self.trunks.populate(trunks, now)
        # Without a trunk, the calls belong to one that was deleted since.
        known = [(trunk["id"], trunk["provider"]) for trunk in self.trunks.values()][::-1] or [
            (f"{dialect.trunk_id_prefix}deleted00", "openai")
        ]
        names = Names(dialect.call_id_prefix, dialect.call_statuses, known, LINES)
        slow = Incident.of_yesterday(known[0][0], now) if incident else None
        self.calls = CallLog(CallGenerator(rng, calls, now, names, slow))
        self.numbers = make_numbers(rng)
        self._arrivals = Arrivals(random.Random(seed), calls, now) if live else None

    def catch_up(self) -> None:
        """Let the calls come that ended since the last look, where the world is live."""
        if self._arrivals is None:
            return
        for end in self._arrivals.due():
            self.now = end
            self.calls.arrive(end)

    def ordered(self, rows: Selection, name_of: Callable[[int], str]) -> Selection:
        """Return rows in the order of this sandbox's lists."""
        if self.order == "name":
            return rows.by_name(name_of)
        return attrs.evolve(rows, newest_first=self.order == "newest")
