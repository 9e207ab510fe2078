"""SAQ's page: for this machine, and for nobody who speaks through somebody's browser."""

from __future__ import annotations

import aiohttp
import pytest
from saq import Job

from telepath_async import Secret
from telepath_async.worker.service import BrokerUrl
from telepath_async.worker.web import serve_page


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "{own}"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "evil.example"}, 403),
    ],
)
async def test_the_page_answers_to_itself_only(
    redis_url: str, headers: dict[str, str], status: int
) -> None:
    async with BrokerUrl(redis=Secret(redis_url)).connect() as broker:
        queue = await broker.queue(None)
        await queue.enqueue(Job("run", key="k", scheduled=4_000_000_000))
        async with serve_page([queue], 0) as url, aiohttp.ClientSession() as session:
            assert url.startswith("http://127.0.0.1:")
            given = {name: value.format(own=url.rstrip("/")) for name, value in headers.items()}
            async with session.get(f"{url}api/queues/telepath", headers=given) as answer:
                assert answer.status == status
                if status == 200:
                    assert (await answer.json())["queue"]["jobs"][0]["key"] == "k"
            async with session.post(
                f"{url}api/queues/telepath/jobs/k/abort", headers=given
            ) as answer:
                assert answer.status == status
        assert await queue.count("incomplete") == (0 if status == 200 else 1)
