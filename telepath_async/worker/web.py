"""The worker's pages: SAQ's, of the queues, for this machine alone, and how a page is served.

Who sees SAQ's page can abort and repeat jobs.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Final

from aiohttp import web
from saq import Queue
from saq.web.aiohttp import create_app
from saq.web.common import render

from telepath_async import UsageError

LOOPBACK: Final = "127.0.0.1"
_HOSTS: Final = (LOOPBACK, "localhost")


@asynccontextmanager
async def serve_app(app: web.Application, host: str, port: int) -> AsyncIterator[str]:
    """Serve at a port (0: a free one), and give the address.

    Raises UsageError where the port cannot be had.
    """
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            reason = error.strerror
        else:
            reason = None
        if reason is not None:
            raise UsageError(f"port {port} of {host} cannot be had ({reason}); take another one")
        shown = f"[{host}]" if ":" in host else host
        yield f"http://{shown}:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def serve_page(queues: Sequence[Queue], port: int) -> AsyncIterator[str]:
    """Serve SAQ's page at a port of 127.0.0.1, and give its address. Raises UsageError."""
    app = create_app(list(queues))
    app.middlewares.insert(0, _from_here)
    app.on_response_prepare.append(_protect)
    app.on_shutdown.clear()  # it would disconnect the queues, which are not the page's
    async with serve_app(app, LOOPBACK, port) as url:
        yield url


@web.middleware
async def _from_here(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Refuse what another web site makes a browser send, under a name of its own or to abort."""
    origin = request.headers.get("Origin")
    if request.url.host not in _HOSTS or origin not in (None, str(request.url.origin())):
        raise web.HTTPForbidden(text="this page answers to itself only, at 127.0.0.1 or localhost")
    return await handler(request)


async def _protect(_: web.Request, response: web.StreamResponse) -> None:
    """Let no other site show the page in a frame, and the page load and run its own files alone."""
    response.headers.update(_PROTECTION)


def _inline_scripts() -> str:
    """Return SAQ's own inline scripts as sources of a Content-Security-Policy."""
    scripts = re.findall(r"<script>(.+?)</script>", render(root_path=""), re.DOTALL)
    digests = (b64encode(sha256(script.encode()).digest()).decode() for script in scripts)
    return " ".join(f"'sha256-{digest}'" for digest in digests)


_PROTECTION: Final = {
    "Content-Security-Policy": (
        f"default-src 'none'; script-src 'self' {_inline_scripts()}; style-src 'self'; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
