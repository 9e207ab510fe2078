"""The cursor style: follow `next_cursor` until a page has none. No I/O.

- An empty page with a next cursor is not the end.
- A page without a cursor and without `has_more` is the end, whether or not it has the keys.
- `has_more` without a cursor is an error; so is a cursor that was seen before, except where
  `has_more` is false. All cursors are remembered, as hashes.
- The cursor goes back byte for byte.
"""

from __future__ import annotations

from typing import Any, Final

from .answers import ListBody
from .checkpoint import PagePosition
from .plan import Drift, Plan, contradiction
from .url import Query, query_of

_LARGEST_PAGE: Final = 100


class CursorPaging:
    """Ask `upcoming(1)[0]`, hand the answer to `receive`."""

    style: Final = "cursor"
    total: Final = None
    step: int

    def __init__(self, plan: Plan[Any], drift: Drift) -> None:
        self.done = plan.start.done
        self.step = plan.page_size
        self._plan = plan
        self._drift = drift
        self._cursor = plan.start.cursor
        self._seen = {hash(self._cursor)}
        self._anchor = plan.start.last

    def upcoming(self, n: int) -> list[Query]:
        """Return the query of the next page; those after it need its answer first."""
        # After a resume, a page smaller than the first time might end before the anchor.
        received = 0 if self._anchor is None else self._plan.start.at + 1
        limit = max(self._plan.page_size, min(received, _LARGEST_PAGE))
        return [query_of(limit=limit, cursor=self._cursor)][:n]

    def receive(self, body: ListBody[Any], ids: list[str]) -> PagePosition:
        """Accept the next page. Raises PagingError, and then nothing has changed."""
        opened_by, self._cursor = self._cursor, self._next_cursor(body)
        self._seen.add(hash(self._cursor))
        self.done = self._cursor is None
        return PagePosition(
            self._plan.start,
            page={"style": self.style, "cursor": opened_by},
            end={"cursor": self._cursor, "at": 0, "last": None, "done": self.done},
            skip=self._before_anchor(ids),
        )

    def _next_cursor(self, body: ListBody[Any]) -> str | None:
        cursor = body.next_cursor
        if cursor is None:
            if body.has_more:
                raise contradiction(self._plan.of, "answered has_more without a next_cursor")
            return None
        seen = hash(cursor) in self._seen
        if body.has_more is False and (seen or not body.rows):
            return None
        if seen:
            raise contradiction(self._plan.of, f"gave the cursor {cursor[:40]!r} twice")
        return cursor

    def _before_anchor(self, ids: list[str]) -> int:
        """Return how many rows were handed out before the resume."""
        anchor, self._anchor = self._anchor, None
        if anchor is None:
            return 0
        if anchor in ids:
            return ids.index(anchor) + 1
        self._drift.uncertain += self._plan.start.at
        return 0
