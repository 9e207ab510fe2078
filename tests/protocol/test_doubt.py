"""Whether a trunk that was found after a lost answer is the one that was asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from telepath_async.models.trunks import AIProvider, Trunk, TrunkStatus
from telepath_async.protocol.doubt import began_at_server, is_ours

BEGAN = datetime(2026, 3, 10, 12, tzinfo=UTC)
GRACE = timedelta(seconds=2)


def found(
    *,
    name: str = "Sales",
    ai_provider: AIProvider | None = AIProvider.OPENAI,
    created_at: datetime | None = BEGAN,
) -> Trunk:
    return Trunk(
        id="conn_1",
        name=name,
        status=TrunkStatus.ACTIVE,
        ai_provider=ai_provider,
        created_at=created_at,
    )


def test_a_call_began_by_the_servers_date_less_the_seconds_since() -> None:
    headers = {"Date": "Tue, 10 Mar 2026 12:00:05 GMT"}
    assert began_at_server(headers, seconds_ago=5.0, wall_clock=0.0) == BEGAN


@pytest.mark.parametrize("headers", [{}, {"Date": "yesterday"}])
def test_without_a_usable_date_our_own_clock_counts(headers: dict[str, str]) -> None:
    assert began_at_server(headers, seconds_ago=5.0, wall_clock=BEGAN.timestamp() + 5.0) == BEGAN


@pytest.mark.parametrize(
    ("trunk", "ours"),
    [
        (found(), True),
        (found(ai_provider=None), True),
        (found(created_at=BEGAN - GRACE), True),
        (found(created_at=BEGAN - GRACE - timedelta(microseconds=1)), False),
        (found(name="Support"), False),
        (found(ai_provider=AIProvider.CUSTOM), False),
        (found(name="Support", created_at=None), False),
        (found(created_at=None), None),
    ],
    ids=[
        "new",
        "no provider shown",
        "in the grace",
        "older",
        "other name",
        "other provider",
        "other, undated",
        "undated",
    ],
)
def test_a_trunk_is_ours_when_it_is_what_we_asked_for_and_no_older_than_the_call(
    trunk: Trunk, ours: bool | None
) -> None:
    assert is_ours(trunk, name="Sales", ai_provider="openai", began=BEGAN) is ours
