"""The OFFSET state: where in a changing list to ask, and whether the answer joins on to what was
received. No I/O.

Everything rests on one fact: rows keep their order. So a page that holds a row which we know begins
inside of what we have, and nothing is missing in front of it, whatever was inserted or deleted
meanwhile. Hence:

- A list that stands still is asked for page after page; the next offset counts the rows received, since servers cap `limit`.
- Once `total` changes, or is missing, each page is asked one row early (`overlap=n`: n rows, always), and must hold a row
  that we know. After deletions, about as many rows early as were deleted (a quarter page at most),
  so that steady deletions cost rows and not requests.
- A page that does not join on is asked for again further back: by what `total` fell, then twice as far each time; five
  times at most before a new row comes. Then we go on and count `uncertain`.
- A resume looks for the row of its checkpoint in the same way, ahead too; if it is gone, the walk begins anew, and says so.

Invisible, unless `overlap` is given: an insertion and a deletion between two pages that leave
`total` as it was.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from attrs import define

from ..errors import PagingError
from .checkpoint import Checkpoint
from .answers import ListBody

_REMEMBERED_IDS: Final = 10_000
_MOST_STEPS: Final = 5
_PAGES_AWAY: Final = (0, 1, -1, 2, -2)


@define(kw_only=True)
class Drift:
    """What a walk met because the list changed under it, or the server ignored a filter.

    `repeated`: rows that came twice and were dropped; `stepped_back`: how often a page was asked for again elsewhere, to
    close a gap; `outside`: rows outside the date range, dropped; `uncertain`: rows that may have been missed or handed
    out twice, all the same (an estimate): 0 means that every row that lived through the whole walk was handed out once.
    """

    repeated: int = 0
    stepped_back: int = 0
    outside: int = 0
    uncertain: int = 0


def circular(of: str, fact: str) -> PagingError:
    """Return the error for a server whose list of `of` contradicts itself."""
    return PagingError(
        f"the server's list of {of} {fact}; nothing more can be had safely: report it to the vendor"
    )


class RecentIds:
    """The ids of at least the latest 10,000 rows, so that memory stays flat: two sets, of which the
    older is let go whole.

    `walks` that are on their way at the same time share them.
    """

    def __init__(self, walks: int = 1) -> None:
        self.forgot = False
        self._most = max(1, _REMEMBERED_IDS // walks)
        self._latest: set[str] = set()
        self._older: set[str] = set()

    def __len__(self) -> int:
        return len(self._latest) + len(self._older)

    def __contains__(self, row_id: str) -> bool:
        return row_id in self._latest or row_id in self._older

    def isdisjoint(self, ids: Collection[str]) -> bool:
        """Whether none of the ids is known."""
        return self._latest.isdisjoint(ids) and self._older.isdisjoint(ids)

    def add(self, ids: set[str]) -> None:
        """Remember the ids; the set is ours from here on."""
        if len(self._latest) >= self._most:
            self.forgot = bool(self._older)
            self._older, self._latest = self._latest, set()
        if self._latest:
            self._latest.update(ids)
        else:
            self._latest = ids


class Offsets:
    """Ask at `first`, hand the answer to `receive`; `frontier` rows lie behind us. `known`: ids of
    the rows received.

    `in_doubt`: a checkpoint in front of this place is not exact.
    """

    def __init__(
        self, start: Checkpoint, *, known: RecentIds, drift: Drift, page_size: int, overlap: int
    ) -> None:
        self.frontier = start.at
        self.total = start.total
        self.page_length = page_size
        self.done = False
        self.in_doubt = 0
        self._anchor = self._furthest = start.last
        self._resumed = self._seeking = start.last is not None
        self._of = start.of
        self._known = known
        self._drift = drift
        self._page_size = page_size
        self._overlap = overlap
        self._margin = overlap
        self._early = 1 if start.last else 0
        self._fell = self._grew = 0
        self._steps = 0
        self._elsewhere = False
        self._last_first = self._repeats = 0
        self._last_ids: list[str] = []

    @property
    def first(self) -> int:
        """The offset to ask for."""
        return max(0, self.frontier - self._early)

    def upcoming(self, n: int) -> list[int]:
        """Return the offsets of the next `n` pages if the list stands still; of one, where nothing says what comes then."""
        searching = self._seeking or self._elsewhere
        end = self.first + 1 if searching else max(self.total or 0, self.first + 1)
        return list(range(self.first, end, self.page_length - self._room())[:n])

    def receive(self, body: ListBody[Any], ids: list[str]) -> int | None:
        """Take in the page at `first`. Return how many of its rows lie in front of us; None: ask
        again, `first` has moved.

        Raises PagingError when the server does not heed the offset; nothing has changed then.
        """
        first = self.first
        if body.offset is not None and body.offset != first:
            raise circular(
                self._of, f"was asked for offset {first} and answered with offset {body.offset}"
            )
        repeats = (
            self._repeats + 1 if ids and ids == self._last_ids and first > self._last_first else 0
        )
        whole_list = body.total is None and body.limit is None and len(ids) < self._page_size
        if repeats == 2 and not whole_list:
            raise circular(
                self._of, f"gave the same page at three offsets, the last of them {first}"
            )
        compared = self._compare_total(body.total, first + len(ids) if ids else 0)
        if not self._joins_on(ids, compared) and self._go_elsewhere(ids):
            return None
        self._count_forgotten(ids)
        self._find_furthest(ids, compared)
        self.done = repeats == 2 if repeats else self._is_end(body, ids)
        self._accept(first, ids)
        self._repeats = repeats
        # What stands in front of the row of the checkpoint was handed out before the resume, or
        # came later. `None in ids` would compare each of a page's ids: 2 µs, here and in
        # `_find_furthest`.
        return (
            ids.index(self._anchor) + 1 if self._anchor is not None and self._anchor in ids else 0
        )

    def _compare_total(self, total: int | None, reached: int) -> bool:
        """Note how the list has grown or shrunk. Return whether that can be known."""
        if total is not None and total < reached:
            total = None  # it counts something else
        before, self.total = self.total, total
        if total is None or before not in (None, total):
            self._margin = max(1, self._margin)
        if total is None or before is None:
            return False
        self._fell += max(0, before - total)
        self._grew += max(0, total - before)
        return True

    def _joins_on(self, ids: list[str], compared: bool) -> bool:
        if self._seeking:
            return self._anchor in ids
        if self.first == 0 or not self._known.isdisjoint(ids):
            return True
        if self._early or self._fell:
            return False
        if self.page_length == 1 and (self._overlap or not compared):
            self._drift.uncertain += len(ids)  # there is no room for a row that we know
            return True
        return compared

    def _go_elsewhere(self, ids: list[str]) -> bool:
        """Move to where a page may join on. Return False when that was tried often enough."""
        if self._steps == _MOST_STEPS and not self._seeking:
            self._drift.uncertain += max(1, self._fell)
            return False
        self._steps += 1
        self._drift.stepped_back += 1
        self._elsewhere = True
        if self._seeking:
            self._seek(len(ids))
        elif self._steps == 1 and self._fell >= self._early:
            self._early = min(
                2 * self._fell + 1, self.page_length
            )  # as many may go again until the answer
        else:
            self._early = max(self._fell + 1, self.page_length, 2 * self._early)
        return True

    def _seek(self, received: int) -> None:
        """Look where `total` says that the row has gone to, and around it; at last begin anew, which loses nothing."""
        self.page_length = received or self.page_length
        shift = self._grew - self._fell
        tried = self._steps if shift == 0 else self._steps - 1
        if tried < len(_PAGES_AWAY):
            self._early = 1 - shift - _PAGES_AWAY[tried] * self.page_length
            return
        self._drift.uncertain += self.frontier
        self.frontier = self._early = self._fell = self._grew = 0
        self._anchor = self._furthest = None
        self._seeking = False

    def _count_forgotten(self, ids: list[str]) -> None:
        """Count the rows that may come again unnoticed: handed out before the resume, or so long ago that we forgot them."""
        known, reach = self._known, min(self._grew + self._early, self.frontier)
        if not reach or not (self._resumed or known.forgot) or self._anchor in ids:
            return
        strange = next((place for place, row_id in enumerate(ids) if row_id in known), len(ids))
        if strange:
            self._drift.uncertain += max(strange, reach - len(known))

    def _find_furthest(self, ids: list[str], compared: bool) -> None:
        """Note up to which place rows may have others behind them that were received before: insertions push them on."""
        stands = (
            compared and not self._overlap and self._grew + self._early <= len(ids)
        )  # else it would be on the page
        if self._furthest is not None and self._furthest in ids:
            self.in_doubt = self.first + ids.index(self._furthest) + 1
        elif self._furthest is None or stands:
            self.in_doubt = 0
        elif ids:
            self.in_doubt = self.first + len(ids) + 1
            return
        self._furthest = ids[-1] if ids else self._furthest
        self._grew = 0

    def _is_end(self, body: ListBody[Any], ids: list[str]) -> bool:
        reached = self.first + len(ids)
        if not ids:
            # A server that stops before its own total (a cap on the offset, say) has not given us
            # everything.
            self._drift.uncertain += max(0, (self.total or 0) - reached)
            return True
        if self.total is not None:
            return self.total == reached
        if body.limit is not None:
            return len(ids) < body.limit
        return reached <= self.frontier and not (self._elsewhere or self._seeking)

    def _accept(self, first: int, ids: list[str]) -> None:
        self.frontier = first + len(ids)
        self.page_length = len(ids) or self.page_length
        if self._elsewhere and self._fell:
            self._margin = max(self._overlap, 1, min(self._fell + 1, self.page_length // 4))
        if self._steps and any(row_id not in self._known for row_id in ids):
            self._steps = 0
        self._seeking = False
        self._fell = 0
        self._elsewhere = False
        self._early = self._room()
        self._last_first, self._last_ids = first, ids

    def _room(self) -> int:
        """Return by how many rows a page can be asked early and still bring a new one."""
        return min(self._margin, self.page_length - 1)
