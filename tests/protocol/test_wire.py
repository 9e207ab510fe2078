"""The text that crosses the wire: paths, queries, times, JSON, and which secrets are in it."""

from __future__ import annotations

import json
import math
import pickle
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from typing import Any
from urllib.parse import parse_qsl, unquote

import pytest
from hypothesis import given as given_any
from hypothesis import strategies as st
from multidict import CIMultiDict

from telepath_async.errors import ResponseError, UsageError
from telepath_async.models.numbers import AccountConnection, Agent
from telepath_async.models.trunks import TrunkStatus
from telepath_async.protocol.wire import (
    Request,
    Response,
    given,
    http_date,
    model_fields,
    path_segment,
    query_of,
    query_text,
    read_json,
    secrets_in,
    time_text,
    write_json,
)
from telepath_async.secret import Secret
from telepath_async.unset import UNSET


def answer(body: bytes, status: int = 200) -> Response:
    return Response(status=status, headers=CIMultiDict(), body=body, endpoint="GET /things")


def request(**fields: Any) -> Request:
    return Request(**{"method": "GET", "path": "/calls/a%20b", "template": "/calls/{id}", **fields})


def test_the_target_is_path_and_query_encoded() -> None:
    target = request(query=(("phone number", "+1 5"), ("x", "ü&="))).target
    assert target == "/calls/a%20b?phone%20number=%2B1%205&x=%C3%BC%26%3D"


def test_the_target_without_a_query_has_no_question_mark() -> None:
    assert request().target == "/calls/a%20b"


def test_the_endpoint_names_the_template_and_no_id() -> None:
    assert request().endpoint == "GET /calls/{id}"


def test_the_repr_of_a_request_shows_no_path_query_body_or_secret() -> None:
    shown = repr(
        request(
            query=(("q", "needle"),), body=b"needle", path="/needle", secrets=(Secret("needle"),)
        )
    )
    assert "needle" not in shown


def test_the_repr_of_a_response_shows_no_headers_or_body() -> None:
    assert "needle" not in repr(
        Response(status=200, headers={"X": "needle"}, body=b"needle", endpoint="GET /x")
    )


def test_the_request_id_is_found_in_any_case() -> None:
    response = Response(
        status=200, headers=CIMultiDict({"x-request-ID": "req_1"}), body=b"", endpoint="GET /x"
    )
    assert response.request_id == "req_1"


def test_a_response_reads_its_own_json() -> None:
    assert answer(b'{"a": [1]}').json() == {"a": [1]}


@given_any(st.text())
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


@given_any(
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
    "text", ["", "soon", "12", "Sun, 06 Nov 99999 08:49:37 GMT", "Sun, 99 Nov 1994 08:49:37 GMT"]
)
def test_what_is_no_http_date_counts_as_absent(text: str) -> None:
    assert http_date(text) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b'"\xff"',
        b"[" * 100_000,
        b'{"a": NaN}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b"1e999",
        b'"\\ud800"',
    ],
    ids=[
        "empty",
        "html",
        "not utf-8",
        "too deep",
        "nan",
        "huge integer",
        "huge float",
        "half a character",
    ],
)
def test_a_body_that_is_no_json_is_a_response_error_that_keeps_it_raw(body: bytes) -> None:
    with pytest.raises(ResponseError, match="GET /things answered 201") as caught:
        read_json(answer(body, 201))
    assert (caught.value.status, caught.value.raw) == (201, body)
    assert caught.value.__context__ is None


class Word(str):
    __slots__ = ()


class Figure(float):
    __slots__ = ()


class Count(int):
    pass


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, None),
        (True, True),
        (7, 7),
        (1.5, 1.5),
        (2**70, 2**70),
        ("ü", "ü"),
        (Secret("s3cur3P@ssw0rd!"), "s3cur3P@ssw0rd!"),
        (TrunkStatus.ACTIVE, "active"),
        (Size.SMALL, 1),
        (datetime(2024, 3, 10, 12, tzinfo=UTC), "2024-03-10T12:00:00Z"),
        ((1, [Secret("x")]), [1, ["x"]]),
        ({"a": {"b": Secret("x")}}, {"a": {"b": "x"}}),
        (Agent(name="A", extra={"new": 1}), {"name": "A", "new": 1}),
        (Word("a"), "a"),
        (Figure(1.5), 1.5),
        (Count(4), 4),
        ({Word("k"): 1}, {"k": 1}),
    ],
)
def test_a_body_is_written_as_json(value: object, written: object) -> None:
    assert json.loads(write_json({"value": value})) == {"value": written}


holds_itself: list[Any] = []
holds_itself.append(holds_itself)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (object(), "an object of type object"),
        (b"bytes", "an object of type bytes"),
        ({1, 2}, "an object of type set"),
        (math.nan, "nan"),
        (math.inf, "inf"),
        ({1: "x"}, "a key of type int"),
        (holds_itself, "nested too deeply"),
        ("\ud800", "half a character"),
        (10**5000, "digits"),
        (datetime(2024, 3, 10), "time zone"),
        (pickle.loads(pickle.dumps(Secret("x"))), "pickle"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isascii() else "",
)
def test_a_body_that_json_cannot_hold_is_refused(value: object, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        write_json({"value": value})


def test_a_body_that_cannot_be_sent_is_refused_without_its_values() -> None:
    with pytest.raises(UsageError) as caught:
        write_json({"openai_api_key": "sk-needle", "value": object()})
    assert "needle" not in str(caught.value)


def test_what_a_model_does_not_say_stays_out_and_its_extra_goes_in() -> None:
    assert model_fields(Agent(name="A", extra={"new": 1})) == {"name": "A", "new": 1}


def test_given_keeps_none_and_drops_unset() -> None:
    assert given(a=UNSET, b=None, c=0) == {"b": None, "c": 0}


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (None, []),
        ({"a": "plain", "b": 5, "max_tokens": "5"}, []),
        ({"sip_password": Secret("x"), "list": [{"deep": (Secret("y"),)}]}, ["x", "y"]),
        ({"azure_api_key": "x", "vad": {"authToken": "y"}}, ["x", "y"]),
        ({"credentials": {"account": "x", "numbers": ["y", 5, None]}}, ["x", "y"]),
        (
            {
                "inbound_agent": Agent(
                    openai_account_connection=AccountConnection(credentials={"account": "x"})
                )
            },
            ["x"],
        ),
    ],
)
def test_every_secret_of_a_body_is_found_also_the_plain_text_behind_a_credentials_name(
    body: object, found: list[str]
) -> None:
    assert [secret.reveal() for secret in secrets_in(body)] == found
