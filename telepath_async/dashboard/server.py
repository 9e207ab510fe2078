"""Serve the page and its answers: to this machine's user, and to nobody else."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any, Final, TypeAlias

from aiohttp import web
from attrs import frozen
from yarl import URL

from telepath_async import UsageError
from telepath_async.sync.database import database_errors

from .board import Board

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]
Answer: TypeAlias = Callable[[Mapping[str, str]], Awaitable[dict[str, Any] | None]]

LOOPBACK: Final = "127.0.0.1"
_NAMES: Final = (LOOPBACK, "localhost")
_COOKIE: Final = "telepath_dashboard"
_TYPES: Final = {
    ".svg": "image/svg+xml",
    ".js": "text/javascript",
    ".css": "text/css",
    ".html": "text/html",
}
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@frozen(kw_only=True)
class Address:
    """Where to listen, and the URL of the proxy before it where it is not only for this machine."""

    host: str = LOOPBACK
    port: int = 0
    behind_proxy: str | None = None

    def __attrs_post_init__(self) -> None:
        proxy = self.proxy
        if self.host not in _NAMES and proxy is None:
            raise UsageError(
                f"--host {self.host} would show the calls to the network: put a proxy with TLS and "
                "a login before it, and give its URL by --behind-proxy"
            )

    @property
    def proxy(self) -> URL | None:
        """The URL of the proxy, or None. Raises UsageError where it is not such a URL."""
        return _proxy_url(self.behind_proxy)


def _proxy_url(text: str | None) -> URL | None:
    if text is None:
        return None
    try:
        url = URL(text)
    except ValueError:
        url = URL()
    if url.scheme != "https" or not url.host or url.path not in ("", "/"):
        raise UsageError("--behind-proxy must be such as https://calls.example.com")
    return url


class _Door:
    """Let in who has the token that was printed, once, or the cookie that it became."""

    def __init__(self, address: Address) -> None:
        self.token: str | None = secrets.token_urlsafe(24)
        self._cookie: Final = secrets.token_urlsafe(24)
        self._proxy: Final = address.proxy

    @web.middleware
    async def check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse another host name, another method, and who has neither token nor cookie."""
        try:
            response = await self._checked(request, handler)
        except web.HTTPException as refused:
            response = web.Response(status=refused.status, text=refused.text)
        response.headers.update(_HEADERS)
        return response

    async def _checked(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        allowed = {*_NAMES, self._proxy.host} if self._proxy else {*_NAMES}
        if request.url.host not in allowed:
            raise web.HTTPForbidden(text="this page answers under its own address only")
        if request.method != "GET":
            raise web.HTTPMethodNotAllowed(request.method, ["GET"], text="only GET")
        given = request.cookies.get(_COOKIE, "").encode()
        if hmac.compare_digest(given, self._cookie.encode()):
            return _home() if "token" in request.query else await handler(request)
        return self._enter(request)

    def _enter(self, request: web.Request) -> web.Response:
        given = request.query.get("token", "").encode()
        if self.token is None or not hmac.compare_digest(given, self.token.encode()):
            raise web.HTTPForbidden(
                text="open the address that the command printed; it lets one browser in, once: "
                "for another one, start the command again"
            )
        self.token = None
        response = _home()
        response.set_cookie(
            _COOKIE, self._cookie, httponly=True, samesite="Strict", secure=self._proxy is not None
        )
        return response


def _home() -> web.Response:
    return web.Response(status=303, headers={"Location": "/"})


@asynccontextmanager
async def serve(board: Board, address: Address) -> AsyncIterator[str]:
    """Serve until the block ends, and give the address with its token.

    Raises OSError for a port in use.
    """
    door = _Door(address)
    app = web.Application(middlewares=[door.check])
    for path, response in _files().items():
        app.router.add_get(path, response)
    answers: dict[str, Answer] = {
        "data": board.data,
        "calls": board.calls,
        "call": board.call,
        "explain": board.explain,
    }
    for name, answer in answers.items():
        app.router.add_get(f"/api/{name}", _json(answer))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, address.host, address.port).start()
        home = address.proxy or URL.build(scheme="http", host=LOOPBACK, port=runner.addresses[0][1])
        yield str(home.with_path("/").with_query(token=door.token or ""))
    finally:
        await runner.cleanup()


def _files() -> dict[str, Handler]:
    """Return a handler for each file of the page."""
    found = {}
    for file in files("telepath_async.dashboard").joinpath("static").iterdir():
        content_type = _TYPES.get(file.name[file.name.rindex(".") :])
        if content_type is not None:
            path = "/" if file.name == "index.html" else f"/static/{file.name}"
            found[path] = _file(file.read_bytes(), content_type)
    return found


def _file(body: bytes, content_type: str) -> Handler:
    async def respond(request: web.Request) -> web.StreamResponse:
        response = web.Response(body=body, content_type=content_type, charset="utf-8")
        response.enable_compression()
        return response

    return respond


def _json(answer: Answer) -> Handler:
    async def respond(request: web.Request) -> web.StreamResponse:
        try:
            found = await answer(request.query)
        except UsageError as error:
            return web.json_response({"error": str(error)}, status=400)
        except database_errors() as error:
            fault = f"the database does not answer ({type(error).__name__})"
            return web.json_response({"error": fault}, status=503)
        if found is None:
            return web.json_response({"error": "there is no such call"}, status=404)
        response = web.json_response(found)
        response.enable_compression()
        return response

    return respond
