"""`python -m telepath_async.sandbox`: serve a sandbox until Ctrl-C."""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from .contract import openapi
from .selection import ORDERS
from .server import Sandbox


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM, or print the OpenAPI document; return the exit code."""
    parser = _parser()
    options = vars(parser.parse_args(arguments))
    if options.pop("openapi"):
        _print(json.dumps(openapi(options["style"]), indent=2))
        return 0
    try:
        sandbox = Sandbox(**options)
    except ValueError as error:
        parser.error(str(error))
    try:
        asyncio.run(_serve(sandbox))
    except OSError as error:
        print(
            f"cannot listen on {options['host']}:{options['port']}: {error.strerror}",
            file=sys.stderr,
        )
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m telepath_async.sandbox", description="Serve a local Telepath API."
    )
    parser.add_argument(
        "--style", choices=("offset", "cursor"), default="offset", help="the style of the API"
    )
    parser.add_argument(
        "--openapi",
        action="store_true",
        help="print the OpenAPI 3.1 document of this style, and exit",
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080, help="0 picks a free one")
    parser.add_argument("--trunks", type=int, default=25, help="how many to make up")
    parser.add_argument("--calls", type=int, default=1000, help="how many to make up")
    parser.add_argument(
        "--rate-limit", type=int, default=6000, metavar="N", help="requests per minute"
    )
    parser.add_argument(
        "--latency", type=float, default=0.0, metavar="SECONDS", help="added to every answer"
    )
    parser.add_argument("--seed", type=int, default=0, help="the same seed makes up the same data")
    parser.add_argument(
        "--order", choices=ORDERS, default="newest", help="of lists: newest first, and so on"
    )
    parser.add_argument(
        "--max-offset", type=int, metavar="N", help="refuse a larger offset with 400"
    )
    parser.add_argument(
        "--incident",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="the busiest trunk was slow for four hours yesterday",
    )
    parser.add_argument(
        "--live",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="more calls come while it runs",
    )
    parser.add_argument("--api-key", metavar="KEY", help="random when not given")
    return parser


async def _serve(sandbox: Sandbox) -> None:
    stop = asyncio.Event()
    with _on_signal(asyncio.get_running_loop(), stop.set):
        async with sandbox:
            _announce(sandbox.base_url, sandbox.api_key)
            await stop.wait()


def _announce(base_url: str, api_key: str) -> None:
    _print(
        f"base URL: {base_url}\n"
        f"API key:  {api_key}\n"
        f"try:      curl -H 'Authorization: Bearer {api_key}' '{base_url}/trunks?limit=1'"
    )


def _print(text: str) -> None:
    """Print text at once. Raises SystemExit where nobody can read it."""
    try:
        print(text, flush=True)
    except OSError as error:
        # What waits is flushed once more when the process ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        closed = isinstance(error, BrokenPipeError)  # `| head`: 128 and the number of SIGPIPE
        sys.exit(141 if closed else f"standard output: {error.strerror}")


@contextmanager
def _on_signal(loop: asyncio.AbstractEventLoop, react: Callable[[], object]) -> Iterator[None]:
    """Call `react` on SIGINT and SIGTERM.

    Not `loop.add_signal_handler`, which Windows does not have.
    """
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(react)) for number in numbers
    ]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


if __name__ == "__main__":  # pragma: no cover - the tests run this as a process of its own
    sys.exit(main())
