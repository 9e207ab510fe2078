"""SAQ's page: for this machine, and for nobody who speaks through somebody's browser."""

from __future__ import annotations

import base64
import hashlib
import re

import aiohttp
import pytest
from saq import Job

from telepath_async import Secret, UsageError
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


async def test_the_page_can_be_shown_in_no_frame_and_runs_its_own_scripts_alone(
    redis_url: str,
) -> None:
    async with BrokerUrl(redis=Secret(redis_url)).connect() as broker:
        queue = await broker.queue(None)
        async with serve_page([queue], 0) as url, aiohttp.ClientSession() as session:
            for path in ("", "static/app.js", "api/queues/telepath", "nowhere"):
                async with session.get(f"{url}{path}") as answer:
                    text = await answer.text()
                    policy = answer.headers["Content-Security-Policy"]
                    assert answer.headers["X-Frame-Options"] == "DENY"
                    assert answer.headers["X-Content-Type-Options"] == "nosniff"
                    assert "frame-ancestors 'none'" in policy
                    assert "default-src 'none'" in policy
                if not path:
                    page = text
            async with session.get(url, headers={"Host": "evil.example"}) as refused:
                assert refused.headers["X-Frame-Options"] == "DENY"
    (inline,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
    assert f"script-src 'self' 'sha256-{digest}'" in policy
    assert "unsafe" not in policy


async def test_a_port_in_use_is_refused(redis_url: str) -> None:
    async with BrokerUrl(redis=Secret(redis_url)).connect() as broker:
        queue = await broker.queue(None)
        async with serve_page([queue], 0) as url:
            port = int(url.rstrip("/").rpartition(":")[2])
            with pytest.raises(UsageError, match="cannot be had"):
                async with serve_page([queue], port):
                    pass
