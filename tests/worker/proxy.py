"""A TCP proxy that can be cut, in front of a broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from attrs import define, field


@define
class Proxy:
    """Forwards connections to a server while it is not `down`, and nothing while it is `silent`."""

    host: str
    port: int
    down: bool = False
    silent: bool = False
    writers: set[asyncio.StreamWriter] = field(factory=set)

    def cut(self) -> None:
        """End all connections, and each new one."""
        self.down = True
        for writer in self.writers:
            writer.transport.abort()

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection, both ways, until one side ends it."""
        to_server = await asyncio.open_connection(self.host, self.port)
        ends = (writer, to_server[1])
        if self.down:  # before, or since the connection to the server was begun
            for end in ends:
                end.transport.abort()
            return
        self.writers.update(ends)
        try:
            await asyncio.wait(
                [
                    asyncio.ensure_future(self._copy(reader, to_server[1])),
                    asyncio.ensure_future(self._copy(to_server[0], writer)),
                ],
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            self.writers.difference_update(ends)
            for end in ends:
                end.transport.abort()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                if not self.silent:
                    writer.write(data)
                    await writer.drain()


@asynccontextmanager
async def proxied(url: str) -> AsyncIterator[tuple[str, Proxy]]:
    """Give a URL that leads to a server through a proxy, and the proxy."""
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    user, at, address = authority.rpartition("@")
    host, _, port = address.partition(":")
    proxy = Proxy(host, int(port))
    async with await asyncio.start_server(proxy.forward, "127.0.0.1", 0) as server:
        own = server.sockets[0].getsockname()[1]
        yield f"{scheme}://{user}{at}127.0.0.1:{own}{slash}{path}", proxy
        proxy.cut()
