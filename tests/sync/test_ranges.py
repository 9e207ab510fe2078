"""Ranges of time: shards up to the present with an open tail, and lists that end at an offset."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from telepath_async import PagingError
from telepath_async.sandbox import Sandbox, handlers
from telepath_async.sandbox.dialect import OffsetDialect
from telepath_async.sync import sync_calls
from tests.support.clients import client_of
from tests.sync.tables import stored, truth

CALLS = 1_000


def ranges(sandbox: Sandbox) -> set[tuple[str | None, str | None]]:
    """Return the ranges of time that were asked for."""
    queries = [dict(request.query) for request in sandbox.requests if "calls" in request.path]
    return {(query.get("from"), query.get("to")) for query in queries}


@pytest.mark.parametrize("style", ["offset", "cursor"])
async def test_a_first_sync_since_long_ago_is_read_in_shards_with_an_open_tail(
    style: Any, sqlite_url: str
) -> None:
    async with Sandbox(style=style, calls=250) as sandbox, client_of(sandbox) as telepath:
        new = sandbox.add_call()
        since = datetime.now(UTC) - timedelta(days=60)
        report = await sync_calls(telepath, sqlite_url, since=since)
        assert (report.inserted, report.uncertain) == (251, 0)
        assert report.watermark == datetime.fromisoformat(new["start_time"])
        assert await stored(sqlite_url) == truth(sandbox)
        open_ended = [begin for begin, end in ranges(sandbox) if end is None and begin]
        assert len(ranges(sandbox)) >= 5
        assert len(open_ended) == 2, "the server's time is asked for, and the tail"


async def test_a_sync_of_the_last_hours_is_one_walk(sqlite_url: str) -> None:
    async with Sandbox(calls=250) as sandbox, client_of(sandbox) as telepath:
        await sync_calls(telepath, sqlite_url, since=datetime.now(UTC) - timedelta(hours=5))
        assert len(ranges(sandbox)) == 1


async def test_a_sync_killed_between_the_shards_and_the_tail_goes_on(sqlite_url: str) -> None:
    since = datetime.now(UTC) - timedelta(days=60)
    async with Sandbox(style="cursor", calls=250) as sandbox, client_of(sandbox) as telepath:

        def cut(progress: Any) -> None:
            if progress.pages == 3:
                raise KeyError

        with pytest.raises(KeyError):
            await sync_calls(telepath, sqlite_url, since=since, on_progress=cut)
        kept = len(await stored(sqlite_url))
        assert 0 < kept < 250
        report = await sync_calls(telepath, sqlite_url, since=since)
        assert report.inserted == 250 - kept
        assert await stored(sqlite_url) == truth(sandbox)
        assert report.watermark is not None


@pytest.mark.parametrize("order", ["newest", "oldest", "name"])
async def test_a_server_that_refuses_large_offsets_is_read_range_by_range(
    order: Any, sqlite_url: str
) -> None:
    async with (
        Sandbox(calls=CALLS, max_offset=150, order=order, rate_limit=10**6) as sandbox,
        client_of(sandbox) as telepath,
    ):
        report = await sync_calls(telepath, sqlite_url)
        assert (report.inserted, report.uncertain) == (CALLS, 0)
        assert await stored(sqlite_url) == truth(sandbox)
        newest = max(row["start_time"] for row in truth(sandbox).values())
        assert report.watermark == newest
        asked = len(sandbox.requests)
        assert asked <= 10 * CALLS / 90
        assert (await sync_calls(telepath, sqlite_url)).inserted == 0
        assert len(sandbox.requests) - asked <= 3


async def test_calls_of_one_second_that_no_range_parts_are_an_error_that_says_why(
    sqlite_url: str,
) -> None:
    async with Sandbox(calls=0, max_offset=150) as sandbox, client_of(sandbox) as telepath:
        for _ in range(400):
            sandbox.add_call(start_time="2026-11-21T12:00:00Z")
        with pytest.raises(PagingError, match="narrow the list"):
            await sync_calls(telepath, sqlite_url)


async def test_a_server_that_refuses_large_offsets_and_ignores_dates_is_an_error(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers, "_dates", lambda call: (None, None))
    async with Sandbox(calls=CALLS, max_offset=150) as sandbox, client_of(sandbox) as telepath:
        async with asyncio.timeout(20):
            with pytest.raises(PagingError, match="narrow the list"):
                await sync_calls(telepath, sqlite_url)
        assert len(sandbox.requests) < 200


@pytest.mark.parametrize("order", ["newest", "oldest"])
async def test_a_server_that_caps_its_total_is_read_to_its_end(
    order: Any, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = OffsetDialect.page

    def capped(*arguments: Any) -> Any:
        page = plain(*arguments)
        page["pagination"]["total"] = min(page["pagination"]["total"], 1_000)
        return page

    monkeypatch.setattr(OffsetDialect, "page", capped)
    async with Sandbox(calls=1_300, order=order) as sandbox, client_of(sandbox) as telepath:
        report = await sync_calls(telepath, sqlite_url)
        assert (report.inserted, report.uncertain) == (1_300, 0)
        assert await stored(sqlite_url) == truth(sandbox)
