"""`telepath sandbox` and `telepath demo`: to try everything without an account."""

from __future__ import annotations

import asyncio
import shlex
from contextlib import suppress
from typing import Annotated, Literal

import typer

from telepath_async import UsageError

from .exits import FAILED, OK
from .options import Debug
from .output import echo, write_out
from .shell import example_text, run


def add_to(app: typer.Typer) -> None:
    """Add the two commands."""
    app.command(
        "sandbox",
        epilog=example_text(["telepath sandbox --style cursor --calls 100000 --latency 0.05"]),
    )(sandbox)
    app.command("demo", epilog=example_text(["telepath demo"]))(demo)


def sandbox(
    style: Annotated[
        Literal["offset", "cursor"],
        typer.Option(help="The paging style and the dialect of the API."),
    ] = "offset",
    host: Annotated[str, typer.Option()] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 picks a free one.")] = 8080,
    trunks: Annotated[int, typer.Option(metavar="N", help="How many to make up.")] = 25,
    calls: Annotated[int, typer.Option(metavar="N", help="How many to make up.")] = 1000,
    rate_limit: Annotated[int, typer.Option(metavar="N", help="Requests a minute.")] = 6000,
    latency: Annotated[float, typer.Option(metavar="SECONDS", help="Added to every answer.")] = 0.0,
    seed: Annotated[int, typer.Option(help="The same seed makes up the same data.")] = 0,
    order: Annotated[
        Literal["newest", "oldest", "name"], typer.Option(help="Of lists: newest first, and so on.")
    ] = "newest",
    incident: Annotated[
        bool, typer.Option(help="The busiest trunk was slow for four hours yesterday.")
    ] = True,
    live: Annotated[bool, typer.Option(help="More calls come while it runs.")] = True,
    api_key: Annotated[
        str | None, typer.Option(metavar="KEY", help="Of the sandbox; random when not given.")
    ] = None,
    debug: Debug = False,
) -> int:
    """Serve a local Telepath API until Ctrl-C, and print what to set to use it."""
    from telepath_async.sandbox import Sandbox

    async def serve() -> None:
        try:
            served = Sandbox(
                style=style,
                host=host,
                port=port,
                trunks=trunks,
                calls=calls,
                rate_limit=rate_limit,
                latency=latency,
                seed=seed,
                order=order,
                incident=incident,
                live=live,
                api_key=api_key,
            )
        except ValueError as error:
            raise UsageError(str(error)) from None
        async with served:
            write_out(
                f"export TELEPATH_BASE_URL={shlex.quote(served.base_url)}\n"
                f"export TELEPATH_API_KEY={shlex.quote(served.api_key)}\n"
            )
            echo(
                "set these in another shell, and try: telepath calls list; Ctrl-C ends the sandbox"
            )
            with suppress(asyncio.CancelledError):  # the one way to end it
                await asyncio.Event().wait()

    return run(serve(), debug=debug)


def demo(
    debug: Debug = False,
) -> int:
    """Do the SDK's main job against two embedded sandboxes, and watch."""
    from rich.console import Console

    try:
        from telepath_async import demo
    except ModuleNotFoundError as error:
        message = f'telepath demo needs {error.name}: pip install "telepath-async[demo]"'
        raise ModuleNotFoundError(message, name=error.name) from None

    async def watch() -> int:
        return OK if await demo.main(Console()) else FAILED

    return run(watch(), debug=debug)
