"""`SessionHolder`: the aiohttp session of a client and of those derived from it, and its loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator

import aiohttp

from . import transport
from .errors import ClientClosedError, UsageError
from .in_flight import InFlight
from .slots import MAX_CONNECTIONS, RESERVE, Slots, slots_of


class SessionHolder:
    """Opens an aiohttp session at the first call, or uses the caller's, and closes its own.

    `slots`: connections for the calls of these clients; `shared`: those of the caller's session,
    which clients with other keys may use too; `in_flight`: the calls that use it.
    """

    def __init__(self, session: aiohttp.ClientSession | None) -> None:
        self.closed = False
        self.in_flight = InFlight()
        self.shared = (
            None if session is None or session.connector is None else slots_of(session.connector)
        )
        self.slots = Slots(MAX_CONNECTIONS, RESERVE) if self.shared is None else self.shared.alike()
        self._http = None if session is None else transport.Http(session)
        self._external = session is not None
        self._generator: AsyncGenerator[aiohttp.ClientSession] | None = None  # owns our session
        self._orphaned: aiohttp.ClientSession | None = None  # its loop was closed
        self._loop = None if session is None else transport.loop_of(session)
        self._process = os.getpid()

    def check_usable(self) -> None:
        """Raise ClientClosedError after close, and UsageError on a second loop."""
        if self.closed:
            raise ClientClosedError(
                "this client is closed; open a new one, or keep its `async with` block open longer"
            )
        loop = running_loop()
        if self._loop is not loop or self._process != os.getpid():
            self._rebind(loop)

    def _rebind(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is not None and (self._external or not self._loop.is_closed()):
            # In a forked child, the parent's loop and its connections look as if they were the
            # child's own.
            raise UsageError(
                "this client (or the session passed in) belongs to another event loop; make one "
                "for each loop, and in a child "
                "that was forked while it was in use"
            )
        self._orphaned = self._http.session if self._http else self._orphaned
        self._http, self._loop, self._process = None, loop, os.getpid()
        self.slots = Slots(MAX_CONNECTIONS, RESERVE)
        self.in_flight.untrack_all()

    @property
    def http(self) -> transport.Http | None:
        """The session, if it is open."""
        return None if self._http is None or self._http.session.closed else self._http

    async def open(self) -> transport.Http:
        """Open a session and return it.

        Raises ClientClosedError, or UsageError when the caller's own is closed.
        """
        if self.closed:
            raise ClientClosedError("this client was closed while a call was under way")
        if self._external:
            raise UsageError(
                "the aiohttp session that was passed in is closed; keep it open as long as the "
                "client is used"
            )
        self._generator = transport.hold_open()
        self._http = http = transport.Http(await anext(self._generator))
        await self._dispose()
        return http

    async def _dispose(self) -> None:
        """Abandon the session of a loop that was closed."""
        orphaned, self._orphaned = self._orphaned, None
        if orphaned is not None and not orphaned.closed:
            await transport.abandon(orphaned)

    async def aclose(self) -> None:
        """Cancel the calls under way and close the session, unless it is the caller's.

        Raises UsageError on a second loop.
        """
        loop = running_loop()
        if self._external and self._loop is not None and self._loop.is_closed():
            self.in_flight.untrack_all()
        elif self._loop is not None and (self._loop is not loop or self._process != os.getpid()):
            self._rebind(loop)
        await self._dispose()
        self.closed = True
        self.in_flight.cancel()
        http, self._http = self._http, None
        if http is None or self._generator is None:
            return
        # A loop that shuts down closes the generator too, and a generator cannot be closed twice
        # at the same time.
        await http.session.close()
        with contextlib.suppress(RuntimeError):
            await self._generator.aclose()


def running_loop() -> asyncio.AbstractEventLoop:
    """Return the running loop. Raises UsageError where none is running: under trio, for example."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        pass
    raise UsageError(
        "no asyncio loop is running here, and this client needs one: use asyncio.run(...), and "
        "under trio a thread of its own, or trio-asyncio"
    )
