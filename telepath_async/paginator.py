"""`Paginator` and `Page`: drive the machine in `protocol/paging.py` over a session, and ask ahead where that is wanted."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, Generic, TypeVar

from attrs import evolve, frozen

from .protocol.checkpoint import Checkpoint
from .protocol.paging import Drift, Paging, Plan, Row
from .protocol.shapes import ListBody
from .protocol.wire import Query, Response

T = TypeVar("T", bound=Row)

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
    After an error the same iterator can go on: it asks for the same page again.
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
        return _Items(self._walk(self._prefetch, self._max_items))

    def pages(self) -> AsyncIterator[Page[T]]:
        """Iterate over whole pages; an empty list has one empty page."""
        return _Pages(self._walk(self._prefetch, self._max_items))

    async def collect(self) -> list[T]:
        """Return all items as a list, asking for up to 8 pages ahead."""
        pages = _Pages(self._walk(self._prefetch or _COLLECT_AHEAD, self._max_items))
        return [item async for page in pages for item in page.items]

    async def first(self) -> T | None:
        """Return the first item, or None."""
        return await anext(_Items(self._walk(0, 1)), None)

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
        self._paging = Paging(plan)
        return _Walk(self._fetch, self._read, self._paging, prefetch, max_items)


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
        self._fetch = fetch
        self._read = read
        self._paging = paging
        self._prefetch = prefetch
        self._left = max_items
        self._number = 0
        self._raw: Response | None = None
        self._ahead: deque[tuple[Query, asyncio.Task[Response]]] = deque()

    def take(self) -> T | None:
        """Return the next row of the page in hand, or None."""
        if self._left == 0:
            return None
        row = self._paging.take()
        if row is not None and self._left is not None:
            self._left -= 1
        return row

    async def next_page(self) -> Response:
        """Get the next page in hand, and return its answer. Raises StopAsyncIteration when there is none."""
        try:
            while not self._paging.done and self._left != 0:
                response = await self._next_response()
                known = self._paging.receive(self._read(response))
                self._ask_ahead()
                if known:
                    self._number += 1
                    return response
        except BaseException:
            self.cancel()
            raise
        raise StopAsyncIteration

    async def next_whole_page(self) -> Page[T]:
        raw = await self.next_page()
        items = list(iter(self.take, None))
        return Page(items=items, total=self._paging.total, number=self._number, raw=raw)

    async def _next_response(self) -> Response:
        if not self._prefetch:
            return await self._fetch(self._paging.upcoming(1)[0])
        self._ask_ahead()
        _, task = self._ahead.popleft()
        return await task

    def _ask_ahead(self) -> None:
        """Have the next pages under way; drop those that were asked for on a guess that proved wrong."""
        if not self._prefetch:
            return
        wanted = self._paging.upcoming(self._pages_worth_asking())
        right = 0
        while right < min(len(wanted), len(self._ahead)) and self._ahead[right][0] == wanted[right]:
            right += 1
        while len(self._ahead) > right:
            self._ahead.pop()[1].cancel()
        for query in wanted[right:]:
            task = asyncio.ensure_future(self._fetch(query))
            task.add_done_callback(_seen)
            self._ahead.append((query, task))

    def _pages_worth_asking(self) -> int:
        if self._left is None:
            return self._prefetch
        missing = max(0, self._left - self._paging.in_hand)
        return min(self._prefetch, -(-missing // self._paging.page_length))

    def cancel(self) -> None:
        """Cancel the requests that run ahead."""
        while self._ahead:
            self._ahead.pop()[1].cancel()

    def __del__(self) -> None:
        # A loop left by `break` drops its iterator and says nothing else; the garbage collector may be in any thread.
        for _, task in self._ahead:
            loop = task.get_loop()
            if not loop.is_closed():
                loop.call_soon_threadsafe(task.cancel)


def _seen(task: asyncio.Future[Response]) -> None:
    """Look at the error of a page that nobody will wait for, so that asyncio does not complain about it."""
    if not task.cancelled():
        task.exception()


class _Items(AsyncIterator[T]):
    def __init__(self, walk: _Walk[T]) -> None:
        self._walk = walk

    async def __anext__(self) -> T:
        while (row := self._walk.take()) is None:
            await self._walk.next_page()
        return row


class _Pages(AsyncIterator[Page[T]]):
    def __init__(self, walk: _Walk[T]) -> None:
        self._walk = walk

    async def __anext__(self) -> Page[T]:
        return await self._walk.next_whole_page()
