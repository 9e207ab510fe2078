"""Everything that a sandbox knows: trunks, calls and numbers, all made up from one seed."""

import random
from collections.abc import Callable

import attrs

from .calls import CallLog
from .dialect import Dialect
from .generation import CallGenerator, Names
from .numbers import LINES, make_numbers
from .selection import Order, Selection
from .trunks import TrunkBook


class World:
    """The data of one sandbox; the made-up calls lead up to `now` (Unix seconds).

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
        trunk_ids = tuple(self.trunks) or (f"{dialect.trunk_id_prefix}deleted00",)
        names = Names(dialect.call_id_prefix, dialect.call_statuses, trunk_ids, LINES)
        self.calls = CallLog(CallGenerator(rng, calls, now, names))
        self.numbers = make_numbers(rng)

    def ordered(self, rows: Selection, name_of: Callable[[int], str]) -> Selection:
        """Return rows in the order of this sandbox's lists."""
        if self.order == "name":
            return rows.by_name(name_of)
        return attrs.evolve(rows, newest_first=self.order == "newest")
