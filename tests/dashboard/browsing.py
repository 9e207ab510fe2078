"""A dashboard over a database, and a client that has been let in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from attrs import frozen
from yarl import URL

from telepath_async.dashboard.board import Account, Board, BoardOptions
from telepath_async.dashboard.server import Address, serve

from .stored import NOW, reading


@frozen
class Visitor:
    """Asks the page; `address` is what was printed."""

    session: aiohttp.ClientSession
    address: URL

    def at(self, path: str) -> URL:
        return self.address.with_path(path).with_query(None)

    async def __call__(
        self, path: str, method: str = "GET", **options: Any
    ) -> aiohttp.ClientResponse:
        url = self.at(path) if path.startswith("/") else URL(path)
        async with self.session.request(method, url, allow_redirects=False, **options) as response:
            await response.read()
            return response


@asynccontextmanager
async def visiting(
    board: Board, address: Address | None = None, *, let_in: bool = True
) -> AsyncIterator[Visitor]:
    """Serve a board, and give a client of it."""
    async with serve(board, address or Address()) as printed:
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(cookie_jar=jar) as session:
            visitor = Visitor(session, URL(printed))
            if let_in:
                entered = await visitor(printed)
                assert entered.status == 303
            yield visitor


@asynccontextmanager
async def board_over(
    database_url: str, *accounts: Account, jobs: Any = None, mask_numbers: bool = False
) -> AsyncIterator[Board]:
    async with reading(database_url) as reader:
        options = BoardOptions(mask_numbers=mask_numbers)
        yield Board(reader, options, accounts, jobs=jobs, now=lambda: NOW)
