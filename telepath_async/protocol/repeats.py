"""Whether a server heeds `limit` and `offset`, as far as its answers show. No I/O."""

from __future__ import annotations

from typing import Any, Final

from .answers import ListBody
from .plan import contradiction

_AT_OFFSETS: Final = 3  # insertions may bring the same page at two offsets


class Repeats:
    """Compares each page with the one before it.

    A server that shows the same page at three offsets has sent its whole list, if its total agrees.
    If it names no paging at all, it may have; or rows were inserted. So the next request is for one
    row less than that page: a cursor server shows a cursor then, and one that does not page at all
    sends the same again. A page shorter than those before it is the last.
    """

    def __init__(self, of: str, page_size: int) -> None:
        self.limit = page_size
        self._of = of
        self._page_size = page_size
        self._first = -1
        self._ids: list[str] = []
        self._longest = 0
        self._seen = 1

    @property
    def probing(self) -> bool:
        """Whether one row less than a page was asked for."""
        return self.limit < self._page_size

    def check(self, body: ListBody[Any], ids: list[str], first: int) -> bool:
        """Return whether the page at the offset `first` is the end, as often as it comes.

        Raises PagingError when the server ignores the offset; nothing has changed then.
        """
        if body.offset is not None and body.offset != first:
            raise contradiction(
                self._of,
                f"was asked for at offset {first} and came from offset {body.offset}",
                "if the server knows whole pages only, pass overlap=0",
            )
        if self.probing and ids == self._ids:
            return True
        if self.probing and ids and ids == self._ids[: len(ids)]:
            raise self._ignored(first)
        repeats = bool(ids) and ids == self._ids and first > self._first
        seen = self._seen + 1 if repeats else 1
        suspect = seen == _AT_OFFSETS
        ended = suspect and self._is_end(body, ids, first)
        probe = suspect and not ended
        self.limit = min(len(ids), self._page_size) - 1 if probe else self._page_size
        self._first, self._ids, self._seen = first, ids, seen
        self._longest = max(self._longest, len(ids))
        return ended

    def _is_end(self, body: ListBody[Any], ids: list[str], first: int) -> bool:
        """Judge a page that has come at three offsets; False: only a probe can decide."""
        if len(ids) == body.total or len(ids) < self._longest:
            return True
        if body.total is not None or body.limit is not None or self._page_size == 1:
            raise self._ignored(first)
        return len(ids) == 1  # no room to probe

    def _ignored(self, first: int) -> Exception:
        return contradiction(
            self._of, f"has the same page at three offsets, the last of them {first}"
        )
