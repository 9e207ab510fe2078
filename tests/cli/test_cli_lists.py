"""Test `telepath trunks list` and `telepath calls list`: NDJSON, tables, and resuming."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from telepath_async import Secret
from telepath_async.cli import listing, shell
from telepath_async.cli.exits import FAILED, OK, PARTLY, USAGE
from telepath_async.cli.output import shown_text
from telepath_async.sandbox import Sandbox
from tests.cli.conftest import Telepath, checkpoint_in, full_disk, served


def test_every_call_is_a_line_of_json_in_both_styles(
    run: Telepath, at: Callable[[Sandbox], None], style: str
) -> None:
    with served(style=style, trunks=2, calls=250) as sandbox:
        at(sandbox)
        listed = run("calls", "list")
        assert (listed.code, listed.err) == (OK, "")
        assert [line["id"] for line in listed.lines] == list(sandbox.calls)


def test_a_line_has_the_fields_of_the_model_in_their_order(
    telepath: Telepath, sandbox: Sandbox
) -> None:
    sandbox.add_call(
        id="call_mine", from_number="+15550001", start_time="2026-11-01T10:00:00Z", color="blue"
    )
    (line,) = telepath(
        "calls", "list", "--until", "2026-11-01T10:00:00Z", "--since", "2026-11-01T10:00:00Z"
    ).lines
    assert list(line)[:4] == ["id", "trunk_id", "from_number", "to_number"]
    assert line["from_number"] == "+15550001"
    assert line["start_time"] == "2026-11-01T10:00:00Z"
    assert line["extra"] == {"color": "blue"}


def test_filters_reach_the_server(telepath: Telepath, sandbox: Sandbox) -> None:
    found = telepath(
        "calls", "list", "--status", "connected", "--direction", "inbound", "--since", "7d"
    ).lines
    week_ago = datetime.now(UTC) - timedelta(days=7)
    assert found
    assert {(line["status"], line["direction"]) for line in found} == {("connected", "inbound")}
    assert all(datetime.fromisoformat(line["start_time"]) >= week_ago for line in found)


def test_max_items_bounds_the_list(telepath: Telepath, sandbox: Sandbox) -> None:
    assert len(telepath("calls", "list", "--max-items", 7).lines) == 7
    assert telepath("calls", "list", "--max-items", 0).out == ""


def test_a_table_shows_the_beginning_and_says_that_there_is_more(telepath: Telepath) -> None:
    shown = telepath("calls", "list", "--table")
    assert shown.code == OK
    assert len(shown.out.splitlines()) == 51
    assert "50 calls are shown, and there are more" in shown.err
    assert len(telepath("calls", "list", "--table", "--max-items", 3).out.splitlines()) == 4
    everything = telepath("calls", "list", "--table", "--all")
    assert len(everything.out.splitlines()) == 251
    assert everything.err == ""


def test_a_narrow_terminal_gets_fewer_columns_and_whole_values(
    telepath: Telepath, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = telepath("calls", "list", "--table", "--max-items", 2)
    assert "gateway" in shown.out
    assert "direction" not in shown.out
    assert "columns left out for want of room: 4" in shown.err
    assert max(map(len, shown.out.splitlines())) <= 80


def test_one_long_name_costs_a_narrow_table_no_other_column(
    telepath: Telepath, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    telepath("trunks", "update", next(iter(sandbox.trunks)), "--name", "N" * 100)
    shown = telepath("trunks", "list", "--table")
    assert set(sandbox.trunks) <= set(shown.out.split())
    assert shown.out.count("N" * 40) == 2
    monkeypatch.setenv("COLUMNS", "300")
    assert "N" * 100 in telepath("trunks", "list", "--table").out


def test_an_empty_list_is_no_line_of_json_and_a_header_as_a_table(telepath: Telepath) -> None:
    nothing = ("calls", "list", "--trunk-id", "conn_none")
    assert telepath(*nothing).out == ""
    table = telepath(*nothing, "--table")
    assert (table.code, table.out.split()[0]) == (OK, "started")
    assert "note: there are no such calls" in table.err


def test_trunks_are_listed(telepath: Telepath, sandbox: Sandbox) -> None:
    assert [line["id"] for line in telepath("trunks", "list").lines] == list(sandbox.trunks)
    shown = telepath("trunks", "list", "--table")
    assert all(trunk["name"] in shown.out for trunk in sandbox.trunks.values())


def test_what_a_server_sends_cannot_move_the_cursor_or_colour_the_terminal(
    telepath: Telepath, sandbox: Sandbox
) -> None:
    sandbox.add_trunk(name="\x1b[2J[red]evil\x07\n")
    shown = telepath("trunks", "list", "--table").out
    assert "·[2J[red]evil··" in shown
    assert "\x1b" not in shown


def cut_the_next_list_off(sandbox: Sandbox) -> None:
    """Let its first page pass, and refuse one of those behind it."""
    sandbox.fail_next(delay=0.01, path="/calls")
    sandbox.fail_next(status=400, path="/calls")


def test_a_list_that_fails_says_how_to_go_on_and_going_on_gives_the_rest(
    telepath: Telepath, sandbox: Sandbox
) -> None:
    cut_the_next_list_off(sandbox)
    cut = telepath("calls", "list")
    assert cut.code == FAILED
    assert "error: the server refused offset" in cut.err
    assert f"{len(cut.lines)} calls were printed" in cut.err
    checkpoint = checkpoint_in(cut.err)
    rest = telepath("calls", "list", "--resume", checkpoint)
    assert rest.code == OK
    assert cut.lines
    assert rest.lines
    assert [line["id"] for line in cut.lines + rest.lines] == list(sandbox.calls)


def test_a_table_that_is_cut_off_shows_what_it_has(telepath: Telepath, sandbox: Sandbox) -> None:
    cut_the_next_list_off(sandbox)
    cut = telepath("calls", "list", "--table", "--all")
    assert cut.code == FAILED
    assert len(cut.out.splitlines()) > 50
    assert "--resume" in cut.err


def test_what_could_not_be_written_is_not_before_the_checkpoint(
    telepath: Telepath, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []

    def one_page(values: list[Any], **options: Any) -> None:
        if written:
            full_disk()
        written.extend(values)

    monkeypatch.setattr(shell, "write_ndjson", one_page)
    cut = telepath("calls", "list")
    monkeypatch.undo()
    assert cut.code == FAILED
    assert "No space left on device" in cut.err
    checkpoint = json.loads(checkpoint_in(cut.err))
    assert checkpoint["last"] == written[-1].id


def test_of_a_table_that_could_not_be_printed_no_row_is_before_the_checkpoint(
    telepath: Telepath, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "render_rows", full_disk)
    cut = telepath("calls", "list", "--table", "--all")
    assert cut.code == FAILED
    assert "0 calls were printed" in cut.err
    checkpoint = json.loads(checkpoint_in(cut.err))
    assert "last" not in checkpoint


def test_a_checkpoint_of_another_list_is_refused(telepath: Telepath) -> None:
    refused = telepath(
        "calls", "list", "--resume", json.dumps({"v": 1, "of": "trunks", "filters": {}})
    )
    assert refused.code == USAGE


def test_rows_that_may_be_missing_give_the_exit_code(
    telepath: Telepath, monkeypatch: pytest.MonkeyPatch
) -> None:
    from telepath_async import Drift, Paginator

    monkeypatch.setattr(Paginator, "drift", property(lambda self: Drift(uncertain=3)))
    listed = telepath("calls", "list")
    assert listed.code == PARTLY
    assert "3 calls may be missing" in listed.err


def test_a_secret_in_a_table_is_masked_unless_it_is_asked_for() -> None:
    assert shown_text(Secret("s3cur3")) == "**********"
    assert shown_text({"sip_password": Secret("s3cur3")}) == '{"sip_password":"**********"}'
    assert shown_text(Secret("s3cur3"), show_secrets=True) == "s3cur3"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5))), "0001-01-01 00:00:00+05:00"),
        (10**30, f"{10**30:,}"),
        (10**400, f"{10**400:,}"),
        (1234.56, "1,234.6"),
    ],
    ids=["outside the calendar in UTC", "31 digits", "401 digits", "a fraction"],
)
def test_a_table_shows_also_what_neither_utc_nor_a_float_can_hold(
    value: object, shown: str
) -> None:
    assert shown_text(value) == shown
