"""TLS before a real PostgreSQL, with a certificate that no system knows."""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit, urlunsplit

from tests.support.tls import server_context

_REQUEST_BYTES = 8


@asynccontextmanager
async def encrypted(server_url: str) -> AsyncIterator[str]:
    """Give the URL of a port that speaks TLS only, and hands on what it hears."""
    url = urlsplit(server_url)
    sessions: set[asyncio.Task[None]] = set()
    writers: list[StreamWriter] = []

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        writers.append(writer)
        with suppress(OSError):  # the client hangs up on a certificate that it does not know
            await reader.readexactly(_REQUEST_BYTES)
            writer.write(b"S")
            await writer.start_tls(server_context())
            there, to_there = await asyncio.open_connection(url.hostname, url.port or 5432)
            writers.append(to_there)
            await asyncio.gather(hand_on(reader, to_there), hand_on(there, writer))
        writer.close()

    def accept(reader: StreamReader, writer: StreamWriter) -> None:
        sessions.add(asyncio.create_task(serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield urlunsplit(url._replace(netloc=f"{url.username}@127.0.0.1:{port}"))
    finally:
        server.close()
        await asyncio.gather(*sessions)
        for writer in writers:  # closing TLS takes as long as the other side likes
            writer.transport.abort()
        await asyncio.sleep(0)


async def hand_on(reader: StreamReader, writer: StreamWriter) -> None:
    with suppress(OSError):
        while received := await reader.read(65_536):
            writer.write(received)
    writer.close()
