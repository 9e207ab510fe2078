"""Nothing that a server sends drives the terminal of whoever typed the command."""

from __future__ import annotations

import io
import json
import os
import pty
import select
from pathlib import Path

import pytest

from telepath_async.cli.output import escaped_json, write_text
from telepath_async.sandbox import Sandbox
from tests.cli.conftest import Telepath
from tests.cli.processes import started
from tests.support.terminals import HOSTILE, is_harmless


# OSC and CSI by ESC and by C1, BEL, DEL, NEL, line separators, and what turns a text around.
def hostile_page(sandbox: Sandbox) -> None:
    """Answer the next list with a trunk of a hostile name and a hostile field."""
    trunk = {"id": "conn_1", "name": f"a{HOSTILE}b\nerror: c", f"other{HOSTILE}": HOSTILE}
    paging = {"limit": 100, "offset": 0, "total": 1}
    sandbox.fail_next(status=200, body=json.dumps({"trunks": [trunk], "pagination": paging}))


@pytest.mark.parametrize("form", ["--json", "--table"])
def test_a_hostile_name_drives_no_terminal_in_any_form(
    telepath: Telepath, sandbox: Sandbox, form: str
) -> None:
    hostile_page(sandbox)
    ended = telepath("trunks", "list", form)
    assert (ended.code, ended.err) == (0, "")
    assert "conn_1" in ended.out
    assert is_harmless(ended.out)
    if form == "--json":
        assert ended.lines[0]["name"] == f"a{HOSTILE}b\nerror: c"
        assert ended.lines[0]["extra"] == {f"other{HOSTILE}": HOSTILE}


def test_what_is_not_ascii_and_harmless_stays_as_it_is() -> None:
    line = json.dumps({"name": "Zoë 東京 😀"}, ensure_ascii=False).encode()
    assert escaped_json(line) == line


@pytest.mark.parametrize("character", ["\x7f", "\x80", "\x9b", "\u202e", "\U000e0001", "\u00a0"])
def test_an_escape_in_json_means_the_same(character: str) -> None:
    line = json.dumps({character: [character]}, ensure_ascii=False).encode()
    assert is_harmless(escaped_json(line).decode())
    assert json.loads(escaped_json(line)) == {character: [character]}


def test_text_for_people_keeps_its_lines_and_its_tabs_as_spaces() -> None:
    stream = io.StringIO()
    write_text(stream, f"one\ttwo\n  {HOSTILE}\n")
    assert stream.getvalue().startswith("one     two\n  ·]0;owned··[2J")
    assert stream.getvalue().endswith("\n\n")
    assert is_harmless(stream.getvalue())


def test_text_for_people_that_a_full_disk_does_not_take_is_lost_without_a_word() -> None:
    with Path("/dev/full").open("w") as stream:
        write_text(stream, "one")
        write_text(stream, "two")


def test_a_hostile_error_is_one_clean_line_and_so_is_its_traceback(
    telepath: Telepath, sandbox: Sandbox
) -> None:
    body = json.dumps({"error": {"code": "x", "message": f"no{HOSTILE}\nerror: forged"}})
    for debug in ([], ["--debug"]):
        sandbox.fail_next(status=400, body=body)
        ended = telepath("trunks", "list", *debug)
        assert ended.code == 1
        assert is_harmless(ended.err)
        assert sum(line.startswith("error: ") for line in ended.err.splitlines()) == 1


def test_what_a_command_of_the_user_prints_is_clean_too(
    telepath: Telepath, sandbox: Sandbox, tmp_path: Path
) -> None:
    script = tmp_path / "tell-carrier"
    script.write_text("#!/bin/sh\ncat > /dev/null\nprintf 'applied\\n\\033[2J\\n'\n")
    script.chmod(0o755)
    ended = telepath(
        "jobs", "rotate", next(iter(sandbox.trunks)), "--journal", tmp_path / "journal",
        "--apply", str(script),
    )  # fmt: skip
    assert ended.code == 0
    assert "applied\n·[2J\n" in ended.err
    assert is_harmless(ended.err)


def test_json_on_a_real_terminal_holds_no_control_but_its_line_ends(sandbox: Sandbox) -> None:
    hostile_page(sandbox)
    parent, child = pty.openpty()
    with started(sandbox, "trunks", "list", "--json", stdout=child) as process:
        os.close(child)
        written = b""
        while select.select([parent], [], [], 30)[0]:
            try:
                written += os.read(parent, 65_536)
            except OSError:  # the other end is closed
                break
        assert process.wait(30) == 0
    os.close(parent)
    assert is_harmless(written.decode().replace("\r\n", "\n"))
    assert HOSTILE in json.loads(written)["name"]
