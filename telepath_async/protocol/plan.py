"""`Plan`, what is listed and how; `Drift`, what happened to the list meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from attrs import define, frozen

from ..errors import PagingError
from .checkpoint import Checkpoint, Style
from .recent_ids import RecentIds


class Row(Protocol):
    """What can be listed: anything with an id."""

    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=Row)


@define(kw_only=True)
class Drift:
    """How the list changed while it was read, and which rows the server should not have sent.

    `repeated`: rows that came again, because others were inserted before them, and were dropped.
    `stepped_back`: how often a page was asked for again elsewhere, to close a gap. `outside`: rows
    outside the date range, dropped. `rejected`: rows without a usable id, which cannot be handed
    out. `odd`: rows with a value that is not of its field's type, and so in `extra`. `uncertain`:
    rows that may have been missed or handed out twice all the same (an estimate); 0 means that
    every row that lived through the whole walk was handed out once.
    """

    repeated: int = 0
    stepped_back: int = 0
    outside: int = 0
    rejected: int = 0
    odd: int = 0
    uncertain: int = 0

    def add(self, other: Drift) -> None:
        """Count what another walk has met, too."""
        self.repeated += other.repeated
        self.stepped_back += other.stepped_back
        self.outside += other.outside
        self.rejected += other.rejected
        self.odd += other.odd
        self.uncertain += other.uncertain


@frozen(kw_only=True)
class Plan(Generic[T]):
    """What is listed: `of` (`calls`), in pages of `page_size`, from `start` on.

    `keeps`: which rows to hand out; a server may ignore a filter. `overlap`: rows by which each
    later page of an offset list is asked early. `shards`: how many are read at the same time, this
    one included. `style_hint`: how this server pages, where another list has shown it.
    """

    of: str
    keeps: Callable[[T], bool] | None = None
    page_size: int = 100
    overlap: int = 1
    shards: int = 1
    start: Checkpoint
    style_hint: Style | None = None
    undated: RecentIds | None = None


def contradiction(of: str, fact: str, remedy: str = "report it to the vendor") -> PagingError:
    """Return the error for a server whose list of `of` contradicts itself."""
    return PagingError(f"the server's list of {of} {fact}; the list cannot be continued: {remedy}")
