"""JSON in and out: what is read, what is written, what is refused."""

from __future__ import annotations

import json
import math
import pickle
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import pytest
from multidict import CIMultiDict

from telepath_async.errors import ResponseError, UsageError
from telepath_async.models.numbers import Agent
from telepath_async.models.trunks import TrunkStatus
from telepath_async.protocol.body import drop_unset, model_fields, read_json, write_json
from telepath_async.protocol.messages import Response
from telepath_async.secret import Secret
from telepath_async.unset import UNSET


def answer(body: bytes, status: int = 200) -> Response:
    return Response(status=status, headers=CIMultiDict(), body=body, endpoint="GET /things")


class Size(Enum):
    SMALL = 1


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
    ],
    ids=["empty", "html", "not utf-8", "too deep", "nan", "huge integer", "huge float"],
)
def test_a_body_that_is_no_json_is_a_response_error_that_keeps_it_raw(body: bytes) -> None:
    with pytest.raises(ResponseError, match="GET /things answered 201") as caught:
        read_json(answer(body, 201))
    assert (caught.value.status, caught.value.raw) == (201, body)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("body", [b"<!DOCTYPE html><title>Sign in</title>", b"\r\n <html>"])
def test_a_web_page_in_place_of_an_answer_is_named_as_one(body: bytes) -> None:
    with pytest.raises(ResponseError, match=r"it is a web page.*a wrong base_url\)"):
        read_json(answer(body))


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


def test_drop_unset_keeps_none_and_drops_unset() -> None:
    assert drop_unset(a=UNSET, b=None, c=0) == {"b": None, "c": 0}
