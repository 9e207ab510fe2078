"""The checks of arguments: what passes is returned, what does not is refused by name."""

from __future__ import annotations

import math
import pickle
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from telepath_async.checks import (
    check_function,
    check_headers,
    check_key,
    check_number,
    check_priority,
    check_seconds,
    check_time,
    check_time_range,
    check_timedelta,
    check_timeout,
    check_type,
    check_whole,
)
from telepath_async.errors import UsageError
from telepath_async.secret import Secret, SecretNumber

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
HUGE = 10**5000  # more digits than Python converts to text


@pytest.mark.parametrize(("value", "bounds"), [(1, ()), (0, (0,)), (5, (1, 5)), (-3, (-3, -3))])
def test_a_whole_number_within_its_bounds_is_returned(value: int, bounds: tuple[int, ...]) -> None:
    assert check_whole("n", value, *bounds) == value


@pytest.mark.parametrize("value", [0, 6, True, 1.0, "3", None, math.nan])
def test_what_is_no_whole_number_within_its_bounds_is_refused(value: object) -> None:
    with pytest.raises(UsageError) as refused:
        check_whole("n", value, 1, 5)
    assert str(refused.value) == f"n must be a whole number from 1 to 5, not {value!r}"


def test_a_whole_number_without_an_upper_bound_names_the_lower_one_alone() -> None:
    with pytest.raises(UsageError, match="n must be a whole number from 2, not 1"):
        check_whole("n", 1, 2)


@pytest.mark.parametrize(
    "check", [lambda: check_whole("n", HUGE, 1, 5), lambda: check_number("n", HUGE)]
)
def test_a_number_that_python_cannot_print_is_refused_like_any_other(check: Any) -> None:
    with pytest.raises(UsageError, match=r"n must be a .*, not a value of type int"):
        check()


def test_a_long_value_is_cut_in_the_message() -> None:
    with pytest.raises(UsageError) as refused:
        check_whole("n", "x" * 100_000)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    ("value", "options"),
    [(0, {}), (3, {}), (0.5, {"exclusive": True}), (7, {"most": 7}), (1, {"least": 1})],
)
def test_a_number_within_its_bounds_is_returned(value: float, options: dict[str, Any]) -> None:
    assert check_number("x", value, **options) == value


@pytest.mark.parametrize(
    "value", [-1, -0.1, math.nan, math.inf, -math.inf, "1", None, True, 10**400]
)
def test_what_is_no_number_within_its_bounds_is_refused(value: object) -> None:
    with pytest.raises(UsageError, match="x must be a number from 0, not "):
        check_number("x", value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"exclusive": True}, "wait must be a number of seconds above 0, not 0"),
        ({"least": 1, "most": 60}, "wait must be a number of seconds from 1 to 60, not 0"),
    ],
)
def test_seconds_out_of_bounds_are_refused_with_the_bounds(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        check_seconds("wait", 0, **options)


def test_a_timeout_is_above_zero_or_none() -> None:
    assert (check_timeout("t", None), check_timeout("t", 0.1)) == (None, 0.1)
    with pytest.raises(UsageError, match="t must be a number of seconds above 0, not 0"):
        check_timeout("t", 0)


@pytest.mark.parametrize("value", [timedelta(-1), 60, None])
def test_what_is_no_timedelta_from_0_is_refused(value: object) -> None:
    with pytest.raises(UsageError, match="window must be a timedelta from 0, not "):
        check_timedelta("window", value)


def test_a_timedelta_of_0_is_refused_where_it_must_be_above_0() -> None:
    assert check_timedelta("window", timedelta(0)) == timedelta(0)
    with pytest.raises(UsageError, match="above 0"):
        check_timedelta("window", timedelta(0), exclusive=True)


@pytest.mark.parametrize("value", [datetime(2026, 3, 10), "2026-03-10", None, 0])
def test_what_is_no_aware_time_is_refused_with_the_remedy(value: object) -> None:
    with pytest.raises(UsageError, match=r"at must be a datetime with a time zone.*datetime\.UTC"):
        check_time("at", value)


def test_a_time_that_the_calendar_in_utc_cannot_hold_is_refused() -> None:
    late = datetime.max.replace(tzinfo=timezone(timedelta(hours=-12)))
    with pytest.raises(UsageError, match=r"until \(9999.*\) lies outside the calendar in UTC"):
        check_time_range(None, late)


def test_a_range_is_open_where_it_is_none_and_may_be_one_moment() -> None:
    assert check_time_range(None, None) == (None, None)
    assert check_time_range(NOON, NOON) == (NOON, NOON)


def test_a_range_that_runs_backwards_is_refused() -> None:
    with pytest.raises(UsageError, match=r"since \(.*\) is later than until \(.*\); swap them"):
        check_time_range(NOON, NOON - timedelta(seconds=1))


def test_a_value_of_another_type_is_refused_without_its_value() -> None:
    assert check_type("n", 5, int) == 5
    with pytest.raises(UsageError, match=r"^n must be a int, not str$"):
        check_type("n", "needle", int)


def test_what_cannot_be_called_is_refused() -> None:
    assert check_function("f", print, "function") is print
    with pytest.raises(UsageError, match="f must be a function that takes x, not str"):
        check_function("f", "print", "function that takes x")


def test_a_priority_is_one_of_two() -> None:
    assert (check_priority("interactive"), check_priority("bulk")) == ("interactive", "bulk")
    with pytest.raises(UsageError, match="priority must be 'interactive' or 'bulk', not 'first'"):
        check_priority("first")


def test_a_key_loses_the_white_space_around_it() -> None:
    assert check_key("api_key", Secret(" sk_1\n")) == Secret("sk_1")


@pytest.mark.parametrize(
    "value",
    [
        None,
        "sk_1",
        SecretNumber(12345678),
        Secret(""),
        Secret("a b"),
        Secret("schlüssel"),
        pickle.loads(pickle.dumps(Secret("sk_1"))),
    ],
)
def test_what_is_no_key_is_refused_without_its_value(value: Any) -> None:
    with pytest.raises(UsageError, match="api_key") as refused:
        check_key("api_key", value)
    assert not any(text in str(refused.value) for text in ("sk_1", "12345678", "schlüssel"))


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ([], "headers must be a mapping of names to text, not list"),
        ({"": Secret("x")}, "it is not the name of a header"),
        ({5: Secret("x")}, "it is not the name of a header"),
        ({"X Y": Secret("x")}, "it is not the name of a header"),
        ({"Authorization": Secret("x")}, "it is set by the client"),
        ({"COOKIE": Secret("x")}, "it is set by the client"),
        ({"host": Secret("x")}, "it is set by the client"),
        ({"Transfer-Encoding": Secret("x")}, "it is set by the client"),
        ({"A\r\nB": Secret("x")}, "it is not the name of a header"),
        ({"X-A": Secret("é")}, "the header X-A must be printable ASCII text"),
        ({"X-A": Secret("needle\n")}, "the header X-A must be printable ASCII text"),
        ({"X-A": "needle"}, "the header X-A must be printable ASCII text"),
        ({"X-A": pickle.loads(pickle.dumps(Secret("x")))}, "the header X-A must be printable"),
    ],
)
def test_a_header_that_cannot_be_sent_is_refused_without_its_value(
    headers: object, message: str
) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        check_headers(headers)
    assert "needle" not in str(refused.value)


def test_a_header_beside_our_own_is_returned() -> None:
    assert check_headers({"X-A": Secret("b")}) == {"X-A": Secret("b")}
