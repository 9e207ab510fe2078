"""Serve what a script says, byte for byte, and record all that is sent.

It needs the standard library only.

    async with Hostile([reply(503), cut(reply(200, b"{}"), -1), reply(200, b"{}")]) as server:
        ...  # server.url; server.requests

A step is taken up when a connection opens, and then with the first byte of each further request on
it; the last step is played for ever. It reads what `read` says (None = one whole request), plays
`data`, and does what `then` says:

- keep: wait for the next request on this connection      - close: end the connection as servers do
- reset: end it with a TCP RST                            - hang: say no more, and leave it open
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, repeat
from types import TracebackType
from typing import Literal, Self

Then = Literal["keep", "close", "reset", "hang"]


@dataclass(frozen=True)
class Step:
    """Describe what happens on one request.

    `data`: the bytes to send, or pieces without end; `pause`: seconds after each piece; `choose`:
    returns the step to go on with, once the request has been read whole.
    """

    data: bytes | Iterable[bytes] = b""
    then: Then = "keep"
    read: int | None = None
    pause: float = 0.0
    deaf: bool = False
    choose: Callable[[Received], Step] | None = None

    @property
    def bytes(self) -> bytes:
        """All that it sends. Only for what has an end."""
        return self.data if isinstance(self.data, bytes) else b"".join(self.data)


def reply(
    status: int = 200,
    body: bytes = b"{}",
    *,
    headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
    length: int | str | None = None,
    then: Then = "keep",
) -> Step:
    """Answer as a decent server does. `length`: a Content-Length that is a lie."""
    named = headers.items() if isinstance(headers, Mapping) else headers
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in named)]
    lines.append(f"Content-Length: {len(body) if length is None else length}")
    return Step("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body, then)


def chunked(*pieces: bytes, headers: Sequence[tuple[str, str]] = (), then: Then = "keep") -> Step:
    """Answer in chunks; the last one is not added: pass b"" for it."""
    head = "".join(f"{name}: {value}\r\n" for name, value in headers)
    body = b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces)
    return Step(
        f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{head}\r\n".encode() + body, then
    )


def raw(data: bytes, then: Then = "keep") -> Step:
    """Send these bytes, whatever they are."""
    return Step(data, then)


def cut(step: Step, at: int, then: Then = "close") -> Step:
    """Send the first `at` bytes (0: none; below zero: all but so many), and end."""
    return replace(step, data=step.bytes[:at], then=then)


def cut_request(at: int, then: Then = "reset") -> Step:
    """Read `at` bytes of the request (0: none, so that it ends as soon as it opens), and end."""
    return Step(then=then, read=at)


def drip(step: Step, pause: float, size: int = 1) -> Step:
    """Send `size` bytes every `pause` seconds."""
    data = step.bytes
    return replace(step, data=[data[i : i + size] for i in range(0, len(data), size)], pause=pause)


def endless(head: bytes, piece: bytes) -> Step:
    """Send `head`, and then `piece` for ever."""
    return Step(_Endless(head, piece))


def redirect(to: str, status: int = 307) -> Step:
    """Send the client elsewhere."""
    return reply(status, b"", headers={"Location": to})


def answering(choose: Callable[[Received], Step]) -> Step:
    """Read the whole request, and go on as `choose` says."""
    return Step(choose=choose)


def deaf() -> Step:
    """Accept the connection, and read nothing from it."""
    return Step(then="hang", read=0, deaf=True)


HANG = Step(then="hang")
RESET = Step(then="reset")
CLOSE = Step(then="close")


@dataclass(frozen=True)
class _Endless:
    head: bytes
    piece: bytes

    def __iter__(self) -> Iterator[bytes]:
        return chain((self.head,), repeat(self.piece))


@dataclass(frozen=True)
class Received:
    """One whole request as it came: on which connection (from 0), its head and its body."""

    connection: int
    head: bytes
    body: bytes

    @property
    def method(self) -> str:
        return self.head.split(b" ", 1)[0].decode()

    @property
    def target(self) -> str:
        return self.head.split(b" ", 2)[1].decode()

    def all(self, name: str) -> list[str]:
        """Every value of this header."""
        lines = (line.partition(":") for line in self.head.decode("latin-1").split("\r\n")[1:])
        return [value.strip() for key, _, value in lines if key.strip().lower() == name.lower()]


@dataclass
class Hostile:
    """Run the server, and keep what it was sent.

    `connections`: every byte that came, by connection; `requests`: the whole ones, in order of
    arrival; `taken`: how many steps; `sent`: how many pieces of answers; `tls`: speak it.
    """

    script: Sequence[Step] | Callable[[int], Step]
    connections: list[bytearray] = field(default_factory=list)
    requests: list[Received] = field(default_factory=list)
    tls: ssl.SSLContext | None = None

    async def __aenter__(self) -> Self:
        self.taken = 0
        self.sent = 0
        self.closed = False
        self.alive: set[_Connection] = set()
        self.changed = asyncio.Event()
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _Connection(self), "127.0.0.1", 0, backlog=1024, ssl=self.tls
        )
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.closed = True
        self.stop_listening()
        players = [connection.end() for connection in list(self.alive)]
        await asyncio.gather(*players, return_exceptions=True)
        await self._server.wait_closed()
        await asyncio.sleep(0)

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    @property
    def received(self) -> bytes:
        """Every byte of every connection."""
        return b"".join(self.connections)

    @property
    def open(self) -> int:
        """How many connections are open."""
        return len(self.alive)

    def stop_listening(self) -> None:
        """Take no further connection; those that are open go on."""
        self._server.close()

    async def until(self, condition: Callable[[Hostile], bool]) -> None:
        """Wait until the condition holds, checked whenever something comes, opens or ends."""
        async with asyncio.timeout(10):
            while not condition(self):
                self.changed.clear()
                await self.changed.wait()

    def next_step(self) -> Step:
        number, self.taken = self.taken, self.taken + 1
        return (
            self.script(number)
            if callable(self.script)
            else self.script[min(number, len(self.script) - 1)]
        )


class _Connection(asyncio.Protocol):
    def __init__(self, server: Hostile) -> None:
        self._server = server
        self._news = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._read = 0  # bytes that earlier requests took
        self._ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._number = len(self._server.connections)
        self._received = bytearray()
        self._server.connections.append(self._received)
        self._server.alive.add(self)
        self._player = asyncio.get_running_loop().create_task(self._play())
        self._server.changed.set()
        if self._server.closed:  # accepted just before: nobody else would end it
            self.end()

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._news.set()
        self._server.changed.set()

    def eof_received(self) -> bool:
        self._ended = True
        self._news.set()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True
        self._player.cancel()
        self._server.alive.discard(self)
        self._server.changed.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def end(self) -> asyncio.Task[None]:
        self._transport.abort()
        self._player.cancel()
        return self._player

    async def _play(self) -> None:
        with contextlib.suppress(asyncio.CancelledError, EOFError):
            while True:
                step = self._server.next_step()
                if step.deaf:
                    self._transport.pause_reading()
                await self._request(step.read)
                if step.choose:
                    step = step.choose(self._server.requests[-1])
                for piece in [step.data] if isinstance(step.data, bytes) else step.data:
                    self._transport.write(piece)
                    self._server.sent += 1
                    await self._writable.wait()
                    await asyncio.sleep(step.pause)
                if step.then != "keep":
                    return self._finish(step.then)
                await self._until(lambda: len(self._received) > self._read)

    async def _request(self, size: int | None) -> None:
        """Read so many bytes, or one whole request, which is recorded."""
        if size is not None:
            await self._until(lambda: len(self._received) >= self._read + size)
            return
        await self._until(lambda: b"\r\n\r\n" in self._received[self._read :])
        head = bytes(self._received[self._read :]).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        start = self._read + len(head)
        length = next(iter(Received(self._number, head, b"").all("Content-Length")), "0")
        await self._until(lambda: len(self._received) >= start + int(length))
        self._read = start + int(length)
        self._server.requests.append(
            Received(self._number, head, bytes(self._received[start : self._read]))
        )
        self._server.changed.set()

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            if self._ended:
                raise EOFError
            self._news.clear()
            await self._news.wait()

    def _finish(self, then: Then) -> None:
        if then == "close":
            self._transport.close()
        elif then == "reset":
            sock: socket.socket = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()
