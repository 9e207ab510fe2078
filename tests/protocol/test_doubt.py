"""Whether a trunk that was found after a lost answer is the one that was asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telepath_async.models.trunks import AIProvider, Trunk
from telepath_async.protocol.doubt import LostCreate, Verdict, normalize, server_times

BEGAN = datetime(2026, 3, 10, 12, tzinfo=UTC)
ANSWERED = BEGAN + timedelta(seconds=3)


def judge(trunk: Trunk, name: str = "Sales") -> Verdict:
    create = LostCreate(name=name, ai_provider="openai", began=BEGAN, answered=ANSWERED)
    return create.judge(trunk)


def found(
    *,
    name: str = "Sales",
    ai_provider: AIProvider | None = AIProvider.OPENAI,
    created_at: datetime | None = BEGAN,
) -> Trunk:
    return Trunk(id="conn_1", name=name, ai_provider=ai_provider, created_at=created_at)


def test_a_call_began_by_the_servers_date_less_the_seconds_since() -> None:
    answered = BEGAN + timedelta(seconds=5)
    assert server_times(answered.timestamp(), seconds_ago=5.0, wall_clock=0.0) == (BEGAN, answered)


def test_without_a_usable_date_our_own_clock_counts() -> None:
    wall_clock = BEGAN.timestamp() + 5.0
    start, answered = server_times(None, seconds_ago=5.0, wall_clock=wall_clock)
    assert (start, answered.timestamp()) == (BEGAN, wall_clock)


@pytest.mark.parametrize(
    ("seconds", "verdict"),
    [(-10.0, "ours"), (-10.001, "unclear"), (-14 * 3600.0, "unclear"),
     (-86_400.0, "unclear"), (-86_400.001, "older"),
     (3.0 + 10.0, "ours"), (3.0 + 10.001, "unclear"), (86_400.0, "unclear"), (None, "unclear")],
)  # fmt: skip
def test_a_trunk_is_ours_or_older_by_its_time_and_unclear_in_between(
    seconds: float | None, verdict: Verdict
) -> None:
    made = None if seconds is None else BEGAN + timedelta(seconds=seconds)
    assert judge(found(created_at=made)) == verdict


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("Sales", "sales"),
        ("Straße", "STRASSE"),
        ("  Sales \t", "Sales"),
        ("Sales   EU", "Sales EU"),
        ("Sales EU", "Sales\u00a0EU"),
        ("Cafe\u0301", "Caf\u00e9"),
        ("Caf\u00e9", "Cafe\u0301"),
        ("\uff33ales", "Sales"),
        ("Sales\u200b", "Sales"),
        ("Sales, the desk of the north", "Sales, the"),
        ("Sales, the desk of the north", "Sales, the…"),
        ("Sales, the desk of the north", "Sales, the d..."),
        ("Caf\u00e9 Noir", "Cafe"),
        ("한국어 상담", "한국"),
        ("Sales 😀", "Sales \ufffd"),
        ("Sales", ""),
    ],
)
def test_a_name_that_a_server_may_have_made_of_ours_is_ours(sent: str, kept: str) -> None:
    assert judge(found(name=kept), sent) == "ours"


@pytest.mark.parametrize(
    "trunk",
    [found(name="Support"), found(name="Sales 2"), found(ai_provider=AIProvider.CUSTOM)],
    ids=["other name", "longer name", "other provider"],
)
def test_another_name_or_provider_proves_nothing_of_a_trunk_as_young_as_the_call(
    trunk: Trunk,
) -> None:
    assert judge(trunk) == "unclear"


@pytest.mark.parametrize("provider", [None, AIProvider("OpenAI")])
def test_a_provider_may_be_left_out_or_written_otherwise(provider: AIProvider | None) -> None:
    assert judge(found(ai_provider=provider)) == "ours"


@given(st.text())
def test_normalizing_twice_is_normalizing_once(text: str) -> None:
    assert normalize(normalize(text)) == normalize(text)
