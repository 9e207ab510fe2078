"""The text of a URL: path segments, queries, times, and the dates of headers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from typing import Any
from urllib.parse import parse_qsl, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telepath_async.errors import UsageError
from telepath_async.models.trunks import TrunkStatus
from telepath_async.protocol.url import http_date, path_segment, query_of, query_text, time_text


@given(st.text())
def test_any_text_becomes_one_segment_that_reads_back_or_is_refused(text: str) -> None:
    try:
        segment = path_segment("trunk_id", text)
    except UsageError:
        return
    assert unquote(segment) == text
    assert segment not in {"", ".", ".."}
    assert not set(segment) & set("/?#%\\") - {"%"}
    assert segment.isascii()


@pytest.mark.parametrize(
    "text", ["", " ", "\u3000", ".", "..", "a\n", "a\x00b", "\x7f", "x" * 257, "\ud800"]
)
def test_text_that_is_no_segment_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="trunk_id"):
        path_segment("trunk_id", text)


@pytest.mark.parametrize("value", [None, 5, b"conn_1"])
def test_an_id_that_is_no_string_is_refused(value: object) -> None:
    with pytest.raises(UsageError, match="trunk_id must be a string"):
        path_segment("trunk_id", value)


@pytest.mark.parametrize(
    ("text", "segment"),
    [
        ("conn_abc123xyz", "conn_abc123xyz"),
        ("a/b", "a%2Fb"),
        ("a?b#c%", "a%3Fb%23c%25"),
        ("...", "..."),
        (256 * "x", 256 * "x"),
    ],
)
def test_a_segment_is_percent_encoded(text: str, segment: str) -> None:
    assert path_segment("trunk_id", text) == segment


class Known(str, Enum):  # noqa: UP042  # a StrEnum would format itself as its value
    SALES = "trunk_1"


class Word(str):
    """As some libraries have them: what it prints is not its text."""

    def __str__(self) -> str:
        return "Word"


@pytest.mark.parametrize("text", [Known.SALES, Word("trunk_1")])
def test_text_of_a_type_of_its_own_is_sent_as_the_text_that_it_is(text: str) -> None:
    assert f"/trunks/{path_segment('trunk_id', text)}" == "/trunks/trunk_1"
    [(_, value)] = query_of(trunk_id=text)
    assert type(value) is str
    assert value == "trunk_1"


class Size(Enum):
    SMALL = 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        (5, "5"),
        (True, "true"),
        (False, "false"),
        (TrunkStatus.ACTIVE, "active"),
        (Size.SMALL, "1"),
        (datetime(2026, 3, 1, tzinfo=UTC), "2026-03-01T00:00:00Z"),
    ],
)
def test_a_parameter_is_written_as_text(value: Any, text: str) -> None:
    assert query_of(name=value) == (("name", text),)


def test_a_parameter_that_is_none_is_left_out() -> None:
    assert query_of(a=None, b="x") == (("b", "x"),)


@pytest.mark.parametrize("value", [0.5, [], b"x", "\ud800", datetime(2026, 3, 1)])
def test_a_parameter_that_has_no_text_is_refused(value: Any) -> None:
    with pytest.raises(UsageError):
        query_of(name=value)


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8"), min_size=1), st.text(st.characters(codec="utf-8"))
        )
    )
)
def test_any_query_reads_back(pairs: list[tuple[str, str]]) -> None:
    assert parse_qsl(query_text(pairs), keep_blank_values=True) == pairs


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2024, 3, 10, 12, tzinfo=UTC), "2024-03-10T12:00:00Z"),
        (datetime(2024, 3, 10, 12, 0, 0, 5, tzinfo=UTC), "2024-03-10T12:00:00.000005Z"),
        (datetime(2024, 3, 10, 12, tzinfo=timezone(timedelta(hours=2))), "2024-03-10T10:00:00Z"),
    ],
)
def test_a_time_is_written_in_utc(moment: datetime, text: str) -> None:
    assert time_text(moment) == text


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2024, 3, 10, 12),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-5))),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=5))),
    ],
    ids=["naive", "too late in UTC", "too early in UTC"],
)
def test_a_time_that_has_no_text_in_utc_is_refused(moment: datetime) -> None:
    with pytest.raises(UsageError, match=r"time zone|calendar"):
        time_text(moment)


@pytest.mark.parametrize(
    "text",
    ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"],
)
def test_an_http_date_is_read_in_each_of_its_three_forms(text: str) -> None:
    assert http_date(text) == datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    "text",
    [
        "", "soon", "12", "Sun, 06 Nov 99999 08:49:37 GMT", "Sun, 99 Nov 1994 08:49:37 GMT",
        "Mon, 10 Mar 99999999999999 12:00:00 GMT", "Mon, 01 Jan 1000 00:00:00 GMT",
        "Wed, 31 Dec 1969 23:59:59 GMT", "Fri, 31 Dec 9999 23:59:59 -0100",
    ],
)  # fmt: skip
def test_what_is_no_http_date_counts_as_absent(text: str) -> None:
    assert http_date(text) is None
