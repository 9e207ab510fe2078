"""`Paginator` and `Page`: drive the machine in `protocol/paging.py` over a session, and ask ahead where that is wanted."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, Final, Generic, TypeVar

import msgspec
from msgspec.structs import replace

from .protocol.checkpoint import Checkpoint
from .protocol.paging import Drift, Paging, Plan, Row
from .protocol.shapes import ListBody
from .protocol.wire import Query, Response

T = TypeVar("T", bound=Row)
U = TypeVar("U")

_COLLECT_AHEAD: Final = 8


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """One page: its `items`; `total` rows in the list, or None; its `number` in this walk, from 1; the `raw` answer."""

    items: list[T]
    total: int | None
    number: int
    raw: Response


class Paginator(Generic[T]):
    """A list that is read as it is walked. Every `async for` begins anew.

    `checkpoint` and `drift` speak of the latest walk. Plain iteration asks for a page only when it
    is needed; with `prefetch=n`, up to n pages are under way ahead of the consumer, and are
    cancelled when the consumer leaves. After an error the same iterator can go on: it asks for the
    same page again. Several tasks may share one iterator.
    """

    def __init__(
        self,
        fetch: Callable[[Query], Awaitable[Response]],
        read: Callable[[Response], ListBody[T]],
        plans: Callable[[], list[Plan[T]]],
        *,
        max_items: int | None,
        prefetch: int,
    ) -> None:
        self._fetch = fetch
        self._read = read
        self._plans = plans
        self._max_items = max_items
        self._prefetch = prefetch
        self._latest: list[Paging[T]] | None = (
            None  # not the walk itself: dropping that is what ends it
        )

    def __aiter__(self) -> AsyncIterator[T]:
        return _Each(self._begin(self._prefetch, self._max_items).next_item)

    def pages(self) -> AsyncIterator[Page[T]]:
        """Iterate over whole pages; an empty list has one empty page."""
        return _Each(self._begin(self._prefetch, self._max_items).next_page)

    async def collect(self) -> list[T]:
        """Return all items as a list, asking for up to 8 pages ahead."""
        walk = self._walk(self._prefetch or _COLLECT_AHEAD, self._max_items)
        items = [item async for page in _Each(walk.next_page) for item in page.items]
        self._latest = walk.pagings  # not before: a collect() that fails has handed nothing out
        return items

    async def first(self) -> T | None:
        """Return the first item, or None."""
        return await anext(_Each(self._begin(0, 1).next_item), None)

    @property
    def checkpoint(self) -> str:
        """A short JSON string that stands exactly behind the last item handed out; `list(resume=…)` goes on there."""
        return _text([paging.checkpoint for paging in self._pagings()])

    @property
    def drift(self) -> Drift:
        """What changed in the list during the latest walk; `drift.uncertain == 0` means that nothing was missed."""
        drifts = [paging.drift for paging in self._pagings()]
        return drifts[0] if len(drifts) == 1 else Drift(**{
            name: sum(getattr(drift, name) for drift in drifts) for name in Drift.__struct_fields__
        })  # fmt: skip

    def _pagings(self) -> list[Paging[T]]:
        return self._latest or self._walk(0, None).pagings

    def _begin(self, prefetch: int, max_items: int | None) -> _Walk[T]:
        walk = self._walk(prefetch, max_items)
        self._latest = walk.pagings
        return walk

    def _walk(self, prefetch: int, max_items: int | None) -> _Walk[T]:
        plans = self._plans()
        if max_items is not None:
            plans = [
                replace(plan, page_size=max(1, min(plan.page_size, max_items))) for plan in plans
            ]
        return _Walk(
            [_Chain(self._fetch, self._read, Paging(plan), prefetch) for plan in plans], max_items
        )


def _text(checkpoints: list[Checkpoint]) -> str:
    texts = [checkpoint.text() for checkpoint in checkpoints]
    return texts[0] if len(texts) == 1 else f"[{','.join(texts)}]"


class _Walk(Generic[T]):
    """One pass over one chain of pages, or over several at once: one for each shard, in the order in which pages come."""

    def __init__(self, chains: list[_Chain[T]], max_items: int | None) -> None:
        self.chains = chains
        self.pagings = [chain.paging for chain in chains]
        self._left = max_items
        self._number = 0
        self._in_hand = chains[0]
        self._loading: dict[asyncio.Future[bool], _Chain[T]] = {}
        self._turn = asyncio.Lock()

    def _take(self) -> T | None:
        if self._left == 0:
            return None
        row = self._in_hand.paging.take()
        if row is not None and self._left is not None:
            self._left -= 1
        return row

    async def next_item(self) -> T:
        """Return the next row. Raises StopAsyncIteration when there is none."""
        while (row := self._take()) is None:
            async with self._turn:  # several tasks may share one iterator
                if not self._in_hand.paging.in_hand or self._left == 0:
                    await self._load()
        return row

    async def next_page(self) -> Page[T]:
        """Return the next page. Raises StopAsyncIteration when there is none."""
        async with self._turn:
            chain = await self._load()
            items = chain.paging.take_page(self._left)
            if self._left is not None:
                self._left -= len(items)
            assert chain.raw is not None
            return Page(items=items, total=self._total(), number=self._number, raw=chain.raw)

    def _total(self) -> int | None:
        totals = [paging.total for paging in self.pagings]
        return None if None in totals else sum(total for total in totals if total is not None)

    async def _load(self) -> _Chain[T]:
        """Return the chain that has the next page in hand.

        Raises StopAsyncIteration when there is no page any more.
        """
        if self._left == 0:
            raise StopAsyncIteration
        try:
            if len(self.chains) > 1:
                self._in_hand = await self._load_any()
            elif not await self._in_hand.load(self._left):
                raise StopAsyncIteration
        except BaseException:
            self._cancel()
            raise
        self._number += 1
        return self._in_hand

    async def _load_any(self) -> _Chain[T]:
        if any(future.get_loop() is not asyncio.get_running_loop() for future in self._loading):
            self._cancel()  # their loop has ended, and they with it
        for chain in self.chains:
            if chain in self._loading.values():
                continue
            if chain.paging.in_hand:  # it came in the moment in which another one failed
                return chain
            if not chain.paging.done:
                self._loading[asyncio.ensure_future(chain.load(self._left))] = chain
        if not self._loading:
            raise StopAsyncIteration
        await asyncio.wait(self._loading, return_when=asyncio.FIRST_COMPLETED)
        loaded = next(
            future for future in self._loading if future.done()
        )  # in turn: no shard waits for ever
        chain = self._loading.pop(loaded)
        loaded.result()  # raises what went wrong
        return chain

    def _cancel(self) -> None:
        for chain in self.chains:
            chain.drop(0)
        _cancel(self._loading)
        self._loading.clear()

    def __del__(self) -> None:
        # A loop left by `break` drops its iterator and says nothing else.
        _cancel(self._loading)


class _Chain(Generic[T]):
    """One page after the other.

    It owns the requests that run ahead, and cancels them when it fails or is dropped.
    """

    def __init__(
        self,
        fetch: Callable[[Query], Awaitable[Response]],
        read: Callable[[Response], ListBody[T]],
        paging: Paging[T],
        prefetch: int,
    ) -> None:
        self.paging = paging
        self.raw: Response | None = None
        self._fetch = fetch
        self._read = read
        self._prefetch = prefetch
        self._ahead: deque[tuple[Query, asyncio.Future[Response]]] = deque()

    async def load(self, wanted: int | None) -> bool:
        """Get the next page in hand; return False when there is none.

        `wanted`: the rows that are worth asking for.
        """
        try:
            while not self.paging.done:
                response = await (
                    self._next_ahead(wanted)
                    if self._prefetch
                    else self._fetch(self.paging.upcoming(1)[0])
                )
                received = self.paging.receive(self._read(response))
                self._ask_ahead(wanted)
                if received:
                    self.raw = response
                    return True
        except BaseException:
            self.drop(0)
            raise
        return False

    def _next_ahead(self, wanted: int | None) -> Awaitable[Response]:
        self._ask_ahead(wanted)
        return self._ahead.popleft()[1]

    def _ask_ahead(self, wanted: int | None) -> None:
        """Have the next pages under way; drop those that were asked for on a guess that proved wrong."""
        if not self._prefetch:
            return
        if self._ahead and self._ahead[0][1].get_loop() is not asyncio.get_running_loop():
            _cancel(
                under_way for _, under_way in self._ahead
            )  # their loop has ended, and they with it
            self._ahead.clear()
        queries = self.paging.upcoming(self._pages_worth_asking(wanted))
        right = 0
        while (
            right < min(len(queries), len(self._ahead)) and self._ahead[right][0] == queries[right]
        ):
            right += 1
        self.drop(right)
        for query in queries[right:]:
            self._ahead.append((query, asyncio.ensure_future(self._fetch(query))))

    def _pages_worth_asking(self, wanted: int | None) -> int:
        if wanted is None:
            return self._prefetch
        missing = max(0, wanted - self.paging.in_hand)
        return min(self._prefetch, -(-missing // self.paging.page_length))

    def drop(self, first: int) -> None:
        """Cancel the requests that run ahead, from the `first` on; asyncio does not miss the errors of cancelled tasks."""
        while len(self._ahead) > first:
            self._ahead.pop()[1].cancel()

    def __del__(self) -> None:
        _cancel(under_way for _, under_way in self._ahead)


def _cancel(futures: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel from wherever the garbage collector runs, at once where that is the loop: what has not begun never will."""
    for future in list(futures):
        loop = future.get_loop()
        if future.done() or loop is asyncio._get_running_loop():
            future.cancel()
        elif not loop.is_closed():
            loop.call_soon_threadsafe(future.cancel)


class _Each(AsyncIterator[U]):
    def __init__(self, following: Callable[[], Awaitable[U]]) -> None:
        self._following = following

    def __anext__(self) -> Awaitable[U]:
        return self._following()
