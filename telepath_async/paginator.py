"""`Paginator` and `Page`: drive the machine in `protocol/paging.py` over a session, and ask ahead where that is wanted."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, Generic, TypeVar

from attrs import evolve, frozen

from .protocol.paging import Drift, Paging, Plan, Row
from .protocol.shapes import ListBody
from .protocol.wire import Query, Response

T = TypeVar("T", bound=Row)
U = TypeVar("U")

_COLLECT_AHEAD: Final = 8


@frozen(kw_only=True)
class Page(Generic[T]):
    """One page: its `items`; `total` rows in the list, or None; its `number` in this walk, from 1; the `raw` answer."""

    items: list[T]
    total: int | None
    number: int
    raw: Response


class Paginator(Generic[T]):
    """A list that is read as it is walked. Every `async for` begins anew.

    `checkpoint` and `drift` speak of the latest walk. Plain iteration asks for a page only when it is needed; with
    `prefetch=n`, up to n pages are under way ahead of the consumer, and are cancelled when the consumer leaves.
    After an error the same iterator can go on: it asks for the same page again. Several tasks may share one iterator.
    """

    def __init__(
        self,
        fetch: Callable[[Query], Awaitable[Response]],
        read: Callable[[Response], ListBody[T]],
        plan: Callable[[], Plan[T]],
        *,
        max_items: int | None,
        prefetch: int,
    ) -> None:
        self._fetch = fetch
        self._read = read
        self._plan = plan
        self._max_items = max_items
        self._prefetch = prefetch
        self._paging = Paging(plan())

    def __aiter__(self) -> AsyncIterator[T]:
        return _Each(self._latest(self._walk(self._prefetch, self._max_items)).next_item)

    def pages(self) -> AsyncIterator[Page[T]]:
        """Iterate over whole pages; an empty list has one empty page."""
        return _Each(self._latest(self._walk(self._prefetch, self._max_items)).next_page)

    async def collect(self) -> list[T]:
        """Return all items as a list, asking for up to 8 pages ahead."""
        walk = self._walk(self._prefetch or _COLLECT_AHEAD, self._max_items)
        items = [item async for page in _Each(walk.next_page) for item in page.items]
        self._latest(walk)  # not before: a collect() that fails has handed nothing out
        return items

    async def first(self) -> T | None:
        """Return the first item, or None."""
        return await anext(_Each(self._latest(self._walk(0, 1)).next_item), None)

    @property
    def checkpoint(self) -> str:
        """A short JSON string that stands exactly behind the last item handed out; `list(resume=…)` goes on there."""
        return self._paging.checkpoint.text()

    @property
    def drift(self) -> Drift:
        """What changed in the list during the latest walk; `drift.uncertain == 0` means that nothing was missed."""
        return self._paging.drift

    def _walk(self, prefetch: int, max_items: int | None) -> _Walk[T]:
        plan = self._plan()
        if max_items is not None:
            plan = evolve(plan, page_size=max(1, min(plan.page_size, max_items)))
        return _Walk(self._fetch, self._read, Paging(plan), prefetch, max_items)

    def _latest(self, walk: _Walk[T]) -> _Walk[T]:
        self._paging = walk.paging
        return walk


class _Walk(Generic[T]):
    """One pass. It owns the requests that run ahead, and cancels them when it fails or is dropped."""

    def __init__(
        self,
        fetch: Callable[[Query], Awaitable[Response]],
        read: Callable[[Response], ListBody[T]],
        paging: Paging[T],
        prefetch: int,
        max_items: int | None,
    ) -> None:
        self.paging = paging
        self._fetch = fetch
        self._read = read
        self._prefetch = prefetch
        self._left = max_items
        self._number = 0
        self._ahead: deque[tuple[Query, asyncio.Future[Response]]] = deque()
        self._turn = asyncio.Lock()

    def take(self) -> T | None:
        """Return the next row of the page in hand, or None."""
        if self._left == 0:
            return None
        row = self.paging.take()
        if row is not None and self._left is not None:
            self._left -= 1
        return row

    async def next_item(self) -> T:
        """Return the next row. Raises StopAsyncIteration when there is none."""
        while (row := self.take()) is None:
            async with self._turn:  # several tasks may share one iterator
                if not self.paging.in_hand or self._left == 0:
                    await self._next_page()
        return row

    async def next_page(self) -> Page[T]:
        """Return the next page. Raises StopAsyncIteration when there is none."""
        async with self._turn:
            raw = await self._next_page()
            items = self.paging.take_page(self._left)
            if self._left is not None:
                self._left -= len(items)
            return Page(items=items, total=self.paging.total, number=self._number, raw=raw)

    async def _next_page(self) -> Response:
        try:
            while not self.paging.done and self._left != 0:
                response = await self._next_response()
                received = self.paging.receive(self._read(response))
                self._ask_ahead()
                if received:
                    self._number += 1
                    return response
        except BaseException:
            self._drop(0)
            raise
        raise StopAsyncIteration

    async def _next_response(self) -> Response:
        if not self._prefetch:
            return await self._fetch(self.paging.upcoming(1)[0])
        self._ask_ahead()
        _, under_way = self._ahead.popleft()
        return await under_way

    def _ask_ahead(self) -> None:
        """Have the next pages under way; drop those that were asked for on a guess that proved wrong."""
        if not self._prefetch:
            return
        wanted = self.paging.upcoming(self._pages_worth_asking())
        right = 0
        while right < min(len(wanted), len(self._ahead)) and self._ahead[right][0] == wanted[right]:
            right += 1
        self._drop(right)
        for query in wanted[right:]:
            self._ahead.append((query, asyncio.ensure_future(self._fetch(query))))

    def _pages_worth_asking(self) -> int:
        if self._left is None:
            return self._prefetch
        missing = max(0, self._left - self.paging.in_hand)
        return min(self._prefetch, -(-missing // self.paging.page_length))

    def _drop(self, first: int) -> None:
        """Cancel the requests that run ahead, from the `first` on; asyncio does not miss the errors of cancelled tasks."""
        while len(self._ahead) > first:
            self._ahead.pop()[1].cancel()

    def __del__(self) -> None:
        # A loop left by `break` drops its iterator and says nothing else.
        for _, under_way in self._ahead:
            loop = under_way.get_loop()
            if under_way.done() or loop is asyncio._get_running_loop():  # at once: what has not begun never will
                under_way.cancel()
            elif not loop.is_closed():  # the garbage collector may be in any thread
                loop.call_soon_threadsafe(under_way.cancel)


class _Each(AsyncIterator[U]):
    def __init__(self, following: Callable[[], Awaitable[U]]) -> None:
        self._following = following

    def __anext__(self) -> Awaitable[U]:
        return self._following()
