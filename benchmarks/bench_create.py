"""`create_many` of 1,000 specs at 50 ms, concurrency 50, against one create after the other."""

import asyncio
import time

from compare import QUICK, Table, free_a_large_block, goal, server

from telepath_async import LocalLimiter, TelepathClient, TrunkSpec

SPECS = 200 if QUICK else 1_000
ALONE = 20 if QUICK else 60


def specs(count: int) -> list[TrunkSpec]:
    return [
        TrunkSpec.openai(
            f"Agent {n}",
            sip_username=f"agent-{n}",
            sip_password="s3cur3P@ssw0rd!",
            api_key="sk-bench",
        )
        for n in range(count)
    ]


async def measure(base_url: str) -> None:
    limiter = LocalLimiter(limit=10_000_000, period=1.0)
    table = Table(
        f"creates at 50 ms; {ALONE} one after the other, {SPECS:,} with create_many", "ms each"
    )
    async with TelepathClient("sk_bench", base_url=base_url, limiter=limiter) as telepath:
        for _ in range(2):
            begun = time.perf_counter()
            for spec in specs(ALONE):
                await telepath.trunks.create(**spec.fields())
            table.add("one after the other", (time.perf_counter() - begun) / ALONE * 1000)

            begun = time.perf_counter()
            done = [
                outcome.state
                async for outcome in telepath.trunks.create_many(specs(SPECS), concurrency=50)
            ]
            table.add("create_many, concurrency 50", (time.perf_counter() - begun) / SPECS * 1000)
            assert done == ["created"] * SPECS
    table.show()
    goal(
        "create_many, times faster",
        table.ratio("one after the other", "create_many, concurrency 50"),
        at_least=40,
        digits=1,
    )


if __name__ == "__main__":
    free_a_large_block()
    with server(latency_ms=50) as url:
        asyncio.run(measure(url))
