"""Promise 2: backoff is random, capped, and ends by the deadline.

No sleep runs past the deadline; a wait that cannot fit fails at once, with `retry_after`. Beside
these: tests/protocol/test_retry.py (the backoff's range and cap, and
`test_a_wait_that_cannot_end_before_the_deadline_is_not_begun`), tests/test_session.py under "Time."
(the limiter's waits, in made-up time).
"""

from __future__ import annotations

import asyncio
import time
from email.utils import formatdate
from typing import Any

import pytest

from telepath_async import RetryPolicy
from telepath_async.errors import (
    OutcomeUnknown,
    RateLimitError,
    ServerError,
    TelepathError,
)
from telepath_async.events import Event, RetryScheduled
from tests.support.hostile import RESET, Hostile, Step, reply
from tests.support.trunk_server import client_of, spec


def waits(seen: list[Event]) -> list[float]:
    return [event.seconds for event in seen if isinstance(event, RetryScheduled)]


async def test_no_two_callers_wait_alike_and_no_wait_is_above_the_cap() -> None:
    seen: list[Event] = []
    policy = RetryPolicy(max_attempts=8, backoff=0.004, backoff_cap=0.02, budget=10**6)
    async with (
        Hostile([reply(503)]) as server,
        client_of(server, retry=policy, on_event=seen.append) as client,
    ):
        await asyncio.gather(
            *(client.request("GET", "/x") for _ in range(20)), return_exceptions=True
        )
    slept = waits(seen)
    assert len(slept) == 7 * 20
    assert len(set(slept)) == len(slept)
    assert 0.0004 <= min(slept) < max(slept) <= 0.02
    assert max(slept) > 0.015


async def watch(stalls: list[float]) -> None:
    """Note by how much a busy machine is late, each time."""
    while True:
        began = time.monotonic()
        await asyncio.sleep(0.05)
        stalls.append(time.monotonic() - began - 0.05)


@pytest.mark.parametrize(
    "step",
    [reply(503), reply(429, headers={"Retry-After": "0"}), RESET],
    ids=["503", "429", "reset"],
)
async def test_whatever_the_timeout_no_call_ends_after_its_deadline(step: Step) -> None:
    seen: list[Event] = []
    # Without a look at the deadline, half of the last waits would end over a second after it.
    patient = RetryPolicy(max_attempts=1000, backoff=0.1, backoff_cap=10, budget=10**6)
    async with (
        Hostile([step]) as server,
        client_of(server, retry=patient, on_event=seen.append) as client,
    ):

        async def late(timeout: float) -> float:
            began = time.monotonic()
            with pytest.raises(TelepathError):
                await client.with_options(timeout=timeout).request("GET", "/x")
            return time.monotonic() - began - timeout

        stalls: list[float] = []
        watching = asyncio.create_task(watch(stalls))
        delays = await asyncio.gather(*(late(0.05 * number) for number in range(1, 41)))
        watching.cancel()
    assert max(delays) < 1.0 + sum(stalls)
    assert len(waits(seen)) > 40


RESET_IN_20_S = {"X-RateLimit-Reset": "1741603220", "Date": formatdate(1741603200, usegmt=True)}


@pytest.mark.parametrize(
    ("status", "headers", "asked", "error"),
    [
        (429, {"Retry-After": "20"}, 20.0, RateLimitError),
        (503, {"Retry-After": "20"}, 20.0, ServerError),
        (429, RESET_IN_20_S, 20.0, RateLimitError),
        (429, {"Retry-After": "86400"}, 86400.0, RateLimitError),
        (
            429,
            {"X-RateLimit-Reset": "1741693200", "Date": RESET_IN_20_S["Date"]},
            60.0,
            RateLimitError,
        ),
    ],
)
@pytest.mark.parametrize("operation", ["get", "create", "rotate", "list"])
async def test_a_wait_that_cannot_fit_fails_at_once_with_what_the_server_asked_for(
    operation: str, status: int, headers: dict[str, str], asked: float, error: type[Exception]
) -> None:
    if status == 503 and operation in ("create", "rotate"):
        error = OutcomeUnknown  # promise 3
    seen: list[Event] = []
    script = [reply(status, headers=headers)]
    async with (
        Hostile(script) as server,
        client_of(server, timeout=5.0, retry=RetryPolicy(), on_event=seen.append) as client,
    ):
        call: dict[str, Any] = {
            "get": lambda: client.calls.get("c"),
            "create": lambda: client.trunks.create(**spec("u")),
            "rotate": lambda: client.trunks.rotate_sip_password("t"),
            "list": lambda: client.calls.list(prefetch=2).collect(),
        }
        began = time.monotonic()
        with pytest.raises(error) as caught:
            await call[operation]()
    assert time.monotonic() - began < 3.0
    refusal = caught.value.__cause__ if error is OutcomeUnknown else caught.value
    assert refusal.retry_after == asked  # type: ignore[union-attr]
    assert waits(seen) == []
