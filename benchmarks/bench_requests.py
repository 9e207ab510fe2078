"""Measure the CPU of one typed GET and of a page of 100 typed calls or trunks, beside the peers.

50 run at a time, and all get the same bytes.

The floor is raw aiohttp + orjson, which returns dicts: no types, no times, no errors, no limiter,
no retries. The seed's own loop over `requests` has no 50 at a time: it runs alone, with a page of
50 dicts at a time, and counts per page of 100.
"""

import asyncio
import importlib
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import orjson
from compare import QUICK, Table, cpu_us, free_a_large_block, goal, server
from peers import PydanticDetails, PydanticPage, generated_client, httpx_client, seed_loop

from telepath_async import LocalLimiter, TelepathClient

ROUNDS = 3 if QUICK else 5
CONCURRENCY = 50
KEY = "sk_bench"
FLOOR, OURS = "floor: aiohttp + orjson, dicts", "telepath_async"
HTTPX, GENERATED, SEED = (
    "httpx + pydantic",
    "openapi-python-client",
    "the seed's loop (requests, dicts)",
)


async def measure(base_url: str, generated: Any) -> None:
    limiter = LocalLimiter(limit=10_000_000, period=1.0)
    headers = {"Authorization": f"Bearer {KEY}"}
    get_call = importlib.import_module("generated_telepath.api.calls.get_call").asyncio
    list_calls = importlib.import_module("generated_telepath.api.calls.list_calls").asyncio
    async with (
        TelepathClient(KEY, base_url=base_url, limiter=limiter) as telepath,
        aiohttp.ClientSession() as session,
        httpx_client(base_url, KEY) as httpx,
        generated.AuthenticatedClient(base_url=base_url, token=KEY) as peer,
    ):

        async def floor(path: str) -> object:
            async with session.get(base_url + path, headers=headers) as answer:
                return orjson.loads(await answer.read())

        async def our_page() -> object:
            return await anext(telepath.calls.list(max_items=100).pages())

        async def httpx_call() -> object:
            return PydanticDetails.model_validate_json((await httpx.get("/calls/call_7")).content)

        async def httpx_page() -> object:
            return PydanticPage.model_validate_json(
                (await httpx.get("/calls", params={"limit": 100})).content
            )

        one = {
            FLOOR: lambda: floor("/calls/call_7"),
            OURS: lambda: telepath.calls.get("call_7"),
            HTTPX: httpx_call,
            GENERATED: lambda: get_call("call_7", client=peer),
        }
        table = await compare("one call", 2_000, one)
        judge(table, "one typed GET", at_most=1.12)

        page = {
            FLOOR: lambda: floor("/calls?limit=100"),
            OURS: our_page,
            HTTPX: httpx_page,
            GENERATED: lambda: list_calls(client=peer, limit=100),
        }
        table = await compare("a page of 100 calls", 600, page, seed=base_url)
        judge(table, "a page of 100 typed items", at_most=1.40)


async def measure_trunks(base_url: str, seed: str, *, at_most: float) -> None:
    """Measure a page of trunks as one of the seeds shows it."""
    limiter = LocalLimiter(limit=10_000_000, period=1.0)
    async with (
        TelepathClient(KEY, base_url=base_url, limiter=limiter) as telepath,
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as session,
    ):

        async def floor() -> object:
            async with session.get(f"{base_url}/trunks?limit=100") as answer:
                return orjson.loads(await answer.read())

        async def ours() -> object:
            return await anext(telepath.trunks.list(max_items=100).pages())

        what = f"a page of 100 trunks, {seed}"
        table = await compare(what, 600, {FLOOR: floor, OURS: ours})
        goal(f"{what}, CPU against the floor", table.ratio(OURS, FLOOR), at_most=at_most)


async def compare(
    title: str,
    times: int,
    contenders: dict[str, Callable[[], Awaitable[object]]],
    *,
    seed: str | None = None,
) -> Table:
    table = Table(f"{title}, {CONCURRENCY} at a time", "CPU µs each")
    for work in contenders.values():
        assert await work() is not None
        await cpu_us(work, CONCURRENCY * 2, CONCURRENCY)  # connections, caches
    for _ in range(ROUNDS):
        for name, work in contenders.items():
            slow = name in (HTTPX, GENERATED)
            table.add(
                name,
                await cpu_us(
                    work, times // ((4 if QUICK else 1) * (4 if slow else 1)), CONCURRENCY
                ),
            )
        if seed is not None:
            begun = time.process_time()
            seed_loop(seed, KEY, 1_000)
            table.add(SEED, (time.process_time() - begun) / 10 * 1e6)
    table.show()
    return table


def judge(table: Table, what: str, *, at_most: float) -> None:
    goal(f"{what}, CPU against the floor", table.ratio(OURS, FLOOR), at_most=at_most)
    for peer in (HTTPX, GENERATED):
        goal(f"{what}, times less CPU than {peer}", table.ratio(peer, OURS), at_least=8, digits=1)


if __name__ == "__main__":
    free_a_large_block()
    with server() as url, generated_client() as package:
        asyncio.run(measure(url, package))
        asyncio.run(measure_trunks(url, "seed 002", at_most=1.50))
    with server(style="cursor") as url:
        asyncio.run(measure_trunks(url, "seed 003", at_most=1.55))
