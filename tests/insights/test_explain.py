"""`explain` over both databases, and the command."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from telepath_async import UsageError
from telepath_async.cli import main
from telepath_async.insights import explain
from tests.dashboard.stored import call, store, trunk

NOW = datetime(2026, 11, 27, 14, tzinfo=UTC)
HOUR = timedelta(hours=1)
FIRST, LAST = (moment.replace(tzinfo=UTC) for moment in (datetime.min, datetime.max))


def calls(now: datetime = NOW) -> list[dict[str, Any]]:
    """Return ten calls an hour, of which one trunk's were slow for five hours yesterday."""
    return [
        call(
            1000 * hour + number,
            trunk_id=f"t{number % 2}",
            start_time=now - timedelta(hours=hour, minutes=number),
            ai_latency_ms=(250.0 + 7 * number) * (2 if 20 < hour < 26 and number % 2 else 1),
        )
        for hour in range(150)
        for number in range(10)
    ]


async def test_the_culprit_is_found_in_a_database(database_url: str) -> None:
    url = database_url
    known = [trunk("t1", name="Night Desk"), trunk("t0", name=None)]  # type: ignore[arg-type]
    await store(url, calls(), known=known)
    found = await explain(url, now=NOW)
    assert found.summary.startswith("AI latency of trunk Night Desk (openai), 2026-11-26 ")
    day = timedelta(days=1)
    after = (NOW - 25 * timedelta(hours=1), NOW - 21 * timedelta(hours=1))
    compared = await explain(url, before=(after[0] - day, after[1] - day), after=after)
    assert compared.measure == "ai"
    assert (await explain(url, now=NOW, account="nobody")).verdict == "too few"


async def test_the_hour_in_which_one_period_ends_and_the_other_begins_is_counted_once(
    database_url: str,
) -> None:
    await store(database_url, calls())
    half = NOW - timedelta(minutes=30)
    middle = half - timedelta(hours=24)
    found = await explain(
        database_url, before=(middle - timedelta(hours=24), middle), after=(middle, half)
    )
    assert found.before is not None
    assert found.after is not None
    assert found.before.until == found.after.since
    ai = next(change for change in found.changes if change.measure == "ai")
    assert (ai.calls_before, ai.calls_after) == (240, 250)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"before": (NOW, NOW + timedelta(hours=1))}, "both before and after"),
        ({"before": (NOW, NOW), "after": (NOW, NOW)}, "must end after it begins"),
        (
            {"before": (FIRST, NOW), "after": (NOW, NOW + HOUR)},
            "before must lie between 1970 and 9999",
        ),
        ({"before": (NOW - HOUR, NOW), "after": (NOW, LAST)}, "after must lie between 1970"),
        (
            {
                "before": (NOW, NOW + timedelta(hours=3)),
                "after": (NOW + timedelta(hours=1), NOW + timedelta(hours=4)),
            },
            "before must end before after begins",
        ),
        (
            {
                "before": (NOW + timedelta(hours=2), NOW + timedelta(hours=3)),
                "after": (NOW, NOW + timedelta(hours=1)),
            },
            "before must end before after begins",
        ),
        ({"now": datetime(2026, 1, 1)}, "time zone"),
        ({"seed": -1}, "seed"),
        ({}, "there is no database"),
    ],
)
async def test_options_that_make_no_sense_are_refused(
    tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        await explain(f"sqlite:///{tmp_path}/calls.db", **options)


async def test_an_empty_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "calls.db").touch()
    with pytest.raises(UsageError, match="nothing has been synced"):
        await explain(f"sqlite:///{tmp_path}/calls.db")
    assert (tmp_path / "calls.db").stat().st_size == 0


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/calls.db"
    asyncio.run(store(url, calls(datetime.now(UTC)), known=[trunk("t1", name="Night Desk")]))
    return url


def test_the_command_names_the_culprit(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calls", "explain", url, "--table"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("AI latency of trunk Night Desk (openai)")
    assert "certain" in said
    assert main(["calls", "explain", url, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["verdict"] == "changed"
    assert document["trunks"][0]["change"]["measure"] == "ai"
    assert datetime.fromisoformat(document["after"]["since"]).tzinfo is not None


def test_the_command_takes_two_periods(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    periods = ["--before", "72h/48h", "--after", "15h"]
    assert main(["calls", "explain", url, "--table", *periods]) == 0
    assert capsys.readouterr().out.startswith("nothing has changed beyond chance")
    assert main(["calls", "explain", url, "--before", "soon/now"]) == 2
