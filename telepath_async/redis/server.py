"""The words with Redis: its time, and the script.

Every word is one round trip and has a timeout; nothing is sent twice.
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

from .member import TIMEOUT, Answer, read_answer

OUTAGE: Final = (RedisError, OSError, TimeoutError)
"""What a word raises when Redis is not there, or will not do as it is told."""

REFUSAL: Final = (ResponseError, BusyLoadingError)
"""What a request raises that Redis has read and refuses.

It is loading, a replica, or out of memory, or the script failed."""

# Before 5.0, a script that read the clock could write only after this; since 7.0 it does nothing.
_CLOCK: Final = (
    "redis.replicate_commands()\nlocal t = redis.call('TIME')\nlocal now = t[1] + t[2] / 1e6\n"
)
BODY: Final = files("telepath_async.redis").joinpath("bucket.lua").read_text()
_SCRIPT: Final = _CLOCK + BODY
_SHA: Final = sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()


def _address(where: Mapping[str, Any]) -> str:
    return where.get("path") or f"{where.get('host', 'localhost')}:{where.get('port', 6379)}"


@final
class Server:
    """One connection to Redis, that opens when it is used and is dropped when a word failed."""

    def __init__(self, url: Secret) -> None:
        """Raises UsageError."""
        with contextlib.suppress(ValueError):  # its text may be a part of the password
            _refuse_misplaced_at(url.reveal())
            self._redis = redis.asyncio.Redis.from_url(
                url.reveal(),
                protocol=2,  # 3 asks a new connection for more than is used here
                socket_timeout=TIMEOUT,
                socket_connect_timeout=TIMEOUT,
                retry=Retry(NoBackoff(), 0),  # it would send a word again that may have been heard
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

    async def tell(self, key: str, ask: str) -> Answer:
        """Run the script on the bucket `key`."""
        async with asyncio.timeout(TIMEOUT):
            return read_answer(await self._run(key, ask))

    async def _run(self, key: str, ask: str) -> Any:
        try:
            return await self._redis.evalsha(_SHA, 1, key, ask)
        except NoScriptError:  # never loaded, flushed, or another server since a failover
            return await self._redis.eval(_SCRIPT, 1, key, ask)

    async def hang_up(self) -> None:
        """Drop the connection: an answer that comes late must not be taken for the next one."""
        with contextlib.suppress(
            *OUTAGE
        ):  # over TLS it waits for an answer to its goodbye, and raises without one
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
