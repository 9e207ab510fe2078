"""Look at an idle connection before it is used again.

aiohttp takes any that is open as far as the loop knows. But bytes may have come that nobody
asked for, which would be taken for the next answer; and the server may have closed it while this
process was busy. What is still unread shows at the socket, what was read at aiohttp's protocol.
"""

from __future__ import annotations

import select
import time
from collections import deque
from typing import Any, Final

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ConnectionKey

_Idle = deque[tuple[ResponseHandler, float]]

_EARLIER: Final = 0.99
"""A hair before aiohttp drops one for its age, and goes on to another that nobody looked at."""


def drop_stale(connector: aiohttp.BaseConnector, key: ConnectionKey) -> bool:
    """Close idle connections until the next one is good; return whether there is one.

    aiohttp takes that one, if nothing else runs in between.
    """
    idle = _idle(connector, key)
    while idle:
        protocol, since = idle[0]
        if not _is_old(connector, since) and _is_good(protocol):
            return True
        idle.popleft()
        protocol.close()
    return False


def drop_all(connector: aiohttp.BaseConnector, key: ConnectionKey) -> None:
    """Close all idle connections to one host: where one was closed, the others are as old."""
    idle = _idle(connector, key)
    while idle:
        idle.popleft()[0].close()


def _idle(connector: aiohttp.BaseConnector, key: ConnectionKey) -> _Idle:
    connections: Any = getattr(connector, "_conns", {})
    return connections.get(key) or deque()


def _is_old(connector: aiohttp.BaseConnector, since: float) -> bool:
    limit: float | None = getattr(connector, "_keepalive_timeout", None)
    return limit is not None and time.monotonic() - since > limit * _EARLIER


def _is_good(protocol: ResponseHandler) -> bool:
    transport = protocol.transport
    return (
        transport is not None
        and not transport.is_closing()
        and not protocol.should_close  # something came that belongs to no request
        and not _is_readable(transport.get_extra_info("socket"))
    )


def _is_readable(sock: Any) -> bool:
    """Whether bytes, or the end, wait at the socket. It costs less than a microsecond."""
    if sock is None:  # a transport without one, such as a named pipe
        return False
    if not hasattr(select, "poll"):  # pragma: no cover: Windows
        return bool(select.select([sock], [], [], 0)[0])
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(0))
