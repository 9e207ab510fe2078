"""`Paginator` and `Page`: a list as users walk it, row by row or page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, TypeVar

from attrs import evolve

from .errors import UsageError
from .protocol.paging import Drift, Paging, Row
from .walk import Page as Page
from .walk import Source, Walk, checkpoint_of, drift_of

T = TypeVar("T", bound=Row)
U = TypeVar("U")

_COLLECT_AHEAD: Final = 8


class Paginator(Generic[T]):
    """A list that is read as it is walked: `async for`, or `await` for its first page.

    Every `async for` begins anew; `checkpoint` and `drift` are those of the latest walk. Plain
    iteration asks for a page only when it is needed; with `prefetch=n`, up to n pages are under way
    ahead of the consumer, and are cancelled when it leaves. After an error the same iterator can go
    on: it asks for the same page again. Several tasks may share one iterator.
    """

    def __init__(
        self,
        sources: Callable[[], list[Source[T]]],
        *,
        path: str,
        filters: Mapping[str, str],
        max_items: int | None,
        prefetch: int,
    ) -> None:
        self._sources = sources
        self._path = path
        self._filters = filters
        self._max_items = max_items
        self._prefetch = prefetch
        # Not the walk itself: dropping that is what ends it.
        self._latest: list[Paging[T]] | None = None

    def __repr__(self) -> str:
        filters = "".join(f" {name}={value!r}" for name, value in self._filters.items())
        return f"<Paginator GET {self._path}{filters}>"

    def __aiter__(self) -> AsyncIterator[T]:
        return _Each(self._begin(self._prefetch, self._max_items).next_item)

    def __await__(self) -> Generator[Any, None, Page[T]]:
        return self._first_page().__await__()

    if not TYPE_CHECKING:  # pragma: no branch  # a type checker reports it by itself

        def __iter__(self) -> NoReturn:
            raise TypeError(
                f"{self!r} asks the server for its items: use `async for`, or `await` its collect()"
            )

    async def _first_page(self) -> Page[T]:
        page = await anext(_Each(self._begin(0, self._max_items).next_page), None)
        if page is None:
            raise UsageError("there is no page: max_items is 0, or resume is at the end")
        return page

    def pages(self) -> AsyncIterator[Page[T]]:
        """Iterate over whole pages, those that bring nothing left out.

        An empty list has one empty page.
        """
        return _Each(self._begin(self._prefetch, self._max_items).next_page)

    async def collect(self) -> list[T]:
        """Return all items as a list, asking for up to 8 pages ahead."""
        walk = self._walk(self._prefetch or _COLLECT_AHEAD, self._max_items)
        items = [item async for page in _Each(walk.next_page) for item in page.items]
        self._latest = walk.pagings  # not before: a collect() that fails has handed nothing out
        return items

    async def first(self) -> T | None:
        """Return the first item, or None."""
        one = 0 if self._max_items == 0 else 1
        return await anext(_Each(self._begin(0, one).next_item), None)

    @property
    def checkpoint(self) -> str:
        """A short JSON string: the position after the last item handed out.

        `list(resume=…)` goes on from there.
        """
        return checkpoint_of(self._pagings())

    @property
    def drift(self) -> Drift:
        """What changed in the list during the latest walk; `uncertain == 0`: nothing was missed."""
        return drift_of(self._pagings())

    def _pagings(self) -> list[Paging[T]]:
        return self._latest or self._walk(0, None).pagings

    def _begin(self, prefetch: int, max_items: int | None) -> Walk[T]:
        walk = self._walk(prefetch, max_items)
        self._latest = walk.pagings
        return walk

    def _walk(self, prefetch: int, max_items: int | None) -> Walk[T]:
        sources = self._sources()
        if max_items is not None:
            sources = [_smaller(source, max(1, max_items)) for source in sources]
        return Walk(sources, prefetch, max_items)


def _smaller(source: Source[T], most: int) -> Source[T]:
    page_size = min(source.plan.page_size, most)
    return evolve(source, plan=evolve(source.plan, page_size=page_size))


class _Each(AsyncIterator[U]):
    def __init__(self, following: Callable[[], Awaitable[U]]) -> None:
        self._following = following

    def __anext__(self) -> Awaitable[U]:
        return self._following()
