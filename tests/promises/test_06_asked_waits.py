"""Promise 6: every form of Retry-After and of a reset header gives a bounded wait.

All forms of Retry-After and the resets are a table in tests/protocol/test_retry.py, and what the
limiter learns of a reset one in tests/protocol/test_ratelimit.py. Here one of each kind of
Retry-After goes through a socket, aiohttp's parser, the limiter and the loop of a real call, beside
a server's clock that is right, an hour fast, or an hour slow. Resets go through a socket in
test_02_backoff.py and tests/test_pauses.py.
"""

from __future__ import annotations

import asyncio
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any

import pytest

from telepath_async import LocalLimiter, TelepathClient, session
from telepath_async.errors import APIError
from tests.support.hostile import Hostile, raw, reply
from tests.support.trunk_server import KEY

HOUR = 3600


def http(seconds: float) -> str:
    return formatdate(seconds, usegmt=True)


# What the header says, given the server's clock; None: it counts as absent; a figure: seconds.
FORMS: dict[str, tuple[Any, float | None]] = {
    "seconds": ("30", 30),
    "date": (lambda clock: http(clock + 30), 30),
    "a day": ("86400", 86400),
    "words": ("soon", None),
    "bytes": ("\xff\xfe", None),
}


class Paused(LocalLimiter):
    """Notes the pauses that it is told of, and makes nobody wait for them."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float] = []

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that the request loop sleeps; it does not."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(session, "asyncio", SimpleNamespace(**vars(asyncio) | {"sleep": sleep}))
    return slept


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("skew", [0, HOUR, -HOUR])
@pytest.mark.parametrize("form", FORMS)
async def test_each_kind_of_retry_after_gives_a_bounded_wait(
    form: str, skew: int, status: int, naps: list[float]
) -> None:
    text, asked = FORMS[form]
    clock = 1_741_603_200 + skew
    header = text(clock) if callable(text) else text
    head = (
        f"HTTP/1.1 {status} No\r\nretry-after: {header}\r\n"
        f"Date: {http(clock)}\r\nContent-Length: 2\r\n\r\n{{}}"
    )
    key = f"{KEY}{form}{skew}{status}".replace(" ", "")
    script, limiter = [raw(head.encode("latin-1")), reply()], Paused()
    async with (
        Hostile(script) as server,
        TelepathClient(key, base_url=server.url, timeout=61.0, limiter=limiter) as client,
    ):
        if asked is not None and asked > 60:
            with pytest.raises(APIError) as caught:
                await client.request("GET", "/x")
            assert (caught.value.retry_after, naps) == (asked, [])
            return
        assert (await client.request("GET", "/x")).status == 200
    (nap,) = naps
    assert max(asked or 0, 0.05) <= nap <= max(asked or 0, 0.5)
    assert limiter.pauses == ([asked] if asked and status == 429 else [])
