"""What habits cost: one typed GET, 50 at a time, as it should be, and as it is often done.

No goals: figures for the README.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable

import aiohttp
from compare import QUICK, Table, cpu_us, free_a_large_block, server
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider

from telepath_async import LocalLimiter, TelepathClient
from telepath_async.otel import Telemetry

ROUNDS = 3 if QUICK else 5
TIMES = 250 if QUICK else 1_000
KEY = "sk_bench"
LIMITER = LocalLimiter(limit=10_000_000, period=1.0)


async def do_nothing(*ignored: object) -> None:
    pass


def traced() -> aiohttp.TraceConfig:
    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(do_nothing)
    trace.on_request_end.append(do_nothing)
    return trace


async def measure(base_url: str) -> None:
    telemetry = Telemetry(
        tracer_provider=TracerProvider(), meter_provider=MeterProvider([InMemoryMetricReader()])
    )

    async def a_client_each_time() -> object:
        async with TelepathClient(KEY, base_url=base_url, limiter=LIMITER) as telepath:
            return await telepath.calls.get("call_7")

    async with (
        aiohttp.ClientSession(trace_configs=[traced()]) as session,
        TelepathClient(KEY, base_url=base_url, limiter=LIMITER) as one,
        TelepathClient(KEY, base_url=base_url, limiter=LIMITER, trust_env=True) as from_environment,
        TelepathClient(KEY, base_url=base_url, limiter=LIMITER, session=session) as with_traces,
        TelepathClient(
            KEY, base_url=base_url, limiter=LIMITER, on_event=lambda event: None
        ) as with_events,
        TelepathClient(
            KEY, base_url=base_url, limiter=LIMITER, on_event=telemetry
        ) as with_telemetry,
    ):
        contenders: dict[str, Callable[[], Awaitable[object]]] = {
            "one client": lambda: one.calls.get("call_7"),
            "trust_env=True (read once, by us)": lambda: from_environment.calls.get("call_7"),
            "on_event": lambda: with_events.calls.get("call_7"),
            "on_event, OpenTelemetry and its SDK": lambda: with_telemetry.calls.get("call_7"),
            "a session of one's own with a TraceConfig": lambda: with_traces.calls.get("call_7"),
            "a client per request": a_client_each_time,
        }
        table = Table(
            f"one typed GET, 50 at a time, {type(asyncio.get_running_loop()).__module__}",
            "CPU µs each",
        )
        for work in contenders.values():
            await cpu_us(work, 100, 50)
        for _ in range(ROUNDS):
            for name, work in contenders.items():
                table.add(name, await cpu_us(work, TIMES, 50))
        table.show()


if __name__ == "__main__":
    free_a_large_block()
    with server() as url:
        asyncio.run(measure(url))
        if sys.platform != "win32":
            import uvloop

            uvloop.run(measure(url))
