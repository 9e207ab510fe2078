"""`RecentIds`: the ids of the latest rows received, in bounded memory."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

_REMEMBERED_IDS: Final = 10_000


class RecentIds:
    """The ids of at least the latest 10,000 rows: two sets, of which the older is dropped whole.

    `shards` that are read at the same time share that number. `last`: the row that stands last in
    the list, of those received.
    """

    def __init__(self, shards: int = 1, last: str | None = None) -> None:
        self.last = last
        self.forgot = last is not None  # a resume: its rows were received earlier
        self._lost_last = False  # rows received earlier may still stand after the last one
        self._most = max(1, _REMEMBERED_IDS // shards)
        self._latest: set[str] = set() if last is None else {last}
        self._older: set[str] = set()

    def __len__(self) -> int:
        return len(self._latest) + len(self._older)

    def __contains__(self, row_id: str) -> bool:
        return row_id in self._latest or row_id in self._older

    def isdisjoint(self, ids: Collection[str]) -> bool:
        """Whether none of the ids is known."""
        return self._latest.isdisjoint(ids) and self._older.isdisjoint(ids)

    def add(self, ids: set[str]) -> None:
        """Remember the ids."""
        if len(self._latest) >= self._most:
            self.forgot = self.forgot or bool(self._older)
            self._older, self._latest = self._latest, set()
        self._latest.update(ids)

    def forgotten(self, ids: list[str]) -> int:
        """Return how many rows at the beginning of a page may have been received and forgotten.

        They stand before the first row that we know, and were inserted, or received long ago.
        """
        if not self.forgot:
            return 0
        return next((index for index, row_id in enumerate(ids) if row_id in self), len(ids))

    def begin_anew(self) -> None:
        """Take every row for new."""
        self.last, self.forgot = None, False

    def reach_last(self, ids: list[str], *, joined: bool) -> int:
        """Return how many rows of a page may have received rows after them; note the new last row.

        If the page has `joined` and the last row is not on it, that was pushed on; or it was
        deleted, which nothing proves.
        """
        before = 0
        if joined and self.last is not None and self.last in self:
            if self.last in ids:
                before = ids.index(self.last)
            elif not ids or ids[-1] in self:
                return len(ids) + 1
            else:
                self._lost_last = True
        self.last = ids[-1] if ids else self.last
        return len(ids) + 1 if self._lost_last else before
