"""Test the tree of errors: its docstring draws it, pickles carry it, no secret is in it."""

from __future__ import annotations

import copy
import pickle
import re
from typing import Any

import pytest

from telepath_async import errors
from telepath_async.errors import (
    APIError,
    ClientClosedError,
    ConnectionFailed,
    ConnectionLost,
    OutcomeUnknown,
    PagingError,
    RequestTimeout,
    ResponseError,
    ServerError,
    TelepathError,
    ThrottledError,
    UsageError,
)

EXAMPLES = [
    TelepathError("why"),
    UsageError("why"),
    ClientClosedError("why", sent=True),
    ConnectionFailed("why"),
    ConnectionLost("why"),
    RequestTimeout("why", sent=True),
    OutcomeUnknown("why", operation="create trunk", subject="agent-01"),
    ThrottledError("why", retry_after=1.5),
    ResponseError("why", status=200, raw=b"needle"),
    PagingError("why"),
    APIError("why", status=418),
    ServerError(
        "why",
        status=500,
        code="oops",
        request_id="req_1",
        headers={"X": "1"},
        retry_after=2.0,
        hint="do this",
    ),
]


def drawn_tree() -> dict[str, str]:
    """Return child -> parent of the drawing in the docstring."""
    assert errors.__doc__ is not None
    parents: dict[str, str] = {}
    line_of_descent = ["TelepathError"]
    for indent, name in re.findall(r"^([│ ]*[├└]── )(\w+)", errors.__doc__, re.MULTILINE):
        depth = len(indent) // 4
        line_of_descent[depth:] = [name]
        parents[name] = line_of_descent[depth - 1]
    return parents


def real_tree() -> dict[str, str]:
    classes = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, TelepathError)
    ]
    return {
        kind.__name__: kind.__bases__[0].__name__ for kind in classes if kind is not TelepathError
    }


def test_the_tree_is_the_one_that_is_drawn() -> None:
    assert real_tree() == drawn_tree()


@pytest.mark.parametrize(
    ("kind", "other"), [(UsageError, ValueError), (RequestTimeout, TimeoutError)]
)
def test_an_error_is_caught_under_the_builtin_name_that_people_expect(
    kind: type, other: type
) -> None:
    assert issubclass(kind, other)


def test_a_client_that_is_closed_is_not_a_bad_value() -> None:
    assert not issubclass(ClientClosedError, ValueError)
    assert ClientClosedError("why").sent is False


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    "travel", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))]
)
def test_an_error_travels_with_all_but_its_raw_bytes(error: TelepathError, travel: Any) -> None:
    arrived = travel(error)
    assert type(arrived) is type(error)
    assert str(arrived) == str(error)
    assert vars(arrived) == {
        name: b"" if name == "raw" else value for name, value in vars(error).items()
    }


def test_notes_travel_too() -> None:
    error = UsageError("why")
    error.add_note("while creating agent-01")
    assert pickle.loads(pickle.dumps(error)).__notes__ == ["while creating agent-01"]


def test_raw_bytes_are_there_to_look_at_and_shown_nowhere() -> None:
    error = ResponseError("why", status=200, raw=b"needle")
    assert error.raw == b"needle"
    assert "needle" not in f"{error} {error!r}"
    assert b"needle" not in pickle.dumps(error)


@pytest.mark.parametrize(
    ("error", "sent"),
    [(ConnectionFailed("why"), False), (ConnectionLost("why"), True), (EXAMPLES[5], True)],
)
def test_a_transport_error_says_whether_the_request_may_have_arrived(
    error: ConnectionLost, sent: bool
) -> None:
    assert error.sent is sent


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (APIError("why", status=418), "418: why"),
        (APIError("why", status=400, code="bad"), "400 bad: why"),
        (APIError("why", status=400, request_id="req_1"), "400: why [request req_1]"),
        (EXAMPLES[-1], "500 oops: why [request req_1]; do this"),
    ],
)
def test_a_refusal_is_one_line_with_status_code_words_request_and_remedy(
    error: APIError, text: str
) -> None:
    assert str(error) == text


def test_the_headers_of_a_refusal_are_a_copy() -> None:
    headers = {"X": "1"}
    error = APIError("why", status=400, headers=headers)
    headers["X"] = "2"
    assert error.headers == {"X": "1"}
