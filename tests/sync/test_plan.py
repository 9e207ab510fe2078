"""Where walks begin, which go on, and what they prove: without a server, a database or a clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telepath_async.coverage import (
    Coverage,
    RangeWalk,
    latest,
    merge,
    server_time,
    start_of,
    verified_until,
)
from telepath_async.sync.plan import Seen, may_resume, up_to_present

HOUR: Final = timedelta(hours=1)
MIDNIGHT: Final = datetime(2026, 11, 21, tzinfo=UTC)
LATER: Final = datetime(2027, 1, 1, tzinfo=UTC)


def at(hour: float | None) -> datetime | None:
    return None if hour is None else MIDNIGHT + hour * HOUR


def moment(hour: float) -> datetime:
    return MIDNIGHT + hour * HOUR


@pytest.mark.parametrize(
    ("covered", "since", "until", "begins"),
    [
        (None, None, None, None),
        (None, 3, None, 3),
        ((None, 10), None, None, 9),
        ((None, 10), 4, None, 9),
        ((None, 10), 9.5, None, 9.5),
        ((None, 10), 12, None, 12),
        ((2, 10), None, None, None),
        ((2, 10), 1, None, 1),
        ((2, 10), 2, None, 9),
        ((2, 10), 3, 5, 4),
        ((2, 10), 3, 20, 9),
    ],
)
def test_a_walk_begins_a_lookback_before_what_is_covered_or_where_it_was_asked_to(
    covered: tuple[float | None, float] | None,
    since: float | None,
    until: float | None,
    begins: float | None,
) -> None:
    coverage = covered and Coverage(at(covered[0]), moment(covered[1]))
    assert start_of(coverage, at(since), at(until), HOUR) == at(begins)


def test_a_lookback_longer_than_the_calendar_begins_where_it_was_asked_to() -> None:
    assert start_of(Coverage(None, MIDNIGHT), None, None, timedelta.max) is None
    assert (
        start_of(Coverage(None, MIDNIGHT), MIDNIGHT - HOUR, None, timedelta.max) == MIDNIGHT - HOUR
    )


@pytest.mark.parametrize(
    ("cut_off", "fresh", "resumes"),
    [
        ((None, None), (None, None), True),
        ((None, None), (5, None), False),
        ((5, None), (None, None), False),
        ((5, None), (5, None), True),
        ((5, None), (5.5, None), True),
        ((5, None), (7, None), False),
        ((5, None), (4, None), False),
        ((5, 8), (5, 8), True),
        ((5, 8), (5, 9), True),
        ((5, 8), (5, 7), False),
        ((5, 8), (5, None), True),
        ((5, None), (5, 8), False),
    ],
)
def test_a_walk_goes_on_when_it_leads_to_what_is_asked_for_now(
    cut_off: tuple[float | None, float | None],
    fresh: tuple[float | None, float | None],
    resumes: bool,
) -> None:
    first, second = (
        RangeWalk(since=at(since), until=at(until)) for since, until in (cut_off, fresh)
    )
    assert may_resume(first, second, HOUR) is resumes


def test_an_open_walk_is_cut_shortly_before_the_present_for_shards_to_read() -> None:
    now = moment(9) + timedelta(microseconds=5)
    cut = moment(9) - timedelta(minutes=1)
    assert up_to_present(RangeWalk(since=at(2), until=None), now) == [
        RangeWalk(since=at(2), until=cut),
        RangeWalk(since=cut, until=None),
    ]


def test_a_walk_that_cannot_be_read_to_its_end_is_cut_in_the_middle_of_what_it_has_shown() -> None:
    seen = Seen()
    seen.note([at(4), None, at(2)])
    seen.note([at(6)])
    assert (seen.rows, seen.oldest, seen.newest) == (4, at(2), at(6))
    assert seen.halves(RangeWalk(since=None, until=at(9), rows=4, checkpoint="here")) == (
        RangeWalk(since=None, until=at(4)),
        RangeWalk(since=at(4), until=at(9)),
    )


@pytest.mark.parametrize("hours", [[], [None], [3], [3, 3 + 1 / 3600]])
def test_a_walk_that_has_shown_less_than_two_seconds_cannot_be_cut(
    hours: list[float | None],
) -> None:
    seen = Seen()
    seen.note(map(at, hours))
    assert seen.halves(RangeWalk(since=None, until=None)) == ()


@given(st.lists(st.datetimes(min_value=datetime(1970, 1, 1)), min_size=2))
def test_both_halves_are_shorter_and_meet(starts: list[datetime]) -> None:
    seen = Seen()
    seen.note(start.replace(tzinfo=UTC) for start in starts)
    halves = seen.halves(RangeWalk(since=None, until=None))
    if halves:
        earlier, later = halves
        assert earlier.until == later.since
        assert earlier.until is not None
        assert min(starts) < earlier.until.replace(tzinfo=None) <= max(starts)


@pytest.mark.parametrize(
    ("walk", "watermark"),
    [
        (RangeWalk(since=None, until=None), None),
        (RangeWalk(since=None, until=None, started=at(5)), None),
        (RangeWalk(since=None, until=None, started=at(5), newest=at(4)), 4),
        (RangeWalk(since=None, until=None, started=at(5), newest=at(6)), 5),
        (RangeWalk(since=None, until=None, started=at(5), newest=at(4), uncertain=1), None),
        (RangeWalk(since=None, until=at(3), started=at(5)), 3),
        (RangeWalk(since=None, until=at(3), started=at(5), newest=at(2)), 3),
        (RangeWalk(since=None, until=at(9), started=at(5), newest=at(4)), 4),
    ],
)
def test_a_walk_proves_no_more_than_what_had_begun_when_it_began(
    walk: RangeWalk, watermark: float | None
) -> None:
    assert verified_until(walk) == at(watermark)


@pytest.mark.parametrize(
    ("before", "walked", "after"),
    [
        (None, (None, 5), (None, 5)),
        ((None, 5), (4, 8), (None, 8)),
        ((None, 5), (4, 4.5), (None, 5)),
        ((None, 5), (6, 8), (6, 8)),
        ((6, 8), (1, 2), (6, 8)),
        ((6, 8), (1, 6), (1, 8)),
        ((6, 8), (None, 7), (None, 8)),
        ((6, 8), (7, 9), (6, 9)),
    ],
)
def test_ranges_that_touch_grow_together_and_of_two_that_do_not_the_later_one_counts(
    before: tuple[float | None, float] | None,
    walked: tuple[float | None, float],
    after: tuple[float | None, float],
) -> None:
    coverage = before and Coverage(at(before[0]), moment(before[1]))
    walk = RangeWalk(since=at(walked[0]), until=None, started=LATER, newest=at(walked[1]))
    assert merge(coverage, walk) == Coverage(at(after[0]), moment(after[1]))


def test_a_walk_that_proves_nothing_leaves_the_coverage_as_it_was() -> None:
    coverage = Coverage(None, MIDNIGHT)
    assert merge(coverage, RangeWalk(since=None, until=None, started=LATER)) is coverage
    assert merge(None, RangeWalk(since=None, until=None, started=LATER)) is None


@given(
    st.lists(
        st.tuples(st.none() | st.integers(0, 20), st.none() | st.integers(0, 20), st.integers(0, 3))
    )
)
def test_nothing_is_ever_claimed_that_no_walk_has_read(
    asked: list[tuple[int | None, int | None, int]],
) -> None:
    coverage: Coverage | None = None
    read: set[int] = set()
    now = 0
    for since, until, passed in asked:
        now += passed
        if since is not None and until is not None and since > until:
            continue
        begins = start_of(coverage, at(since), at(until), HOUR)
        walk = RangeWalk(
            since=begins,
            until=at(until),
            started=at(now),
            newest=at(min(now, 20 if until is None else until)),
        )
        end = verified_until(walk)
        assert end is not None
        read |= {
            hour
            for hour in range(21)
            if (begins is None or begins <= moment(hour)) and moment(hour) <= end
        }
        coverage = merge(coverage, walk)
        assert coverage is not None
        claimed = {
            hour
            for hour in range(21)
            if (coverage.since is None or coverage.since <= moment(hour))
            and moment(hour) <= coverage.watermark
        }
        assert claimed <= read
        wanted = {
            hour for hour in range(21) if (since is None or since <= hour) and moment(hour) <= end
        }
        assert wanted <= read


@pytest.mark.parametrize(
    "date",
    [
        None, "", "yesterday", "Sat, 99 Nov 2026 00:00:00 GMT",
        "Mon, 10 Mar 99999999999999 12:00:00 GMT", "Mon, 01 Jan 1000 00:00:00 GMT",
    ],
)  # fmt: skip
def test_a_date_header_that_says_nothing_gives_way_to_our_clock(date: str | None) -> None:
    assert server_time(date, MIDNIGHT) == MIDNIGHT


@pytest.mark.parametrize(
    "date", ["Fri, 01 Jan 2027 00:00:00 GMT", "Fri, 01 Jan 2027 00:00:00 -0000"]
)
def test_a_date_header_is_the_time_of_the_server(date: str) -> None:
    assert server_time(date, MIDNIGHT) == LATER


def test_the_latest_of_no_moments_is_none() -> None:
    assert latest(None, None) is None
    assert latest(None, MIDNIGHT, LATER, MIDNIGHT) == LATER


def test_a_time_that_the_calendar_of_utc_cannot_hold_is_not_the_latest() -> None:
    west = timezone(timedelta(hours=-5))
    assert latest(MIDNIGHT, datetime.max.replace(tzinfo=west)) == MIDNIGHT
    assert latest(datetime(2027, 1, 1, tzinfo=west)) == LATER + 5 * HOUR
