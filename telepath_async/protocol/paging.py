"""The paging machine: which page to ask for next, what of it is new, and where we stand. No I/O.

    START ---- a page with a cursor, or has_more ----> CURSOR   (cursors.py)
      |------- any other page -----------------------> OFFSET   (offsets.py)

Both end in `done`. A page that contradicts the style of the list is an error, not its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Generic

from attrs import define, evolve

from .answers import ListBody
from .checkpoint import Checkpoint, PagePosition, Style
from .cursors import CursorPaging
from .odd_rows import OddValue, RejectedRow
from .offsets import OffsetPaging
from .plan import Drift as Drift
from .plan import Plan as Plan
from .plan import Row as Row
from .plan import T, contradiction
from .recent_ids import RecentIds
from .url import Query, query_of

_MAX_EMPTY_PAGES: Final = 1_000


def style_of(body: ListBody[Any]) -> Style | None:
    """Return the paging style that a page shows; None: it shows none."""
    if body.paged_by_cursor:
        return "cursor"
    named = (body.total, body.limit, body.offset)
    return None if named == (None, None, None) else "offset"


@define(kw_only=True)
class PageInHand(Generic[T]):
    """The rows still to be handed out, and the index of each in its page."""

    before: PagePosition
    position: PagePosition
    rows: Sequence[T] = ()
    indexes: Sequence[int] = ()
    rejected: tuple[RejectedRow, ...] = ()
    odd: tuple[OddValue, ...] = ()
    taken: int = 0

    @property
    def checkpoint(self) -> Checkpoint:
        """Where the walk stands; made only when somebody asks."""
        if self.taken == len(self.rows):
            return self.position.after
        if self.taken == 0:
            return self.before.after
        last = self.taken - 1
        return self.position.after_row(self.indexes[last], self.rows[last].id)


class Paging(Generic[T]):
    """One walk: ask for `upcoming(1)[0]`, hand its answer to `receive`, `take` the rows."""

    def __init__(self, plan: Plan[T]) -> None:
        start = plan.start
        self.plan = plan
        self.drift = Drift(uncertain=int(start.unsure))
        self._known = RecentIds(plan.shards, start.last)
        self._machine = None if start.style is None else self._make_machine(start.style)
        stands = PagePosition(start)
        self._page: PageInHand[T] = PageInHand(before=stands, position=stands)
        self._empty_pages = 0
        self._rejected: tuple[RejectedRow, ...] = ()  # on the latest page, known ones too

    def _make_machine(self, style: Style) -> CursorPaging | OffsetPaging:
        if style == "cursor":
            return CursorPaging(self.plan, self.drift)
        return OffsetPaging(self.plan, self.drift, self._known)

    @property
    def done(self) -> bool:
        """Whether all pages have been received."""
        return self.plan.start.done if self._machine is None else self._machine.done

    @property
    def total(self) -> int | None:
        """How many rows there are by the server's count, or None."""
        return None if self._machine is None else self._machine.total

    @property
    def step(self) -> int:
        """How many new rows a page brings while the list stands still."""
        return self.plan.page_size if self._machine is None else self._machine.step

    @property
    def checkpoint(self) -> Checkpoint:
        """The position after the last row taken."""
        found = self._page.checkpoint
        # It does not hold the ids of rows that other shards may hand out again.
        return evolve(found, unsure=True) if self.plan.undated else found

    @property
    def rejected(self) -> tuple[RejectedRow, ...]:
        """The rows of the page in hand that have no usable id, and were not on a page before."""
        return self._page.rejected

    @property
    def odd(self) -> tuple[OddValue, ...]:
        """The values in the rows in hand that are not of their fields' types."""
        return self._page.odd

    @property
    def in_hand(self) -> int:
        """How many rows can be taken before another page is needed."""
        return len(self._page.rows) - self._page.taken

    def take(self) -> T | None:
        """Return the next row to hand out, or None when another page is needed first."""
        page = self._page
        if page.taken == len(page.rows):
            return None
        page.taken += 1
        return page.rows[page.taken - 1]

    def take_page(self, most: int | None) -> list[T]:
        """Return all rows in hand, or the first `most` of them."""
        page = self._page
        rows = list(page.rows[page.taken :][:most])
        page.taken += len(rows)
        return rows

    def upcoming(self, n: int) -> list[Query]:
        """Return the queries of the next `n` pages, if nothing surprising comes back.

        The first is certain.
        """
        if self.done:
            return []
        if self._machine is None:
            return [query_of(limit=self.plan.page_size)]
        return self._machine.upcoming(n)

    def receive(self, body: ListBody[T]) -> bool:
        """Accept the answer to `upcoming(1)[0]`; False: ask for `upcoming` again.

        Raises PagingError when the server contradicts itself; nothing has changed then.
        """
        shown, ids, rejected = style_of(body), [row.id for row in body.rows], body.rejected
        machine = self._machine or self._make_machine(shown or self.plan.style_hint or "offset")
        if shown is not None and shown != machine.style:
            if isinstance(machine, OffsetPaging) and machine.repeats.probing:
                machine.done = True  # a cursor server, whose first page was the last
                return False
            if shown == "cursor" and self._has_begun_at_a_guess():
                start = evolve(self.plan.start, style="cursor")
                self._machine = CursorPaging(evolve(self.plan, start=start), self.drift)
                return False
            raise contradiction(
                self.plan.of, f"began with {machine.style} paging and went on with {shown} paging"
            )
        if rejected and not ids and not self._page.rows and rejected == self._rejected:
            raise contradiction(self.plan.of, "gave the same page twice, without a usable id on it")
        if isinstance(machine, CursorPaging):
            position: PagePosition | None = machine.receive(body, ids)
        else:
            position = machine.receive(body, ids, _marks(rejected))
        self._machine = machine
        if position is None:
            return False
        self._rejected = rejected
        self._hand_out(body, ids, position)
        return True

    def _has_begun_at_a_guess(self) -> bool:
        """Whether nothing but a checkpoint shows that this list is paged by offset.

        Its page may have been the whole list of a cursor server, and have shown no style.
        """
        start = self.plan.start
        is_fresh = self._page.before is self._page.position
        return is_fresh and start.style == "offset" and start.total is None

    def _hand_out(self, body: ListBody[T], ids: list[str], position: PagePosition) -> None:
        """Put into hand what is new and wanted."""
        rows, rejected, odd = body.rows, body.rejected, body.odd
        new, indexes = self._new_rows(rows, ids, position.skip)
        known = len(rows) - position.skip - len(new)
        self.drift.repeated += max(0, known - max(0, position.asked_twice - position.skip))
        if rejected:
            rejected = self._new_rejected(rejected, again=position.asked_twice > 0)
        wanted, indexes = self._wanted(new, indexes)
        if odd:
            odd = self._wanted_odd(odd, wanted)
        if rows and not new and isinstance(self._machine, OffsetPaging):
            # The row of the checkpoint is the last of this page, or was pushed on beyond it.
            here = evolve(self.checkpoint, style="offset", done=self.done)
            position = evolve(position, start=here, page={}, end={})
        self._page = PageInHand(
            before=self._page.position,
            position=position,
            rows=wanted,
            indexes=indexes,
            rejected=rejected,
            odd=odd,
        )
        self._empty_pages = 0 if new else self._empty_pages + 1
        if self._empty_pages >= _MAX_EMPTY_PAGES and not self.done:
            raise contradiction(self.plan.of, f"has {_MAX_EMPTY_PAGES} pages without a new row")

    def _wanted(
        self, rows: Sequence[T], indexes: Sequence[int]
    ) -> tuple[Sequence[T], Sequence[int]]:
        """Return the rows that the plan keeps, and their indexes; count the others."""
        keeps = self.plan.keeps
        if keeps is None:
            return rows, indexes
        kept = [at for at, row in enumerate(rows) if keeps(row)]
        self.drift.outside += len(rows) - len(kept)
        return [rows[at] for at in kept], [indexes[at] for at in kept]

    def _new_rejected(
        self, rejected: tuple[RejectedRow, ...], *, again: bool
    ) -> tuple[RejectedRow, ...]:
        """Return and count those that were not on a page before; remember them."""
        marks = _marks(rejected)
        new = tuple(
            row
            for row, mark in zip(rejected, marks, strict=True)
            if not (again and mark in self._known)
        )
        self.drift.rejected += len(new)
        self._known.add(set(marks))
        return new

    def _wanted_odd(self, odd: tuple[OddValue, ...], wanted: Sequence[T]) -> tuple[OddValue, ...]:
        """Return those in the rows to be handed out, which are counted."""
        ids = {row.id for row in wanted}
        found = tuple(value for value in odd if value.id in ids)
        self.drift.odd += len({value.id for value in found})
        return found

    def _new_rows(
        self, rows: list[T], ids: list[str], skip: int
    ) -> tuple[Sequence[T], Sequence[int]]:
        """Return the rows that are new and their indexes; remember their ids."""
        # Almost always, what we know stands at the beginning.
        while skip < len(ids) and ids[skip] in self._known:
            skip += 1
        distinct = set(ids[skip:])
        if len(distinct) == len(ids) - skip and self._known.isdisjoint(distinct):
            self._known.add(distinct)
            return rows[skip:], range(skip, len(rows))
        new = []
        for index in range(skip, len(ids)):
            if ids[index] not in self._known:
                self._known.add({ids[index]})
                new.append(index)
        return [rows[index] for index in new], new


def _marks(rejected: tuple[RejectedRow, ...]) -> list[str]:
    """Return what stands for the ids of rows that have none: they may be all that pages share.

    Hashes, since a row may be long, and 10,000 are remembered.
    """
    return [f"row {hash(repr(row.row))}" for row in rejected]
