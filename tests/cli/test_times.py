"""Moments and spans of time as people type them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telepath_async import UsageError
from telepath_async.cli.times import read_moment, read_span

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T12:00:00Z", datetime(2026, 11, 1, 12, tzinfo=UTC)),
        ("2026-11-01T12:00", datetime(2026, 11, 1, 12, tzinfo=UTC)),
        ("2026-11-01T12:00:00+02:00", datetime(2026, 11, 1, 10, tzinfo=UTC)),
        (" 24h ", datetime(2026, 11, 24, 12, tzinfo=UTC)),
        ("7d", datetime(2026, 11, 18, 12, tzinfo=UTC)),
        ("0s", NOW),
    ],
)
def test_a_moment_is_read(text: str, moment: datetime) -> None:
    read = read_moment(text, NOW)
    assert read == moment
    assert read.tzinfo is UTC


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("1.5h", timedelta(minutes=90)),
        ("7d", timedelta(days=7)),
        ("2w", timedelta(days=14)),
    ],
)
def test_a_span_is_read(text: str, span: timedelta) -> None:
    assert read_span(text) == span


@pytest.mark.parametrize(
    "text", ["", "7", "d", "-7d", "7 d", "7D", "7y", "1e3s", "9" * 400 + "d", "9999999999999w"]
)
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(
        UsageError, match=r"is not a span of time; write 90s, 30m|is longer than 100 years"
    ):
        read_span(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "yesterday", "2026-13-01", "999999w", "9999w", "9" * 400 + "d",
        "0001-01-01T00:00:00+10:00",
    ],
)  # fmt: skip
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(
        UsageError, match=r"is not a time; write 2026-11-01|is longer than 100|is not a span"
    ):
        read_moment(text, NOW)


@given(
    st.datetimes(timezones=st.just(timezone(timedelta(hours=3))), min_value=datetime(1900, 1, 1))
)
def test_every_moment_in_iso_8601_is_read(moment: datetime) -> None:
    assert read_moment(moment.isoformat(), NOW) == moment


@given(st.text())
def test_any_other_text_is_a_usage_error(text: str) -> None:
    for read in (read_span, lambda text: read_moment(text, NOW)):
        try:
            read(text)
        except UsageError as error:
            assert str(error).isprintable() or "\\" in str(error)  # noqa: PT017
