"""SAQ's web page of the queues, for this machine alone: who sees it can abort and repeat jobs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web
from saq import Queue
from saq.web.aiohttp import create_app

_LOOPBACK: Final = "127.0.0.1"
_HOSTS: Final = (_LOOPBACK, "localhost")


@asynccontextmanager
async def serve_page(queues: Sequence[Queue], port: int) -> AsyncIterator[str]:
    """Serve the page at a port of 127.0.0.1 (0: a free one), and give its address.

    Raises OSError for a port in use.
    """
    app = create_app(list(queues))
    app.middlewares.insert(0, _from_here)
    app.on_shutdown.clear()  # it would disconnect the queues, which are not the page's
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, _LOOPBACK, port).start()
        yield f"http://{_LOOPBACK}:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


@web.middleware
async def _from_here(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Refuse what another web site makes a browser send, under a name of its own or to abort."""
    origin = request.headers.get("Origin")
    if request.url.host not in _HOSTS or origin not in (None, str(request.url.origin())):
        raise web.HTTPForbidden(text="this page answers to itself only, at 127.0.0.1 or localhost")
    return await handler(request)
