"""The order of the sandbox's lists, and the largest offset that it serves."""

from typing import Any

import pytest

from telepath_async.sandbox import Sandbox

from .conftest import Start


def in_order(sandbox: Sandbox, order: str, path: str) -> list[str]:
    """Return the ids as the list should show them."""
    rows = sandbox.trunks if path == "/trunks" else sandbox.calls
    if order == "name":
        name = "name" if path == "/trunks" else "id"
        return sorted(rows, key=lambda row_id: rows[row_id][name])
    return list(rows) if order == "newest" else list(rows)[::-1]


@pytest.mark.parametrize("path", ["/trunks", "/calls"])
@pytest.mark.parametrize("order", ["newest", "oldest", "name"])
async def test_a_list_comes_in_the_order_that_was_asked_for(
    start: Start, order: Any, path: str
) -> None:
    offset = await start(style="offset", order=order, trunks=25, calls=60)
    pages = [(await offset.get(path, limit=7, offset=skip)).json for skip in range(0, 63, 7)]
    ids = [row["id"] for page in pages for row in page[path[1:]]]
    assert ids == in_order(offset.sandbox, order, path)
    cursor = await start(style="cursor", order=order, trunks=25, calls=60)
    ids = [row["id"] for row in await cursor.walk(path, limit=7)]
    assert ids == in_order(cursor.sandbox, order, path)


@pytest.mark.parametrize("order", ["newest", "oldest", "name"])
async def test_a_cursor_stays_where_it_is_when_its_row_is_removed(start: Start, order: Any) -> None:
    cursor = await start(style="cursor", order=order, trunks=9, calls=9)
    for path, remove in (
        ("/trunks", cursor.sandbox.remove_trunk),
        ("/calls", cursor.sandbox.remove_call),
    ):
        ids = in_order(cursor.sandbox, order, path)
        page = (await cursor.get(path, limit=3)).json
        remove(ids[2])
        rest = await cursor.walk(path, limit=3, cursor=page["next_cursor"])
        assert [row["id"] for row in rest] == ids[3:]


async def test_filters_keep_the_order(start: Start) -> None:
    offset = await start(style="offset", order="name", calls=60)
    trunk_id = next(iter(offset.sandbox.calls.values()))["trunk_id"]
    shown = (await offset.get("/calls", trunk_id=trunk_id, limit=100)).json["calls"]
    assert [call["trunk_id"] for call in shown] == [trunk_id] * len(shown)
    assert [call["id"] for call in shown] == sorted(call["id"] for call in shown)


async def test_a_sort_that_is_asked_for_goes_before_the_order(start: Start) -> None:
    offset = await start(style="offset", order="name")
    shown = (await offset.get("/trunks", sort="created_at", limit=100)).json["trunks"]
    assert [trunk["id"] for trunk in shown] == list(offset.sandbox.trunks)[::-1]


async def test_an_offset_above_the_largest_is_refused(start: Start) -> None:
    offset = await start(style="offset", calls=60, max_offset=40)
    assert (await offset.get("/calls", offset=40)).status == 200
    refused = await offset.get("/calls", offset=41)
    assert (refused.status, refused.code) == (400, "INVALID_PARAMS")


@pytest.mark.parametrize("options", [{"order": "random"}, {"max_offset": -1}])
def test_options_that_make_no_sense_are_refused(options: Any) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        Sandbox(**options)
