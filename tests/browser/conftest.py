"""A real Chromium, and a dashboard over calls that are known. `nox -s browser` runs these."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field
from playwright.sync_api import Browser, Page, sync_playwright

from telepath_async import TelepathClient
from telepath_async.dashboard.board import Account, Board, BoardOptions
from telepath_async.dashboard.queries import CallReader
from telepath_async.dashboard.server import Address, serve
from telepath_async.sandbox import Sandbox
from telepath_async.sync import sync_calls
from telepath_async.sync.reading import make_reader

_NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def chromium() -> str:
    """Return the program, or skip."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip("there is no Chromium: apt-get install chromium, or set CHROMIUM")
    return found


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # As root, as in a container, Chromium runs without its own sandbox only.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        launched = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield launched
        launched.close()


@define
class Served:
    """A dashboard in a thread of its own; `stop` and `start` it at the same port."""

    work: Callable[[int], Any]
    loop: asyncio.AbstractEventLoop = field(factory=asyncio.new_event_loop)
    address: str = ""
    port: int = 0
    _thread: threading.Thread | None = None
    _stop: asyncio.Event | None = None

    def start(self) -> None:
        up = threading.Event()

        async def run() -> None:
            self._stop = asyncio.Event()
            async with self.work(self.port) as address:
                self.address = address
                self.port = int(address.split(":")[2].split("/")[0])
                up.set()
                await self._stop.wait()

        self._thread = threading.Thread(target=self.loop.run_until_complete, args=(run(),))
        self._thread.start()
        assert up.wait(60)

    def stop(self) -> None:
        if self._stop is None or self._thread is None or not self._thread.is_alive():
            return
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()


def run_aside(work: Coroutine[Any, Any, None]) -> None:
    """Run it in a thread: Playwright has a loop of its own in this one."""
    with ThreadPoolExecutor(1) as executor:
        executor.submit(asyncio.run, work).result()


@contextmanager
def dashboard(
    database_url: str,
    *,
    sandbox: Sandbox | None = None,
    figures: Callable[[], dict[str, Any]] = dict,
    **options: Any,
) -> Iterator[Served]:
    """Serve a database; with a sandbox, it is synced first, and asked for details.

    `figures`: what is said of its sync.
    """

    @asynccontextmanager
    async def work(port: int) -> AsyncIterator[str]:
        async with AsyncExitStack() as stack:
            reader = CallReader(make_reader(database_url))
            stack.push_async_callback(reader.close)
            accounts = []
            if sandbox is not None:
                telepath = await stack.enter_async_context(_synced(sandbox, database_url))
                accounts.append(Account(name="acme", telepath=telepath, figures=figures))
            board = Board(reader, BoardOptions(**options), accounts)
            yield await stack.enter_async_context(serve(board, Address(port=port)))

    served = Served(work)
    served.start()
    try:
        yield served
    finally:
        served.stop()
        served.loop.close()


@asynccontextmanager
async def _synced(sandbox: Sandbox, database_url: str) -> AsyncIterator[TelepathClient]:
    async with (
        sandbox as server,
        TelepathClient(server.api_key, base_url=server.base_url) as telepath,
    ):
        since = datetime.now(UTC) - timedelta(days=31)
        await sync_calls(telepath, database_url, account="acme", since=since)
        yield telepath


@pytest.fixture(scope="session")
def sandbox_database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a database with the calls of a sandbox, of one account."""
    url = f"sqlite:///{tmp_path_factory.mktemp('browser')}/calls.db"

    async def fill() -> None:
        async with _synced(Sandbox(style="cursor", calls=3000), url):
            pass

    run_aside(fill())
    return url


@define
class Visit:
    """A page, and what it must not do."""

    page: Page
    errors: list[str] = field(factory=list)
    hosts: set[str] = field(factory=set)


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Visit]]:
    """Open an address; at the end, no error and no other host was seen."""
    visits: list[Visit] = []

    def open_(address: str, width: int = 1280, theme: Any = "light", **options: Any) -> Visit:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=theme, **options
        )
        made = Visit(context.new_page())
        page = made.page
        page.on("console", lambda message: _note(made, message.type, message.text))
        page.on("pageerror", lambda error: made.errors.append(str(error)))
        page.on("request", lambda request: made.hosts.add(request.url.split("/")[2]))
        page.goto(address)
        page.wait_for_selector("#tiles dd")
        visits.append(made)
        return made

    yield open_
    for made in visits:
        assert made.errors == []
        assert len(made.hosts) == 1
        made.page.context.close()


def _note(made: Visit, kind: str, text: str) -> None:
    if kind == "error":
        made.errors.append(text)


@pytest.fixture
def pictures() -> Path | None:
    """Where pictures are kept for somebody to look at: `PICTURES`."""
    named = os.environ.get("PICTURES")
    return Path(named) if named else None
