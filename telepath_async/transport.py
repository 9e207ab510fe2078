"""The only file that calls aiohttp's client: sends one request once, and returns its answer or one
of our errors.

Bounds: the whole exchange in seconds, the body in bytes after decompression. No redirect is
followed, no cookie is kept, nothing is sent twice, and no exception of aiohttp leaves this file:
several of them hold the Authorization header.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import io
import math
import platform
import warnings
from base64 import b64encode
from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Final, final

import aiohttp
from aiohttp.client_middlewares import ClientHandlerType
from attrs import define
from yarl import URL

from . import failures
from .deadlines import Deadlines
from .errors import TelepathError
from .failures import Broken
from .protocol.body import decode_error
from .protocol.encoding import ACCEPT_ENCODING, MAX_REST, decode_body
from .protocol.messages import Request, Response
from .reuse import drop_all, drop_stale
from .secret import Secret
from .version import __version__

USER_AGENT: Final = (
    f"telepath-async/{__version__} (Python {platform.python_version()}; aiohttp "
    f"{aiohttp.__version__})"
)

_JSON: Final = {"Content-Type": "application/json"}
_NO_BOUND: Final = aiohttp.ClientTimeout()  # ours is in deadlines.py


@define(eq=False, kw_only=True)
class Origin:
    """Where requests go, and the key that goes there and nowhere else.

    `base_url` has no slash at its end; `proxy` is a Secret because its URL may hold a password.
    """

    base_url: str
    api_key: Secret
    proxy: Secret | None = None
    max_bytes: int

    def secrets(self) -> Iterator[Secret]:
        """What an error must not show if a server or a proxy echoes it."""
        yield self.api_key
        proxy = URL(self.proxy.reveal()) if self.proxy else URL()
        if proxy.password:
            yield Secret(proxy.password)
            yield Secret(b64encode(f"{proxy.user or ''}:{proxy.password}".encode()).decode())

    def headers(self, more: Mapping[str, Secret]) -> Headers:
        """Return the headers of all requests that are sent with `more`, made once."""
        return Headers(
            {
                "Accept": "application/json",
                "Accept-Encoding": ACCEPT_ENCODING,
                "User-Agent": USER_AGENT,
                **{name: value.reveal() for name, value in more.items()},
                "Authorization": f"Bearer {self.api_key.reveal()}",
            }
        )


class Headers(dict[str, str]):
    """Headers that hide themselves: crash reporters print the locals of every frame."""

    def __repr__(self) -> str:
        return f"<{len(self)} headers>"


async def hold_open() -> AsyncGenerator[aiohttp.ClientSession]:
    """Hold a session of our own open on the running loop: no cookies, nothing from the environment.

    It is a generator because `asyncio.run` closes those of its loop before it closes the loop:
    connections that nobody closed end there in good order, and not with a warning from a loop that
    is dead.
    """
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),  # slots.py bounds them
        cookie_jar=aiohttp.DummyCookieJar(),
    )
    try:
        yield session
    finally:
        await session.close()


async def abandon(session: aiohttp.ClientSession) -> None:
    """Let go of a session whose loop was closed under it, sockets included, without a warning."""
    with contextlib.suppress(
        RuntimeError
    ):  # a look-up of a host was under way, whose loop is closed
        await session.close()
    session.detach()
    # A dead loop closes no socket; the collector does, and warns of each.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def loop_of(session: aiohttp.ClientSession) -> asyncio.AbstractEventLoop:
    """Return the loop that a session belongs to; on another one its timers fail."""
    return session._loop  # pyright: ignore[reportPrivateUsage]  # `session.loop` is deprecated


@final
class Http:
    """An aiohttp session on its loop, and what all requests on it share."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session
        self.deadlines = Deadlines(loop_of(session))


async def send(
    http: Http,
    origin: Origin,
    request: Request,
    *,
    headers: Headers,
    timeout: float | None,
    until: float = math.inf,
) -> Response:
    """Send the request once, and return its answer.

    `timeout`: seconds for the whole exchange, None = no bound; `until`: the loop's time at which it
    must be over. A body larger than `origin.max_bytes` is cut. Raises ConnectionFailed,
    ConnectionLost, RequestTimeout, or ResponseError (the cut body of a 2xx).
    """
    task = asyncio.current_task()
    assert task is not None
    if task.cancelling():  # Ctrl-C while code ran that awaits nothing, a listener that cancels
        await asyncio.sleep(0)  # raises here, where it cannot be taken for an old cancellation
    exchange = _Exchange()
    deadline = http.deadlines.begin(math.inf if timeout is None else timeout, until)
    try:
        try:
            response, whole = await _exchange(http.session, origin, request, headers, exchange)
        finally:
            deadline.end()
    except (aiohttp.ClientError, OSError) as error:
        failure = exchange.failure(error, request, origin)
    except asyncio.CancelledError:
        if deadline.cancelled_by_caller:
            raise
        if deadline.fired:
            failure = failures.timeout(
                _target(request, origin), deadline.seconds, sent=exchange.sent
            )
        else:
            # Nobody cancelled us: the caller closed his own session, and aiohttp the futures of
            # those who wait for a connection.
            failure = exchange.failure(Broken("session closed"), request, origin)
    else:
        if whole or not 200 <= response.status < 300:
            return response
        raise decode_error(response, f"it is larger than max_response_bytes ({origin.max_bytes})")
    # Raised out here, because inside the handler it would carry aiohttp's exception as its context.
    raise failure


def _target(request: Request, origin: Origin) -> str:
    return f"{request.endpoint} at {URL(origin.base_url).origin()}"


async def _exchange(
    session: aiohttp.ClientSession,
    origin: Origin,
    request: Request,
    headers: Headers,
    exchange: _Exchange,
) -> tuple[Response, bool]:
    """Return the answer, and whether its body is whole. Raises what aiohttp raises."""
    answer = await session.request(
        request.method,
        URL(origin.base_url + request.target, encoded=True),
        data=_body(request),
        headers=headers if request.body is None else Headers(headers | _JSON),
        timeout=_NO_BOUND,
        allow_redirects=False,
        raise_for_status=False,
        auto_decompress=False,
        proxy=origin.proxy.reveal() if origin.proxy else None,
        middlewares=(exchange,),
    )
    try:
        body, whole = await _read(answer.content, origin.max_bytes)
        if whole:
            encoding = answer.headers.get("Content-Encoding", "")
            body, whole = decode_body(body, encoding, origin.max_bytes)
        response = Response(
            status=answer.status, headers=answer.headers, body=body, endpoint=request.endpoint
        )
        del body
        return response, whole
    finally:
        # where it was read to its end, the connection is back in the pool already
        answer.close()
        del answer  # its repr shows the headers, and a traceback keeps this frame


def _body(request: Request) -> bytes | io.BytesIO | None:
    # aiohttp warns of bytes above 1 MiB, and writes a file in pieces.
    return (
        io.BytesIO(request.body)
        if request.body is not None and len(request.body) > 2**20
        else request.body
    )


async def _read(content: aiohttp.StreamReader, max_bytes: int) -> tuple[bytes, bool]:
    """Return the body as it came, and whether that is all of it; a larger one is cut."""
    if content.is_eof() and content.total_bytes <= max_bytes:
        return content.read_nowait(), True  # it has come with its headers
    body = io.BytesIO()  # shows nothing of what it holds, where a traceback keeps this frame
    size = 0
    while size <= max_bytes and not content.at_eof():
        size += body.write(await content.readany())
    if size > max_bytes:
        body.truncate(min(max_bytes, MAX_REST))
    return body.getvalue(), size <= max_bytes


class _Exchange:
    """A middleware of one request, the last before the wire.

    It lets no stale connection be used, and keeps out the cookies of a caller's own session, and
    aiohttp's habit of sending a request a second time. `sent`: whether the request was handed to a
    socket; `stale`: whether an idle connection died under it before a byte of the answer came.
    """

    __slots__ = ("_request", "stale")

    def __init__(self) -> None:
        self._request: aiohttp.ClientRequest | None = None
        self.stale = False

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: ClientHandlerType
    ) -> aiohttp.ClientResponse:
        self._request = request
        request.headers.popall("Cookie", None)
        connector = request.session.connector
        assert connector is not None
        reused = drop_stale(connector, request.connection_key)
        try:
            return await handler(request)
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
            if reused and isinstance(getattr(error, "message", ""), str):  # else a part of a head
                self.stale = True
                drop_all(connector, request.connection_key)
            # aiohttp answers these two on a reused connection by sending a GET once more
            # by itself.
            raise Broken(type(error).__name__) from None

    def failure(self, error: Exception, request: Request, origin: Origin) -> TelepathError:
        """Return our error for what aiohttp raised."""
        target = _target(request, origin)
        return failures.failure(
            error,
            request,
            target,
            sent=self.sent,
            stale=self.stale,
            secrets=origin.secrets(),
        )

    @property
    def sent(self) -> bool:
        # aiohttp makes the response object right after it has written the head.
        return self._request is not None and self._request.response is not None
