"""Lines and what they say: any cut of a journal reads as what had been written whole."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telepath_async import Secret, SipCredentials
from telepath_async.jobs.ledger import (
    DamagedLine,
    Entry,
    note,
    read_entries,
    write_line,
    write_lines,
)

texts = st.text(max_size=8)
moments = st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC))
secrets = st.builds(Secret, texts)
all_credentials = st.builds(
    SipCredentials,
    id=st.none() | texts,
    sip_username=st.none() | texts,
    sip_password=secrets,
    rotated_at=st.none() | moments,
    extra=st.just({}),
)


def entries_of(state: str) -> st.SearchStrategy[Entry]:
    return st.builds(
        Entry,
        state=st.just(state),
        trunk_id=st.sampled_from("abc"),
        at=moments,
        sip_username=st.none() | texts,
        account=st.none() | texts,
        credentials=all_credentials if state == "rotated" else st.none(),
        raw=st.none() | secrets,
    )


entries = st.sampled_from(["in doubt", "rotated", "finished", "untouched"]).flatmap(entries_of)


def damaged(content: bytes) -> DamagedLine:
    found, _ = read_entries(content)
    assert isinstance(found, DamagedLine)
    return found


def known(history: list[Entry]) -> dict[str, Entry]:
    latest: dict[str, Entry] = {}
    for entry in history:
        note(latest, entry)
    return latest


@given(st.lists(entries, max_size=6), st.data())
def test_a_journal_cut_anywhere_says_what_its_whole_lines_say(
    history: list[Entry], data: st.DataObject
) -> None:
    lines = [write_line(entry) for entry in history]
    content = b"".join(lines)
    cut = content[: data.draw(st.integers(0, len(content)))]
    whole = cut.count(b"\n")
    whole += lines[whole : whole + 1] == [
        cut[cut.rfind(b"\n") + 1 :] + b"\n"
    ]  # an editor may leave the last one out
    assert read_entries(cut) == (
        known(history[:whole]),
        min(len(cut), sum(map(len, lines[:whole]))),
    )


@given(st.lists(entries, max_size=6))
def test_a_compacted_journal_says_the_same_as_the_whole_one(history: list[Entry]) -> None:
    latest = known(history)
    compacted = write_lines(latest.values())
    assert read_entries(compacted) == (latest, len(compacted))


def test_no_secret_of_an_entry_shows_in_its_repr() -> None:
    credentials = SipCredentials(id="a", sip_username="u", sip_password=Secret("needle"))
    entry = Entry(
        state="rotated",
        trunk_id="a",
        at=datetime.now(UTC),
        credentials=credentials,
        raw=Secret("needle"),
    )
    assert "needle" not in repr(entry)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\0\0\0",
        b"not JSON",
        b"\xff",
        b"[" * 100_000,
        b"5",
        b"[]",
        b"{}",
        b'{"state":"lost","trunk_id":"a","at":"2026-01-01T00:00:00+00:00"}',
        b'{"state":["lost"],"trunk_id":"a","at":"2026-01-01T00:00:00+00:00"}',
        b'{"state":"finished","trunk_id":5,"at":"2026-01-01T00:00:00+00:00"}',
        b'{"state":"finished","trunk_id":"a","at":"yesterday"}',
        b'{"state":"finished","trunk_id":"a","at":5}',
        b'{"state":"rotated","trunk_id":"a","at":"2026-01-01T00:00:00+00:00"}',
        b'{"state":"rotated","trunk_id":"a","at":"2026-01-01T00:00:00+00:00","credentials":{"sip_password":"x"}}',
        b'{"state":"in doubt","trunk_id":"a","at":"2026-01-01T00:00:00+00:00","raw":5}',
    ],
)
def test_a_line_that_makes_no_sense_is_named_by_its_number(line: bytes) -> None:
    good = write_line(Entry(state="finished", trunk_id="a", at=datetime.now(UTC)))
    assert damaged(good + line + b"\n" + good).number == 2


def test_all_faults_of_a_line_are_named_and_no_value_is_shown() -> None:
    line = b'{"state":"needle","trunk_id":5,"at":"needle","raw":["needle"]}\n'
    assert damaged(line).why.split("; ") == [
        "$.state: expected one of 'in doubt', 'rotated', 'finished', 'untouched'",
        "$.trunk_id: expected str, got int",
        "$.at: expected an ISO 8601 time",
        "$.raw: expected str, got array",
    ]


def test_credentials_stand_in_a_rotated_line_alone() -> None:
    credentials = SipCredentials(sip_password=Secret("pw"))
    for state, kept in (("finished", credentials), ("rotated", None)):
        with pytest.raises(ValueError, match="credentials belong to the state 'rotated'"):
            Entry(state=state, trunk_id="a", at=datetime.now(UTC), credentials=kept)  # type: ignore[arg-type]


def test_what_a_later_version_adds_to_a_line_is_ignored() -> None:
    line = b'{"state":"finished","trunk_id":"a","at":"2026-01-01T00:00:00+00:00","more":1}\n'
    assert read_entries(line)[0] == {
        "a": Entry(state="finished", trunk_id="a", at=datetime(2026, 1, 1, tzinfo=UTC))
    }


@pytest.mark.parametrize(
    "content", [b"[{}]", b"7", b"not ours", b"{}", b"\xff", b'{"name": "x'], ids=str
)
def test_a_file_of_one_line_that_is_not_ours_makes_no_sense(content: bytes) -> None:
    assert damaged(content).number == 1


@pytest.mark.parametrize("content", [b"{", b'{"state":"rot', b"\0\0\0", b"  "], ids=str)
def test_the_beginning_of_a_line_of_ours_was_torn(content: bytes) -> None:
    assert read_entries(content) == ({}, 0)
