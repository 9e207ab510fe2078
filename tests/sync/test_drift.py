"""Lists that change during the walk: one that may have missed calls never moves the watermark."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from attrs import define, field

from telepath_async import Call, Drift, Page, Response, TelepathClient
from telepath_async.sync import SyncReport, sync_calls
from tests.sync.tables import stored

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
SERVER_SAYS_NOON = {"Date": "Sat, 21 Nov 2026 12:00:00 GMT"}


@define
class ScriptedList:
    """A paginator of one page."""

    items: list[Call]
    uncertain: int
    headers: dict[str, str]
    checkpoint: str = "behind the page"

    @property
    def drift(self) -> Drift:
        return Drift(uncertain=self.uncertain)

    def __await__(self) -> Generator[Any, None, Page[Call]]:
        return anext(self.pages()).__await__()

    async def pages(self) -> AsyncIterator[Page[Call]]:
        raw = Response(status=200, headers=self.headers, body=b"", endpoint="GET /calls")
        yield Page(
            items=self.items, total=None, number=1, raw=raw, checkpoint=self.checkpoint,
            drift=self.drift,
        )  # fmt: skip


class NoTrunks:
    """An account without trunks."""

    def list(self, **options: Any) -> NoTrunks:
        return self

    async def collect(self) -> list[Any]:
        return []


@define
class ScriptedClient:
    """Each walk is the next of `walks`: its calls, by the hour of their start, and `uncertain`."""

    walks: list[tuple[list[int | None], int]]
    headers: dict[str, str] = field(factory=lambda: SERVER_SAYS_NOON)
    key_id: str = "0" * 64
    asked: list[dict[str, Any]] = field(factory=list)

    @property
    def calls(self) -> ScriptedClient:
        return self

    @property
    def trunks(self) -> NoTrunks:
        return NoTrunks()

    def with_options(self, **options: Any) -> ScriptedClient:
        return self

    def list(self, **options: Any) -> ScriptedList | None:
        if "max_items" in options:  # only to learn the server's time
            return ScriptedList([], 0, self.headers)
        if "prefetch" not in options:  # only to check the range
            return None
        self.asked.append(options)
        hours, uncertain = self.walks.pop(0)
        starts = [None if hour is None else NOON.replace(hour=hour) for hour in hours]
        calls = [
            Call(id=f"call_{hour}", start_time=start)
            for hour, start in zip(hours, starts, strict=True)
        ]
        return ScriptedList(calls, uncertain, self.headers)

    async def sync(self, database_url: str) -> SyncReport:
        return await sync_calls(cast(TelepathClient, self), database_url)


async def test_an_uncertain_walk_is_walked_again(database_url: str) -> None:
    report = await ScriptedClient([([9], 2), ([9, 10], 0)]).sync(database_url)
    assert (report.inserted, report.unchanged, report.pages, report.uncertain) == (2, 1, 2, 0)
    assert report.watermark == NOON.replace(hour=10)


async def test_a_list_in_too_much_motion_is_reported_and_left_to_the_next_run(
    sqlite_url: str,
) -> None:
    first = ScriptedClient([([9], 2), ([9], 1), ([9], 3)])
    report = await first.sync(sqlite_url)
    assert (report.uncertain, report.watermark) == (3, None)
    second = ScriptedClient([([9], 0)])
    assert (await second.sync(sqlite_url)).watermark == NOON.replace(hour=9)
    assert second.asked[0]["since"] is None


async def test_the_watermark_never_passes_the_servers_clock_at_the_beginning(
    sqlite_url: str,
) -> None:
    report = await ScriptedClient([([11, 14], 0)]).sync(sqlite_url)
    assert report.watermark == NOON


async def test_a_server_without_a_clock_is_held_to_ours(sqlite_url: str) -> None:
    ours = datetime.now(UTC)
    report = await ScriptedClient([([9], 0)], headers={}).sync(sqlite_url)
    assert report.watermark == min(NOON.replace(hour=9), ours)


async def test_a_call_without_a_start_is_kept_and_moves_nothing(sqlite_url: str) -> None:
    report = await ScriptedClient([([9, None], 0)]).sync(sqlite_url)
    assert report.watermark == NOON.replace(hour=9)
    assert set(await stored(sqlite_url)) == {"call_9", "call_None"}


async def test_the_watermark_never_falls(sqlite_url: str) -> None:
    client = ScriptedClient([([10], 0), ([], 0), ([9], 0)])
    watermarks = [(await client.sync(sqlite_url)).watermark for _ in range(3)]
    assert watermarks == [NOON.replace(hour=10)] * 3
    assert client.asked[1]["since"] == NOON.replace(hour=10) - timedelta(hours=1)


@pytest.mark.parametrize("uncertain", [0, 1])
async def test_doubt_from_before_a_cut_stays(sqlite_url: str, uncertain: int) -> None:
    client = ScriptedClient([([9], uncertain), ([10], 0), ([10], 0)])

    def cut(progress: object) -> None:
        raise KeyError

    with pytest.raises(KeyError):
        await sync_calls(cast(TelepathClient, client), sqlite_url, on_progress=cut)
    await client.sync(sqlite_url)
    assert client.asked[1]["resume"] == "behind the page"
    assert client.asked[2]["since"] == (None if uncertain else NOON.replace(hour=9))
