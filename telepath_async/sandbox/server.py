"""`Sandbox`: the whole Telepath API on a local port, and the handles that tests need on it."""

import asyncio
import math
import secrets
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from . import timestamps
from .dialect import DIALECTS, Style
from .faults import Body, Drop, make_fault
from .gateway import Gateway
from .ratelimit import FixedWindow
from .recorded import RecordedRequest
from .selection import ORDERS, Order
from .world import World

Item = dict[str, Any]

_TIMES = (100_000_000, 2**32 - 1)  # 1973, so that two years of trunks fit after 1970; and 2106
# Where a host means every interface: clients send a key in clear text to this machine only.
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
_SECONDS_TO_HANG_UP = 0.1  # requests in flight are cut off before this starts to count


class Sandbox:
    """A local server of the Telepath API, for tests.

    Use it as `async with Sandbox(style="cursor") as sandbox`; its address is `sandbox.base_url`.

    - `style`: `"offset"` (bare objects, `ai_provider`) or `"cursor"` (everything under `data`,
      `provider`).
    - `trunks`, `calls`: how many are made up, from `seed` alone. The calls start in the 30 days
      before `now`, a Unix time in seconds (the present when None), in a rhythm over day and week;
      the newest are seconds old. Three trunks have most of them, and providers differ.
    - `incident`: yesterday from 13:00 to 17:00 UTC, the AI latency of the busiest trunk was double.
    - `live`: more calls come while it runs, at least three a minute, each when it has ended.
    - `order`: how lists are ordered: `"newest"` or `"oldest"` first, or by `"name"` (calls: by
      their ids).
    - `max_offset`: a larger offset is refused with 400; None: none is.
    - `rate_limit`: requests allowed in each `rate_period` seconds, in windows aligned to the wall
      clock.
    - `latency`: seconds that every answer is held back.
    - `api_key`: the only key accepted; a new random one for each sandbox when None.

    Beside `/v1`, `/openapi.json` is the OpenAPI 3.1 document of the API in this style.

    The world can be read and changed before, during and after `async with`. Raises ValueError for
    options that make no sense.
    """

    def __init__(
        self,
        *,
        style: Style = "offset",
        trunks: int = 25,
        calls: int = 1000,
        rate_limit: int = 6000,
        rate_period: float = 60.0,
        latency: float = 0.0,
        seed: int = 0,
        host: str = "127.0.0.1",
        port: int = 0,
        api_key: str | None = None,
        now: int | None = None,
        incident: bool = True,
        live: bool = False,
        order: Order = "newest",
        max_offset: int | None = None,
    ) -> None:
        if style not in DIALECTS:
            raise ValueError(f'style must be "offset" or "cursor", not {style!r}')
        if order not in ORDERS:
            raise ValueError(f"order must be one of {', '.join(ORDERS)}, not {order!r}")
        _check_range("max_offset", max_offset or 0, 0)
        _check_range("trunks", trunks, 0)
        _check_range("calls", calls, 0)
        _check_range("rate_limit", rate_limit, 1)
        _check_range("latency", latency, 0)
        _check_range("port", port, 0, 65_535)
        if not 0 < rate_period < math.inf:
            raise ValueError(f"rate_period must be a number of seconds above 0, not {rate_period}")
        if api_key == "":
            raise ValueError("api_key must not be empty")
        if live and now is not None:
            raise ValueError("a live sandbox is in the present: leave out now, or live")
        self.api_key = api_key or f"sk_live_sandbox_{secrets.token_hex(8)}"
        dialect = DIALECTS[style]()
        now = timestamps.now() if now is None else now
        _check_range("now", now, *_TIMES)
        self._world = World(
            dialect,
            trunks=trunks,
            calls=calls,
            seed=seed,
            now=now,
            incident=incident,
            live=live,
            order=order,
            max_offset=max_offset,
        )
        self._gateway = Gateway(
            self._world, dialect, self.api_key, FixedWindow(rate_limit, rate_period), latency
        )
        self._host = host
        self._port = port
        self._server: web.Server | None = None
        self._listening: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        if self._listening:
            raise RuntimeError("this Sandbox was started before; make a new one")
        self._server = web.Server(self._gateway.handle, access_log=None)
        self._listening = await asyncio.get_running_loop().create_server(
            self._server, self._host, self._port, backlog=1024
        )
        self._port = self._listening.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server
        assert self._listening
        await _stop_accepting(self._listening)
        self._server.pre_shutdown()  # from here on, nothing is read from open connections
        await self._gateway.cancel()
        await self._server.shutdown(_SECONDS_TO_HANG_UP)

    @property
    def base_url(self) -> str:
        """The address to give a client on this machine, such as `http://127.0.0.1:49152/v1`.

        Raises RuntimeError before the start.
        """
        if self._listening is None:
            raise RuntimeError("this Sandbox has no address before `async with`")
        host = _LOOPBACK.get(self._host, self._host)
        host = f"[{host}]" if ":" in host else host
        return f"http://{host}:{self._port}/v1"

    @property
    def requests(self) -> list[RecordedRequest]:
        """Every request so far, in order of arrival; after 100,000 the older half is forgotten."""
        return self._gateway.requests

    @property
    def throttled(self) -> int:
        """How many requests the rate limit has answered with 429."""
        return self._gateway.throttled

    def fail_next(
        self,
        status: int | None = None,
        *,
        drop: Drop | None = None,
        delay: float = 0.0,
        times: int = 1,
        method: str | None = None,
        path: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        executed: bool = False,
    ) -> None:
        """Script a fault for the next `times` requests that match.

        - `status`: answer so without executing the request (`executed=True`: it takes effect all
          the same), with `headers` added and `body` (bytes, text, or a mapping for JSON) instead of
          an error in the sandbox's style.
        - `drop`: abort the connection `"before"` the request takes effect, `"after"` it, or in the
          `"middle"` of the answer.
        - `delay`: seconds between the effect and the answer.
        - `method`, `path`: what to match; the path is relative to /v1, exact or a template such as
          `/trunks/{id}`.

        Faults are used up in the order scripted. A request over the rate limit gets its 429 and
        uses up no fault. Raises ValueError for options that contradict each other.
        """
        fault = make_fault(
            status=status, drop=drop, delay=delay, times=times, method=method, path=path,
            headers=headers, body=body, executed=executed,
        )  # fmt: skip
        self._gateway.faults.add(fault)

    @property
    def trunks(self) -> Mapping[str, Item]:
        """The trunks by id, newest first, with their secrets; `provider` in both styles.

        Look-ups give copies.
        """
        return self._world.trunks

    @property
    def calls(self) -> Mapping[str, Item]:
        """The calls by id, newest first.

        Look-ups give copies, made when asked for.
        """
        self._world.catch_up()
        return self._world.calls

    def add_trunk(self, **fields: Any) -> Item:
        """Add a trunk, unchecked; what is not given is made up.

        Raises ValueError for a taken id or sip_username.
        """
        return self._world.trunks.add(**fields)

    def remove_trunk(self, trunk_id: str) -> None:
        """Remove a trunk; its calls stay. Raises KeyError for an unknown id."""
        self._world.trunks.remove(trunk_id)

    def add_call(self, **fields: Any) -> Item:
        """Add a call; what is not given is made up.

        `from_number` and `to_number` stand for `from` and `to`. It starts now unless `start_time`
        (ISO 8601) is given; order and filters see whole seconds.
        """
        return self._world.calls.add(**fields)

    def update_call(self, call_id: str, **fields: Any) -> Item:
        """Change just these fields of a call. Raises KeyError for an unknown id."""
        return self._world.calls.update(call_id, **fields)

    def remove_call(self, call_id: str) -> None:
        """Remove a call. Raises KeyError for an unknown id."""
        self._world.calls.remove(call_id)

    def sip_password(self, trunk_id: str) -> str:
        """Return a trunk's current SIP password. Raises KeyError for an unknown id."""
        password: str = self._world.trunks[trunk_id]["sip_password"]
        return password

    def sip_login(self, username: str, password: str) -> bool:
        """True when a carrier could register with these SIP credentials now."""
        trunk = self._world.trunks.by_username(username)
        return trunk is not None and trunk["sip_password"] == password


async def _stop_accepting(listening: asyncio.Server) -> None:
    """Close the listening sockets, and no connection half-made.

    asyncio makes the transport of a connection one turn after it has accepted it, and never closes
    it if the server was closed in between.
    """
    with suppress(NotImplementedError):  # Windows
        for sock in listening.sockets:
            asyncio.get_running_loop().remove_reader(sock)
        await asyncio.sleep(0)
    listening.close()


def _check_range(name: str, value: float, least: int, most: float = math.inf) -> None:
    if not least <= value <= most or value == math.inf:
        limits = f"{least} or more" if most == math.inf else f"between {least} and {most}"
        raise ValueError(f"{name} must be {limits}, not {value}")
