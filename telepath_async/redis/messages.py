"""The request to bucket.lua and its reply, one class each."""

from __future__ import annotations

import json
from typing import Any

from attrs import Attribute, asdict, frozen

_MICROSECONDS = 1e6


@frozen(kw_only=True)
class Known:
    """What the sender knows of the state from its last reply.

    `number`: how often it had been written; `peers`: limiters in it; `enrolled`: whether the sender
    was one of them; `idle`: seconds in which the sender used nothing, 0 where it does not know.
    """

    number: int
    peers: int
    enrolled: bool
    idle: float


@frozen(kw_only=True)
class Tokens:
    """The tokens in hand that the sender keeps (`held`), and those that it gives back."""

    held: int
    returned: int


@frozen(kw_only=True)
class Demand:
    """The permits that callers wait for, by priority, and those that will be wanted soon."""

    interactive: int = 0
    bulk: int = 0
    spare: int = 0

    @property
    def waiting(self) -> int:
        return self.interactive + self.bulk


@frozen(kw_only=True)
class Terms:
    """The figures by which the script counts; those of the limiter that started last hold.

    `config`: names them; times in seconds, `keep` in milliseconds; `batch`: tokens that one reply
    should bring.
    """

    config: str
    expected: int
    limit: int
    burst: int
    rate: float
    period: float
    lease: float
    settle: float
    max_pause: float
    forget: float
    keep: int
    batch: int


@frozen(kw_only=True)
class ApiWindow:
    """The API's figures for its own window: requests left, when it ends (Unix seconds), and in how
    many seconds.
    """

    remaining: int
    reset: float
    resets_in: float


@frozen(kw_only=True)
class SyncRequest:
    """What a limiter sends: who it is, what it holds, wants, and has learned.

    `void_after`: Redis's time after which it is refused, in Unix seconds; `new_limit`: whether the
    limit in `terms` replaces the one there; `pause`: seconds for which nobody gets a permit.
    """

    id: str
    void_after: float
    known: Known
    tokens: Tokens
    demand: Demand
    terms: Terms
    leaving: bool
    new_limit: bool
    api: ApiWindow | None
    pause: float | None

    def text(self) -> str:
        """Return it as JSON, without what is None."""
        return json.dumps(asdict(self, filter=_is_set))


def _is_set(_: Attribute[Any], value: object) -> bool:
    return value is not None


@frozen
class SyncReply:
    """What the script returns.

    `late`: the request was refused; `server_time`: Unix seconds; `number`, `peers`: of the state
    now; `granted`: tokens; `renewed`: whether the tokens that were held are good for another lease;
    `again`: seconds after which a request may bring more; `pause`: seconds in which nobody gets a
    permit; `limit`: the one that holds.
    """

    late: bool
    server_time: float
    number: int = 0
    granted: int = 0
    renewed: bool = False
    again: float = 0.0
    pause: float = 0.0
    limit: int = 0
    peers: int = 0


def read_reply(reply: list[Any]) -> SyncReply:
    """Read the script's reply; its times are microseconds."""
    if reply[0] in (b"late", "late"):
        return SyncReply(True, reply[1] / _MICROSECONDS)
    _, server_time, number, granted, renewed, again, pause, limit, peers = reply
    return SyncReply(
        False,
        server_time / _MICROSECONDS,
        number,
        granted,
        bool(renewed),
        again / _MICROSECONDS,
        pause / _MICROSECONDS,
        int(limit),
        peers,
    )
