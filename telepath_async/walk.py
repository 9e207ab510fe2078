"""One walk through a list, or through its shards at once: pages in turn, requests that run ahead.

It drives the machine in `protocol/paging.py`; what users type is in `paginator.py`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, Generic, TypeAlias, TypeVar

from attrs import field, frozen

from .errors import APIError, PagingError
from .protocol.answers import ListBody
from .protocol.messages import Response
from .protocol.odd_rows import OddValue, RejectedRow, describe
from .protocol.paging import Drift, Paging, Plan, Row
from .protocol.url import Query
from .session_holder import running_loop

T = TypeVar("T", bound=Row)
Answer: TypeAlias = tuple[Response, ListBody[T]]

_log: Final = logging.getLogger("telepath_async.lists")
_OFFSET_REFUSED: Final = frozenset((400, 416, 422))


@frozen(kw_only=True)
class Page(Generic[T]):
    """One page: its `items`, and the `raw` answer.

    `total`: rows in the list, or None; `number`: of this page in its walk, from 1; `checkpoint`:
    stands after its last item; `drift`: what the walk has met so far; `rejected`: its rows without
    a usable id; `odd`: values that are not of their fields' types, and so in `extra`.
    """

    items: list[T]
    total: int | None
    number: int
    raw: Response
    checkpoint: str = ""
    drift: Drift = field(factory=Drift)
    rejected: tuple[RejectedRow, ...] = ()
    odd: tuple[OddValue, ...] = ()


@frozen
class Source(Generic[T]):
    """One list, or one shard of it: its plan, and how a page of it is asked for."""

    plan: Plan[T]
    ask: Callable[[Query], Awaitable[Answer[T]]]


def checkpoint_of(pagings: list[Paging[T]]) -> str:
    texts = [paging.checkpoint.text() for paging in pagings]
    return texts[0] if len(texts) == 1 else f"[{','.join(texts)}]"


def drift_of(pagings: list[Paging[T]]) -> Drift:
    total = Drift()
    for paging in pagings:
        total.add(paging.drift)
    return total


class Walk(Generic[T]):
    """One pass over one chain of pages, or over several at once, in the order in which pages come.

    There is one chain for each shard.
    """

    def __init__(self, sources: list[Source[T]], prefetch: int, max_items: int | None) -> None:
        self._chains = [_Chain(source, prefetch) for source in sources]
        self.pagings = [chain.paging for chain in self._chains]
        self._left = max_items
        self._number = 0
        self._drift = Drift()
        self._in_hand = self._chains[0]
        self._loading: dict[asyncio.Future[bool], _Chain[T]] = {}
        self._turn = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def _take(self) -> T | None:
        if self._left == 0:
            return None
        row = self._in_hand.paging.take()
        if row is not None and self._left is not None:
            self._left -= 1
        return row

    async def next_item(self) -> T:
        """Return the next row. Raises StopAsyncIteration at the end."""
        while (row := self._take()) is None:
            async with self._turn:  # several tasks may share one iterator
                if not self._in_hand.paging.in_hand or self._left == 0:
                    await self._load()
        return row

    async def next_page(self) -> Page[T]:
        """Return the next page. Raises StopAsyncIteration at the end."""
        async with self._turn:
            while True:
                page = self._page(await self._load())
                if page is not None:
                    return page

    def _page(self, chain: _Chain[T]) -> Page[T] | None:
        """Return the page in hand; None: it has brought nothing, and is not the first."""
        items, rejected = chain.paging.take_page(self._left), chain.paging.rejected
        if self._left is not None:
            self._left -= len(items)
        drift = drift_of(self.pagings)
        if self._number and not (items or rejected or drift != self._drift):
            return None
        self._number += 1
        self._drift = drift_of(self.pagings)  # the page's own may be changed
        assert chain.raw is not None
        return Page(
            items=items,
            total=self._total(),
            number=self._number,
            raw=chain.raw,
            checkpoint=checkpoint_of(self.pagings),
            drift=drift,
            rejected=rejected,
            odd=chain.paging.odd,
        )

    def _total(self) -> int | None:
        totals = [paging.total for paging in self.pagings]
        return None if None in totals else sum(total for total in totals if total is not None)

    async def _load(self) -> _Chain[T]:
        """Return the chain that has the next page in hand.

        Raises StopAsyncIteration at the end; UsageError under trio.
        """
        if self._left == 0:
            self._cancel()
            raise StopAsyncIteration
        loop = running_loop()
        if loop is not self._loop:
            self._cancel()  # what ran ahead on a loop that has ended, ended with it
            self._loop = loop
        try:
            if len(self._chains) > 1:
                self._in_hand = await self._load_any()
            elif not await self._in_hand.load(self._left):
                raise StopAsyncIteration
        except BaseException:
            self._cancel()
            raise
        paging = self._in_hand.paging
        odd = describe(paging.plan.of, paging.rejected, paging.odd)
        if odd is not None:  # for each page: there may be a million such rows
            _log.warning(odd)
        return self._in_hand

    async def _load_any(self) -> _Chain[T]:
        while True:
            for chain in self._chains:
                if chain in self._loading.values():
                    continue
                if chain.paging.in_hand:  # it came in the moment in which another one failed
                    return chain
                if not chain.paging.done:
                    self._loading[asyncio.ensure_future(chain.load(self._left))] = chain
            if not self._loading:
                raise StopAsyncIteration
            await asyncio.wait(self._loading, return_when=asyncio.FIRST_COMPLETED)
            # In turn, so that no shard waits forever.
            loaded = next(future for future in self._loading if future.done())
            chain = self._loading.pop(loaded)
            if loaded.result():  # raises what went wrong
                return chain

    def _cancel(self) -> None:
        for chain in self._chains:
            chain.drop()
        _cancel(self._loading)
        self._loading.clear()

    def __del__(self) -> None:
        # A loop left by `break` drops its iterator without a call.
        _cancel(self._loading)


class _Chain(Generic[T]):
    """One page after the other.

    It owns the requests that run ahead, and cancels them when it is dropped.
    """

    def __init__(self, source: Source[T], prefetch: int) -> None:
        self.paging = Paging(source.plan)
        self.raw: Response | None = None
        self._source = source
        self._prefetch = prefetch
        self._ahead: dict[Query, asyncio.Future[Answer[T]]] = {}
        self._too_early: dict[Query, Answer[T]] = {}

    async def load(self, wanted: int | None) -> bool:
        """Get the next page in hand; return False at the end.

        `wanted`: the rows that are worth asking for.
        """
        while not self.paging.done:
            query = self.paging.upcoming(1)[0]
            early = self._too_early.pop(query, None)
            answer = early or await self._asked(query)
            received = self.paging.receive(answer[1])
            if not received and early is None and answer[1].rows:
                # It joins on when the page before it has come; if not, it is asked for again.
                self._too_early[query] = answer
            elif (
                self._too_early
                and received
                and not set(self.paging.upcoming(1)) <= self._too_early.keys()
            ):
                self._too_early.clear()
            self._ask_ahead(wanted)
            if received:
                self.raw = answer[0]
                return True
        return False

    def _asked(self, query: Query) -> Awaitable[Answer[T]]:
        return self._ahead.pop(query, None) or _request(self._source, query)

    def _ask_ahead(self, wanted: int | None) -> None:
        """Have the next pages under way; cancel those that will not be needed after all."""
        if not self._prefetch:
            return
        pages = self._pages_worth_asking(wanted)
        likely = self.paging.upcoming(2 * pages + 1 if pages else 0)
        for query in self._ahead.keys() - set(likely):
            self._ahead.pop(query).cancel()
        for index, query in enumerate(likely[:pages]):
            room = len(self._ahead) < pages or index == 0
            if room and query not in self._ahead and query not in self._too_early:
                self._ahead[query] = asyncio.ensure_future(_request(self._source, query))

    def _pages_worth_asking(self, wanted: int | None) -> int:
        if wanted is None:
            return self._prefetch
        missing = max(0, wanted - self.paging.in_hand)
        return min(self._prefetch, -(-missing // self.paging.step))

    def drop(self) -> None:
        """Cancel the requests that run ahead; asyncio keeps silent about cancelled tasks."""
        _cancel(self._ahead.values())
        self._ahead.clear()

    def __del__(self) -> None:
        _cancel(self._ahead.values())


async def _request(source: Source[T], query: Query) -> Answer[T]:
    """Ask for a page; knows no chain, so that a chain whose requests run ahead can be dropped."""
    try:
        return await source.ask(query)
    except APIError as error:
        offset = dict(query).get("offset")
        if offset is None or error.status not in _OFFSET_REFUSED:
            raise
        refused = error
    raise PagingError(
        f"the server refused offset {offset} of the list of {source.plan.of} ({refused}): narrow "
        "the list by its filters (calls: by since and until), and read it range by range"
    ) from refused


def _cancel(futures: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel from whichever thread collects garbage; in the loop's own thread, at once.

    What has not begun then never begins.
    """
    for future in list(futures):
        loop = future.get_loop()
        if future.done() or loop is asyncio._get_running_loop():
            future.cancel()
        elif not loop.is_closed():
            loop.call_soon_threadsafe(future.cancel)
