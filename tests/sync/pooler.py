"""A pooler before a real PostgreSQL: a backend for each session, or for each transaction.

It knows as much of the protocol as that takes, and refuses the startup parameters that PgBouncer
refuses.
"""

from __future__ import annotations

import asyncio
import struct
from asyncio import IncompleteReadError, StreamReader, StreamWriter
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from attrs import define, field

_TAKEN = {"user", "database", "client_encoding", "application_name"}
_SSL_REQUEST, _GSS_REQUEST = 80877103, 80877104


@define
class Backend:
    """A connection to the server, and what it said when it began."""

    reader: StreamReader
    writer: StreamWriter
    greeting: bytes = b""


@define
class Pooler:
    """`order`: which of the idle backends is next: the last or the first that was given back."""

    server_url: str
    mode: Literal["session", "transaction"]
    order: Literal["lifo", "fifo"] = "lifo"
    backends: int = 2
    idle: deque[Backend] = field(factory=deque)
    greeting: bytes = b""
    opened: list[Backend] = field(factory=list)
    sessions: set[asyncio.Task[None]] = field(factory=set)
    freed: asyncio.Condition = field(factory=asyncio.Condition)

    async def open_backend(self) -> Backend:
        url = urlsplit(self.server_url)
        reader, writer = await asyncio.open_connection(url.hostname, url.port or 5432)
        backend = Backend(reader, writer)
        self.opened.append(backend)
        fields = f"user\0{url.username}\0database\0{url.path[1:]}\0\0".encode()
        writer.write(struct.pack("!II", 8 + len(fields), 3 << 16) + fields)
        while True:
            kind, message = await read_message(reader)
            assert kind != b"E", message
            if kind == b"Z":
                return backend
            # The process that a client of a pooler hears of is none of the server's.
            process = b"K" + struct.pack("!III", 12, 999_999, 1)
            backend.greeting += process if kind == b"K" else message

    async def take(self) -> Backend:
        async with self.freed:
            await self.freed.wait_for(lambda: bool(self.idle))
            return self.idle.pop() if self.order == "lifo" else self.idle.popleft()

    async def give_back(self, backend: Backend) -> None:
        async with self.freed:
            self.idle.append(backend)
            self.freed.notify()

    def accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        self.sessions.add(asyncio.create_task(self.serve(reader, writer)))

    async def close(self) -> None:
        for session in self.sessions:
            session.cancel()
        await asyncio.gather(*self.sessions, return_exceptions=True)
        for backend in self.opened:
            backend.writer.close()

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            with suppress(IncompleteReadError, ConnectionError):
                if await self._greet(reader, writer):
                    await self._relay(reader, writer)
        finally:
            writer.close()

    async def _greet(self, reader: StreamReader, writer: StreamWriter) -> bool:
        while True:
            length, code = struct.unpack("!II", await reader.readexactly(8))
            body = await reader.readexactly(length - 8)
            if code not in (_SSL_REQUEST, _GSS_REQUEST):
                break
            writer.write(b"N")
        names = set(body.decode().split("\0")[0:-2:2])
        if names - _TAKEN:
            said = f"SFATAL\0C08P01\0Munsupported startup parameter: {min(names - _TAKEN)}\0\0"
            writer.write(b"E" + struct.pack("!I", 4 + len(said)) + said.encode())
            return False
        writer.write(self.greeting + b"Z" + struct.pack("!I", 5) + b"I")
        return True

    async def _relay(self, reader: StreamReader, writer: StreamWriter) -> None:
        backend: Backend | None = None
        answers: asyncio.Task[bytes] | None = None
        clean = True
        try:
            while True:
                kind, message = await read_message(reader)
                if kind == b"X":
                    return
                backend = backend or await self.take()
                answers = answers or asyncio.create_task(relay_answers(backend, writer))
                clean = False
                backend.writer.write(message)
                if kind in b"QS":
                    clean, answers = await answers == b"I", None
                    if clean and self.mode == "transaction":
                        await self.give_back(backend)
                        backend = None
        finally:
            if answers is not None:
                answers.cancel()
            if backend is not None:
                with suppress(IncompleteReadError, ConnectionError):
                    await self._recycle(backend, clean)

    async def _recycle(self, backend: Backend, clean: bool) -> None:
        if clean:
            backend.writer.write(b"Q" + struct.pack("!I", 16) + b"DISCARD ALL\0")
            while (await read_message(backend.reader))[0] != b"Z":
                pass
        else:
            backend.writer.close()
            backend = await self.open_backend()
        await self.give_back(backend)


async def relay_answers(backend: Backend, writer: StreamWriter) -> bytes:
    """Hand on what the server says until it is ready, and return how its transaction stands."""
    while True:
        kind, message = await read_message(backend.reader)
        writer.write(message)
        if kind == b"Z":
            return message[-1:]


async def read_message(reader: StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readexactly(5)
    return head[:1], head + await reader.readexactly(struct.unpack("!I", head[1:])[0] - 4)


@asynccontextmanager
async def pooled(
    server_url: str, mode: Literal["session", "transaction"], order: Literal["lifo", "fifo"]
) -> AsyncIterator[str]:
    """Yield the URL of a pooler before the server of this URL."""
    pooler = Pooler(server_url, mode, order)
    pooler.idle.extend([await pooler.open_backend() for _ in range(pooler.backends)])
    pooler.greeting = pooler.idle[0].greeting
    server = await asyncio.start_server(pooler.accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = urlsplit(server_url)
    try:
        yield urlunsplit(url._replace(netloc=f"{url.username}@127.0.0.1:{port}"))
    finally:
        server.close()
        await pooler.close()
