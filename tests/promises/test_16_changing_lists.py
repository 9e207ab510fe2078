"""Promise 16: lose nothing in silence when a list changes while it is read.

What lived through the walk comes once, or `drift` says so.

`tests/protocol/test_paging_machine.py` walks a model of a server through every change; here, the
sandbox over sockets, with pages under way ahead of the reader too.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from telepath_async import Event, RequestStarted, TelepathClient
from telepath_async.sandbox import Sandbox
from tests.promises.operations import no_limit

CALLS = 120


class Churn:
    """Change the calls of a sandbox whenever a request begins.

    It inserts or deletes alone, unless pages overlap.
    """

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
            kind = self.how.choice(self.kinds)
            self.changes += 1
            if kind == "insert":
                self.sandbox.add_call()
            elif len(self.sandbox.calls) > 10:
                self.sandbox.remove_call(self.how.choice(list(self.sandbox.calls)))


async def walk(
    style: Any, seed: str, churn: dict[str, Any], **options: Any
) -> tuple[list[str], set[str], int, int]:
    """Return what came, what lived through the walk, how uncertain it is, and the changes."""
    async with Sandbox(style=style, calls=CALLS, rate_limit=10**7) as sandbox:
        change = Churn(sandbox, seed, **churn)
        before = set(sandbox.calls)
        async with TelepathClient(
            sandbox.api_key, base_url=sandbox.base_url, on_event=change, limiter=no_limit()
        ) as client:
            calls = client.calls.list(**options)
            got = [call.id async for call in calls]
        return got, before & set(sandbox.calls), calls.drift.uncertain, change.changes


KINDS = {
    "inserts": {"kinds": ("insert",), "size": 5, "every": 1},
    "deletes": {"kinds": ("delete",), "size": 5, "every": 1},
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
    for seed in range(6):
        got, survivors, uncertain, changes = await walk(
            style, f"{kind} {seed}", KINDS[kind], page_size=10, prefetch=prefetch
        )
        if not uncertain:
            assert survivors <= set(got)
            assert len(got) == len(set(got))
        certain += not uncertain
        changed += changes
    assert changed > 10
    if style == "cursor" or (kind in ("inserts", "few deletes") and not prefetch):
        assert certain == 6, "so small a change can always be made good"


@pytest.mark.parametrize("prefetch", [0, 8])
async def test_changes_that_cancel_out_are_found_where_pages_overlap(prefetch: int) -> None:
    churn = {"kinds": ("insert", "delete"), "size": 3, "every": 1}
    certain = 0
    for seed in range(8):
        got, survivors, uncertain, _ = await walk(
            "offset", f"both {seed}", churn, page_size=20, overlap=10, prefetch=prefetch
        )
        if not uncertain:
            assert survivors <= set(got)
            assert len(got) == len(set(got))
        certain += not uncertain
    assert certain >= 6


async def test_a_list_that_nobody_changes_is_never_uncertain() -> None:
    for options in (
        {"prefetch": 0},
        {"prefetch": 8},
        {"overlap": 5},
        {"prefetch": 8, "overlap": 9},
    ):
        got, survivors, uncertain, _ = await walk(
            "offset", "", {"kinds": ("insert",), "size": 1, "every": 10**9}, page_size=10, **options
        )
        assert set(got) == survivors
        assert len(got) == CALLS
        assert uncertain == 0
