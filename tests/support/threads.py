"""A server that outlives the loops of a test, and loops that end without care."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.hostile import Hostile


@contextmanager
def server_in_a_thread(*script: Any, tls: ssl.SSLContext | None = None) -> Iterator[Hostile]:
    """Serve from a loop of its own, which outlives those of the test."""
    ready, box = threading.Event(), []

    async def serve() -> None:
        async with Hostile(list(script), tls=tls) as server:
            done = asyncio.Event()
            box.extend([server, asyncio.get_running_loop(), done])
            ready.set()
            await done.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    ready.wait()
    try:
        yield box[0]
    finally:
        box[1].call_soon_threadsafe(box[2].set)
        thread.join()


def bluntly(work: Coroutine[Any, Any, Any]) -> Any:
    """Run on a loop that is closed without any of the care that asyncio.run takes."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()


def hush(loop: asyncio.AbstractEventLoop) -> None:
    """Keep a loop that will not end its tasks from complaining about them."""
    loop.set_exception_handler(lambda loop, context: None)
