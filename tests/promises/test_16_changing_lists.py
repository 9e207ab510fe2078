"""16. A list that changes while it is read loses no row unsaid, by default.

What lived through the walk comes once, or `drift.uncertain` counts it. A model of a server goes
through every change in `tests/protocol/test_paging_machine.py`; here, the sandbox over sockets, in
every order, with pages under way ahead of the reader too.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from telepath_async import Event, RequestStarted, TelepathClient
from telepath_async.sandbox import Sandbox
from tests.support.operations import no_limit

CALLS = 120
ORDERS = ("newest", "oldest", "name")


class Churn:
    """Changes the calls of a sandbox, up to `size` of them, whenever a request begins."""

    def __init__(
        self, sandbox: Sandbox, seed: str, *, kinds: tuple[str, ...], size: int, every: int
    ) -> None:
        self.sandbox = sandbox
        self.how = random.Random(seed)
        self.kinds = kinds
        self.size = size
        self.every = every
        self.requests = 0
        self.changes = 0

    def __call__(self, event: Event) -> None:
        if not isinstance(event, RequestStarted):
            return
        self.requests += 1
        # A list that grows as fast as it is read has no end.
        if self.requests == 1 or self.requests % self.every or self.changes >= 2 * CALLS:
            return
        for _ in range(self.how.randint(1, self.size)):
            self.change(self.how.choice(self.kinds))

    def change(self, kind: str) -> None:
        self.changes += 1
        if kind in ("delete", "swap") and len(self.sandbox.calls) > 10:
            self.sandbox.remove_call(self.how.choice(list(self.sandbox.calls)))
        if kind in ("insert", "swap"):
            self.sandbox.add_call()


async def walk(
    style: Any, seed: str, churn: dict[str, Any], *, order: Any = "newest", **options: Any
) -> tuple[list[str], set[str], int, int, int]:
    """Return what came and what lived through the walk; how uncertain it is; changes, requests."""
    async with Sandbox(style=style, calls=CALLS, rate_limit=10**7, order=order) as sandbox:
        change = Churn(sandbox, seed, **churn)
        before = set(sandbox.calls)
        async with TelepathClient(
            sandbox.api_key, base_url=sandbox.base_url, on_event=change, limiter=no_limit()
        ) as client:
            calls = client.calls.list(**options)
            got = [call.id async for call in calls]
        survivors = before & set(sandbox.calls)
        return got, survivors, calls.drift.uncertain, change.changes, change.requests


KINDS = {
    "inserts": {"kinds": ("insert",), "size": 5, "every": 1},
    "deletes": {"kinds": ("delete",), "size": 5, "every": 1},
    "both": {"kinds": ("insert", "delete"), "size": 5, "every": 1},
    "swaps": {"kinds": ("swap",), "size": 3, "every": 1},
    "few deletes": {"kinds": ("delete",), "size": 1, "every": 4},
    "floods": {"kinds": ("insert",), "size": 60, "every": 3},
    "clearances": {"kinds": ("delete",), "size": 30, "every": 2},
}


@pytest.mark.parametrize("prefetch", [0, 8])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("style", ["offset", "cursor"])
async def test_what_lived_through_the_walk_comes_once_or_drift_says_so(
    style: str, kind: str, prefetch: int
) -> None:
    certain = changed = 0
    for order in ORDERS:
        for seed in range(3):
            got, survivors, uncertain, changes, _ = await walk(
                style, f"{kind} {seed}", KINDS[kind], order=order, page_size=10, prefetch=prefetch
            )
            if not uncertain:
                assert survivors <= set(got)
                assert len(got) == len(set(got))
            certain += not uncertain
            changed += changes
    assert changed > 10
    if style == "cursor" or not prefetch:
        assert certain == 9, "such changes can always be made good"
    assert certain >= 6
