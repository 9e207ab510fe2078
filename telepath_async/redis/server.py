"""The connection to Redis: its time, and the script.

Every request is one round trip and has a timeout; nothing is sent twice.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from hashlib import sha1
from importlib.resources import files
from typing import Any, Final, final
from urllib.parse import urlsplit

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, NoScriptError, RedisError, ResponseError

from telepath_async import Secret, UsageError

from .messages import SyncReply, read_reply
from .times import TIMEOUT

OUTAGE: Final = (RedisError, OSError, TimeoutError)
"""What a request raises when Redis does not reply, or replies with an error."""

REFUSAL: Final = (ResponseError, BusyLoadingError)
"""What a request raises that Redis has read and refused.

It is loading, a replica, or out of memory, or the script failed.
"""

# Before 5.0, a script that read the clock could write only after this; since 7.0 it does nothing.
_CLOCK: Final = (
    "redis.replicate_commands()\nlocal t = redis.call('TIME')\nlocal now = t[1] + t[2] / 1e6\n"
)
BODY: Final = files("telepath_async.redis").joinpath("bucket.lua").read_text()
_SCRIPT: Final = _CLOCK + BODY
_SHA: Final = sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()


def _address(options: Mapping[str, Any]) -> str:
    host, port = options.get("host", "localhost"), options.get("port", 6379)
    return options.get("path") or f"{host}:{port}"


@final
class Server:
    """One connection to Redis, which opens when it is used, and is dropped after a failure."""

    def __init__(self, url: Secret) -> None:
        """Raises UsageError."""
        with contextlib.suppress(ValueError):  # its text may be a part of the password
            _refuse_misplaced_at(url.reveal())
            self._redis = redis.asyncio.Redis.from_url(
                url.reveal(),
                protocol=2,  # 3 asks a new connection for more than is used here
                socket_timeout=TIMEOUT,
                socket_connect_timeout=TIMEOUT,
                retry=Retry(NoBackoff(), 0),  # it would send again what may have been carried out
            )
            self.address = _address(self._redis.connection_pool.connection_kwargs)
            return
        raise UsageError(
            "the URL of Redis is not usable; write it as redis://host:6379/0, "
            "redis://:password@host:6379/0, rediss:// or unix://, and what is special in a URL as "
            "%XX (/ is %2F, # is %23)"
        )

    async def time(self) -> float:
        """Return Redis's clock, in Unix seconds."""
        async with asyncio.timeout(TIMEOUT):
            seconds, microseconds = await self._redis.time()
        return int(seconds) + int(microseconds) / 1e6

    async def sync(self, key: str, request: str) -> SyncReply:
        """Run the script on the bucket `key`."""
        async with asyncio.timeout(TIMEOUT):
            return read_reply(await self._run(key, request))

    async def _run(self, key: str, request: str) -> Any:
        try:
            return await self._redis.evalsha(_SHA, 1, key, request)
        except NoScriptError:  # never loaded, flushed, or another server since a failover
            return await self._redis.eval(_SCRIPT, 1, key, request)

    async def disconnect(self) -> None:
        """Drop the connection: a late reply must not be taken for the next one."""
        # Over TLS it waits for the other side to close, and raises where that does not happen.
        with contextlib.suppress(*OUTAGE):
            await self._redis.connection_pool.disconnect(inuse_connections=True)

    async def aclose(self) -> None:
        """Close."""
        with contextlib.suppress(*OUTAGE):
            await self._redis.aclose()


def _refuse_misplaced_at(url: str) -> None:
    """Raise ValueError where a password with a slash would pass for host, port and path."""
    parts = urlsplit(url)
    if parts.scheme != "unix" and "@" in f"{parts.path}{parts.query}{parts.fragment}":
        raise ValueError
