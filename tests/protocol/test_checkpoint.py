"""What a checkpoint is written as, and which texts are refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telepath_async.errors import UsageError
from telepath_async.protocol.checkpoint import Checkpoint, read_checkpoints

_text = st.text(st.characters(exclude_categories=["Cs"]))
_count = st.integers(0, 2**62)
_checkpoints = st.builds(
    Checkpoint,
    of=st.just("calls"),
    filters=st.dictionaries(_text, _text),
    style=st.sampled_from(["offset", "cursor", None]),
    at=_count,
    total=st.none() | _count,
    cursor=st.none() | _text,
    last=st.none() | _text,
    unsure=st.booleans(),
    done=st.booleans(),
)


def read(text: object, **filters: str) -> Checkpoint:
    (checkpoint,) = read_checkpoints(text, of="calls", filters=filters)
    return checkpoint


@given(_checkpoints)
def test_a_checkpoint_comes_back_as_it_was(checkpoint: Checkpoint) -> None:
    assert read(checkpoint.text()) == checkpoint


def test_a_checkpoint_is_short() -> None:
    start = Checkpoint(of="calls", filters={})
    assert start.text() == '{"v":1,"of":"calls"}'
    place = Checkpoint(
        of="calls", filters={"status": "failed"}, style="offset", at=7, total=9, last="c7"
    )
    assert json.loads(place.text()) == {
        "v": 1, "of": "calls", "filters": {"status": "failed"}, "style": "offset", "at": 7,
        "total": 9, "last": "c7",
    }  # fmt: skip


def test_filters_left_out_are_taken_from_the_checkpoint() -> None:
    text = Checkpoint(of="calls", filters={"status": "failed", "trunk_id": "t1"}).text()
    assert (
        read(text).filters
        == read(text, status="failed").filters
        == {"status": "failed", "trunk_id": "t1"}
    )


@pytest.mark.parametrize("given_filters", [{"status": "completed"}, {"direction": "inbound"}])
def test_a_filter_that_differs_is_refused_by_name(given_filters: dict[str, str]) -> None:
    text = Checkpoint(of="calls", filters={"status": "failed"}).text()
    with pytest.raises(UsageError, match=f"filters differ in {next(iter(given_filters))}"):
        read(text, **given_filters)


def test_a_checkpoint_of_another_list_is_refused() -> None:
    with pytest.raises(UsageError, match="belongs to the list of 'trunks', not of 'calls'"):
        read(Checkpoint(of="trunks", filters={}).text())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "conn_abc",
        "[]",
        "{}",
        "null",
        '{"v":2,"of":"calls"}',
        '{"v":1}',
        '{"v":1,"of":"calls","at":-1}',
        '{"v":1,"of":"calls","total":-1}',
        '{"v":1,"of":"calls","at":"7"}',
        '{"v":1,"of":"calls","at":1e999}',
        '{"v":1,"of":"calls","style":"pages"}',
        '{"v":1,"of":"calls","filters":{"status":null}}',
        '{"v":1,"of":"calls","surprise":1}',
        '{"v":1,"of":"calls"',
        "[" * 100_000,
        "\ud800",
        r'{"v":1,"of":"calls","last":"\ud800"}',
    ],
)
def test_a_text_that_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(
        UsageError,
        match=r"resume cannot be used: .+; pass the checkpoint that a list gave, unchanged",
    ):
        read(text)


@pytest.mark.parametrize("value", [None, 7, b"{}", {"v": 1}])
def test_a_value_that_is_no_text_is_refused(value: Any) -> None:
    with pytest.raises(UsageError, match="expected a string"):
        read(value)


def test_the_checkpoints_of_shards_are_read_together() -> None:
    shards = [Checkpoint(of="calls", at=at) for at in (1, 2)]
    text = f"[{','.join(shard.text() for shard in shards)}]"
    assert read_checkpoints(text, of="calls", filters={}) == shards


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_any_text_is_a_checkpoint_or_refused(text: str) -> None:
    with pytest.raises(UsageError):
        read(text)
