"""The date range of `/calls`: what is sent, what lies inside, and how it is cut into shards."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from telepath_async.errors import UsageError
from telepath_async.protocol.dates import DateRange, date_range, read_range

NOON = datetime(2024, 3, 10, 12, tzinfo=UTC)
HOUR = DateRange(since=NOON, until=NOON + timedelta(hours=1))


def test_a_range_is_spelled_as_the_seed_does_and_for_an_offset_server_twice() -> None:
    spelled = {"from": "2024-03-10T12:00:00Z", "to": "2024-03-10T13:00:00Z"}
    twice = spelled | {"start_date": spelled["from"], "end_date": spelled["to"]}
    assert dict(HOUR.query(None)) == dict(HOUR.query("cursor")) == spelled
    assert dict(HOUR.query("offset")) == twice
    assert DateRange().query("offset") == ()


@pytest.mark.parametrize(
    ("minutes", "inside"), [(-1, False), (0, True), (60, True), (61, False), (None, True)]
)
def test_both_ends_and_rows_without_a_time_lie_inside(minutes: int | None, inside: bool) -> None:
    moment = None if minutes is None else NOON + timedelta(minutes=minutes)
    assert HOUR.holds(moment) is inside


@pytest.mark.parametrize(
    ("dates", "inside"), [(DateRange(since=NOON), False), (DateRange(until=NOON), True)]
)
def test_an_open_range_holds_one_side(dates: DateRange, inside: bool) -> None:
    assert dates.holds(NOON - timedelta(seconds=1)) is inside
    assert not dates.is_open
    assert DateRange().is_open


@pytest.mark.parametrize(
    ("until", "asked"),
    [
        (None, None),
        (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)),
        (datetime(2026, 1, 1, 23, 59, 59, 999_999, UTC), datetime(2026, 1, 2, tzinfo=UTC)),
        (datetime.max.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)),
    ],
)
def test_a_range_is_asked_for_up_to_a_whole_second(
    until: datetime | None, asked: datetime | None
) -> None:
    assert DateRange(until=until).rounded().until == asked


def test_shards_are_cut_at_whole_seconds_and_share_no_moment() -> None:
    dates = DateRange(since=NOON + timedelta(microseconds=7), until=NOON + timedelta(days=18))
    shards = dates.shards(7)
    assert [shard.since.microsecond for shard in shards if shard.since] == [7] + [0] * 6
    assert (shards[0].since, shards[-1].until) == (dates.since, dates.until)
    for earlier, later in itertools.pairwise(shards):
        assert earlier.until is not None
        assert earlier.until + timedelta(microseconds=1) == later.since


def test_one_shard_is_the_range_itself_and_more_need_both_ends() -> None:
    assert DateRange().shards(1) == [DateRange()]
    with pytest.raises(UsageError, match="give since and until"):
        DateRange(since=NOON).shards(2)
    with pytest.raises(UsageError, match="shorter than a second"):
        DateRange(since=NOON, until=NOON + timedelta(seconds=49)).shards(50)


def test_a_range_comes_back_from_the_filters_of_a_checkpoint() -> None:
    exact = DateRange(since=NOON + timedelta(microseconds=5))
    assert read_range(exact.filters()) == exact
    assert read_range({"status": "failed"}) == DateRange()
    with pytest.raises(UsageError, match="not a time with a time zone"):
        read_range({"from": "soon"})


def test_a_range_is_checked() -> None:
    assert date_range(NOON, NOON) == DateRange(since=NOON, until=NOON)
    with pytest.raises(UsageError, match="later than until"):
        date_range(NOON, NOON - timedelta(1))
    with pytest.raises(UsageError, match="time zone"):
        date_range(NOON.replace(tzinfo=None), None)
