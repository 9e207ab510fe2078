"""Everything that a sandbox knows: trunks, calls and numbers, all made up from one seed."""

import random

from .calls import CallLog
from .dialect import Dialect
from .generation import CallGenerator, Names
from .numbers import LINES, make_numbers
from .trunks import TrunkBook


class World:
    """Hold the data of one sandbox.

    `now` (Unix seconds) is the moment that the made-up calls lead up to.
    """

    def __init__(self, dialect: Dialect, *, trunks: int, calls: int, seed: int, now: int) -> None:
        rng = random.Random(seed)
        self.now = now
        self.trunks = TrunkBook(rng, dialect.trunk_id_prefix)
        self.trunks.populate(trunks, now)
        # Without a trunk, the calls belong to one that was deleted since.
        trunk_ids = tuple(self.trunks) or (f"{dialect.trunk_id_prefix}deleted00",)
        names = Names(dialect.call_id_prefix, dialect.call_statuses, trunk_ids, LINES)
        self.calls = CallLog(CallGenerator(rng, calls, now, names))
        self.numbers = make_numbers(rng)
