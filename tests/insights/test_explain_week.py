"""Planted faults of known size are found and the right one is named; nothing is not."""

from __future__ import annotations

import random
from typing import Any

import pytest

from telepath_async.insights.compare import Change
from telepath_async.insights.explanation import (
    Explanation,
    Period,
    explain_periods,
    explain_week,
)
from telepath_async.insights.groups import Group
from telepath_async.insights.scan import divergence, standing_out

from .world import LAST, TRUNKS, WEEK, Fault, week

BEGIN, END = LAST - 27, LAST - 21  # by day
INCIDENT = range(BEGIN, END)


def explained(hours: Any, **options: Any) -> Explanation:
    given = {"account": None, "seed": 0, **options}
    return explain_week(hours, WEEK, TRUNKS, **given)


def slower(measure: str, factor: float, *trunks: str) -> Fault:
    def fault(hour: int, trunk: str, call: dict[str, Any]) -> None:
        if hour in INCIDENT and (not trunks or trunk in trunks):
            call[measure] *= factor

    return fault


def failing(hour: int, trunk: str, call: dict[str, Any]) -> None:
    if hour in INCIDENT and trunk == "t2" and hash((hour, call["ai"])) % 10 < 4:
        call["status"] = "failed"


@pytest.mark.parametrize(
    ("fault", "measure", "blamed"),
    [
        (slower("ai", 2.0, "t0"), "ai", "trunk Trunk 0 (openai)"),
        (slower("ai", 2.0, "t2", "t3"), "ai", "provider elevenlabs"),
        (slower("ai", 2.0, "t0", "t4"), "ai", "trunks Trunk 0, Trunk 4"),
        (slower("carrier", 2.0), "carrier", "all trunks"),
        (slower("gateway", 2.0), "gateway", "all trunks"),
        (failing, "failed", "trunk Trunk 2 (elevenlabs)"),
    ],
)
def test_a_planted_fault_is_found_and_the_right_one_named(
    fault: Fault, measure: str, blamed: str
) -> None:
    found = explained(week(1, 12_000, fault))
    assert (found.verdict, found.measure, found.blamed) == ("changed", measure, blamed)
    assert found.after is not None
    begin, end = (
        int(moment.timestamp()) // 3600 for moment in (found.after.since, found.after.until)
    )
    overlap = len(set(range(begin, end)) & set(INCIDENT))
    assert overlap >= 5
    assert end - begin <= 8


def test_the_interval_holds_the_true_change() -> None:
    found = explained(week(2, 12_000, slower("ai", 2.0, "t0")))
    (line,) = [line for line in found.trunks if line.certain]
    true = 235 * 1.508  # the p95 of a log-normal of sigma 0.25, once more
    assert line.change.low <= true <= line.change.high
    assert line.change.low > 200
    assert all(change.low <= change.difference <= change.high for change in found.changes)


@pytest.mark.long
def test_false_alarms_are_rare() -> None:
    alarms = [
        seed for seed in range(200) if explained(week(1000 + seed, 1500)).verdict != "nothing"
    ]
    assert len(alarms) <= 10  # 5 % of 200


def test_of_a_quiet_week_nothing_is_said() -> None:
    assert str(explained(week(7, 3000))) == "nothing has changed beyond chance"


def test_a_period_is_written_shortly() -> None:
    assert str(Period.of(range(491_000, 491_002))) == "2026-01-05 08:00 to 10:00 UTC"
    assert str(Period.of(range(491_000, 491_030))) == "2026-01-05 08:00 to 2026-01-06 14:00 UTC"


def test_few_calls_are_said_to_be_too_few() -> None:
    found = explained(week(1, 30))
    assert found.verdict == "too few"
    assert "too few calls to tell" in str(found)


def test_a_change_at_the_very_beginning_is_compared_with_what_follows() -> None:
    first = range(WEEK.start, WEEK.start + 6)

    def fault(hour: int, trunk: str, call: dict[str, Any]) -> None:
        if hour in first:
            call["ai"] *= 2

    found = explained(week(3, 8000, fault))
    assert found.before is not None
    assert found.after is not None
    assert found.before.since >= found.after.until


def test_the_same_seed_gives_the_same_answer() -> None:
    hours = week(1, 6000, slower("ai", 2.0, "t0"))
    assert explained(hours) == explained(hours)
    assert explained(hours).changes != explained(hours, seed=1).changes


def test_only_the_account_that_is_asked_for() -> None:
    hours = week(1, 6000, slower("ai", 2.0, "t0"))
    assert explained(hours, account="acme").verdict == "changed"
    assert explained(hours, account="other").verdict == "too few"


BEFORE = range(BEGIN - 24, END - 24)


def compared(hours: Any, before: range = BEFORE, after: range = INCIDENT) -> Explanation:
    return explain_periods(hours, before, after, TRUNKS, account=None, seed=0)


@pytest.mark.parametrize("trunks", [("t0",), ()])
def test_two_periods_are_compared(trunks: tuple[str, ...]) -> None:
    hours = week(4, 20_000, slower("ai", 1.6, *trunks))
    found = compared(hours)
    assert (found.verdict, found.measure) == ("changed", "ai")
    assert found.blamed == ("trunk Trunk 0 (openai)" if trunks else "all trunks")
    assert str(found).startswith("AI latency of ")
    assert "; carrier " in str(found)


def test_two_periods_without_a_change_or_without_calls() -> None:
    hours = week(5, 8000)
    same = compared(hours)
    assert same.verdict == "nothing"
    assert len(same.changes) == 4
    assert str(same).startswith("nothing has changed beyond chance: AI ")
    empty = range(WEEK.start - 50, WEEK.start - 40)
    assert compared(hours, empty).verdict == "too few"


@pytest.mark.long
def test_two_periods_give_few_false_alarms() -> None:
    alarms = sum(compared(week(seed, 3000)).verdict == "changed" for seed in range(60))
    assert alarms <= 5


def test_a_trunk_that_nobody_knows_has_its_id_for_a_name() -> None:
    hours = week(1, 6000, slower("ai", 2.0, "t0"))
    found = explain_week(hours, WEEK, {}, account=None, seed=0)
    assert found.blamed == "trunk t0"


def test_without_a_latency_there_is_nothing_to_say_of_it() -> None:
    hours = week(1, 400)
    for cells in hours.values():
        for cell in cells.values():
            del cell.ai[:], cell.carrier[:], cell.gateway[:]
    middle = WEEK.start + 80
    found = compared(hours, range(WEEK.start, middle), range(middle, LAST))
    assert [change.measure for change in found.changes] == ["failed"]
    assert standing_out({Group(): {}}, WEEK) is None


def test_the_divergence_of_a_share_from_certainty() -> None:
    assert divergence(0.0, 0.0) == divergence(1.0, 1.0) == 0.0
    assert divergence(0.5, 1.0) == divergence(0.5, 0.0) == float("inf")
    assert divergence(0.3, 0.3) == 0.0
    rng = random.Random(0)
    assert all(divergence(rng.random(), rng.random()) >= 0 for _ in range(100))


def test_a_change_of_less_than_half_has_no_minus() -> None:
    change = Change(
        measure="carrier", before=60.0, after=59.8, low=-0.4, high=0.3, calls_before=50,
        calls_after=50,
    )  # fmt: skip
    (evidence,) = Explanation(verdict="changed", changes=(change,)).evidence
    assert evidence.endswith(" +0 [+0, +0]")
