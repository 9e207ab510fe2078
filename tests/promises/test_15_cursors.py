"""Promise 15: end every cursor list, and complete it.

A server that goes in circles is an error, one that has more is asked for it.

The rules one by one, and a machine that changes the list: `tests/protocol/test_paging_cursors.py`,
`test_paging_machine.py`. Here, end to end.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telepath_async import PagingError, TelepathClient, TelepathError
from tests.support.hostile import Hostile, Received, Step, answering, reply
from tests.support.operations import client_at

PREFETCH = pytest.mark.parametrize("prefetch", [0, 8])


def cursor_of(request: Received) -> str | None:
    return parse_qs(urlsplit(request.target).query, keep_blank_values=True).get("cursor", [None])[0]


def serving(page: Callable[[str | None], dict[str, Any]]) -> Step:
    return answering(lambda request: reply(200, json.dumps(page(cursor_of(request))).encode()))


def rows(*ids: object) -> list[dict[str, str]]:
    return [{"id": str(row)} for row in ids]


async def walk(
    client: TelepathClient, prefetch: int, **options: Any
) -> tuple[list[str], TelepathError | None]:
    got: list[str] = []
    try:
        async for call in client.calls.list(prefetch=prefetch, **options):
            got.append(call.id)
            assert len(got) < 1000, "this never ends"
    except TelepathError as error:
        return got, error
    return got, None


@PREFETCH
@pytest.mark.parametrize("circle", ["A", "ABC"])
@pytest.mark.parametrize("has_more", [True, None])
async def test_cursors_in_a_circle_are_an_error_as_soon_as_one_comes_again(
    circle: str, has_more: bool | None, prefetch: int
) -> None:
    following = dict(zip(circle, circle[1:] + circle[0], strict=True)) | {None: circle[0]}
    numbers = itertools.count()

    def page(cursor: str | None) -> dict[str, Any]:
        return {"data": rows(next(numbers)), "next_cursor": following[cursor]} | (
            {} if has_more is None else {"has_more": has_more}
        )

    async with Hostile([serving(page)]) as server, client_at(server) as client:
        got, error = await walk(client, prefetch)
    assert isinstance(error, PagingError)
    assert len(server.requests) == len(circle) + 1
    assert got == [str(number) for number in range(len(circle))]


LAST: dict[str, tuple[dict[str, Any], bool]] = {
    "null": ({"next_cursor": None}, True),
    "null, but more": ({"next_cursor": None, "has_more": True}, False),
    "an object": ({"next_cursor": {"after": "b"}}, False),
    "neither key": ({}, True),
    "an offset's facts": ({"pagination": {"total": 2, "limit": 1, "offset": 1}}, False),
}


@PREFETCH
@pytest.mark.parametrize("last", LAST)
async def test_a_last_page_that_contradicts_its_being_the_last_is_an_error(
    last: str, prefetch: int
) -> None:
    said, good = LAST[last]

    def page(cursor: str | None) -> dict[str, Any]:
        return (
            {"data": rows("b"), **said}
            if cursor
            else {"data": rows("a"), "next_cursor": "A", "has_more": True}
        )

    async with Hostile([serving(page)]) as server, client_at(server) as client:
        got, error = await walk(client, prefetch)
    assert (error is None) is good
    assert got == (["a", "b"] if good else ["a"])


@settings(max_examples=60)
@given(
    sizes=st.lists(st.integers(0, 4), min_size=1, max_size=8),
    cursors=st.lists(st.text(min_size=1, max_size=6), min_size=8, max_size=8, unique=True),
    prefetch=st.sampled_from([0, 1, 8]),
    stop=st.integers(0, 20),
)
def test_any_pages_under_any_cursors_come_whole_and_resume_anywhere(
    sizes: list[int], cursors: list[str], prefetch: int, stop: int
) -> None:
    places: dict[str | None, int] = {None: 0} | {
        cursor: number for number, cursor in enumerate(cursors[1:], 1)
    }
    ids = [f"{number}.{row}" for number, size in enumerate(sizes) for row in range(size)]

    def page(cursor: str | None) -> dict[str, Any]:
        number = places[cursor]
        more = number + 1 < len(sizes)
        return {
            "data": rows(*(f"{number}.{row}" for row in range(sizes[number]))),
            "next_cursor": cursors[number + 1] if more else None,
            "has_more": more,
        }

    async def run() -> None:
        async with Hostile([serving(page)]) as server, client_at(server) as client:
            got, error = await walk(client, prefetch)
            assert (got, error) == (ids, None)
            calls = client.calls.list(prefetch=prefetch, max_items=stop)
            begun = [call.id async for call in calls]
            rest, error = await walk(client, prefetch, resume=calls.checkpoint)
            assert (begun + rest, error) == (ids, None)

    asyncio.run(run())
