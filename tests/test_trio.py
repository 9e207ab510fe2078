"""Under trio, or with no loop at all: one clear error, whatever is called first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio

from telepath_async import LocalLimiter, TelepathClient, TrunkSpec, UsageError

SPEC = TrunkSpec.custom(
    "n", sip_username="u", sip_password="s3cur3P@ssw0rd!", endpoint="wss://example.com/ai"
)

CALLS: dict[str, Callable[[TelepathClient], Awaitable[Any]]] = {
    "async with": lambda client: client.__aenter__(),
    "get": lambda client: client.calls.get("c1"),
    "list": lambda client: anext(aiter(client.calls.list())),
    "list ahead": lambda client: anext(aiter(client.calls.list(prefetch=3))),
    "pages": lambda client: anext(client.calls.list().pages()),
    "first page": lambda client: _awaited(client.calls.list()),
    "collect": lambda client: client.calls.list().collect(),
    "first": lambda client: client.calls.list().first(),
    "find": lambda client: client.trunks.find("u"),
    "create": lambda client: client.trunks.create(
        name="n", ai_provider="custom", sip_username="u", sip_password="s3cur3P@ssw0rd!",
        custom_endpoint="wss://example.com/ai",
    ),
    "create_many": lambda client: anext(client.trunks.create_many([SPEC])),
    "create_many, skipping": lambda client: anext(
        client.trunks.create_many([SPEC], if_exists="skip")
    ),
    "update": lambda client: client.trunks.update("t1", name="n"),
    "rotate": lambda client: client.trunks.rotate_sip_password("t1"),
    "overview": lambda client: client.analytics.overview(),
    "numbers": lambda client: client.numbers.update("+15550100001", label="n"),
    "request": lambda client: client.request("GET", "/x"),
    "aclose": lambda client: client.aclose(),
    "close": lambda client: client.close(),
}  # fmt: skip


async def _awaited(work: Awaitable[Any]) -> Any:
    return await work


@pytest.mark.parametrize("listens", [False, True], ids=["alone", "with a listener"])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_whatever_is_called_first_under_trio_says_that_it_needs_asyncio(
    call: Callable[[TelepathClient], Awaitable[Any]], listens: bool
) -> None:
    client = TelepathClient("sk_live_x", on_event=print if listens else None)

    async def main() -> None:
        with pytest.raises(UsageError, match=r"under trio a thread of its own"):
            await call(client)

    trio.run(main)


def test_what_needs_no_loop_works_under_trio() -> None:
    async def main() -> None:
        client = TelepathClient("sk_live_x", limiter=LocalLimiter(100))
        client.with_options(timeout=5.0).trunks.create_many([SPEC])
        assert repr(client.calls.list()).startswith("<Paginator")

    trio.run(main)
