"""Test that every command has help with an example, and that start-up is light.

Its options and its exit codes are documented too.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from telepath_async.cli import exits
from telepath_async.cli.app import app
from telepath_async.cli.output import json_line
from tests.cli.conftest import Telepath


def paths(command: Any, path: str = "") -> list[str]:
    """Every command below, by the words that call it."""
    below = getattr(command, "commands", {})
    return [found for name in below for found in paths(below[name], f"{path} {name}")] or [path]


COMMANDS = [path.strip() for path in paths(typer.main.get_command(app))]
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(run: Telepath, command: str) -> None:
    helped = run(*command.split(), "--help")
    assert helped.code == exits.OK
    assert re.search(rf"Examples:\s+(\S+=\S+ )*telepath {command}", helped.out)


def test_no_command_takes_a_secret_as_an_argument(run: Telepath) -> None:
    for command in COMMANDS:
        for option in re.findall(
            r"--[a-z-]*(?:password|api-key)[a-z-]*", run(*command.split(), "--help").out
        ):
            assert (
                option.endswith("-file") or option.startswith("--set-") or command == "sandbox"
            ), (command, option)


def test_the_exit_codes_of_help_are_those_of_the_code(run: Telepath) -> None:
    helped = " ".join(run("-h").out.split())
    for code, meaning in exits.MEANINGS.items():
        assert f"{code} {meaning}" in helped


@pytest.mark.parametrize("columns", [60, 80, 100])
@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_a_narrow_terminal_and_cuts_no_option(
    run: Telepath, monkeypatch: pytest.MonkeyPatch, command: str, columns: int
) -> None:
    wide = run(*command.split(), "-h").out
    monkeypatch.setenv("COLUMNS", str(columns))
    narrow = run(*command.split(), "-h").out
    assert set(re.findall(r"--[a-z-]+", wide)) == set(re.findall(r"--[a-z-]+", narrow))
    assert not re.search(r"[a-z-]…", narrow.partition("Examples:")[0])
    assert max(map(len, narrow.partition("Examples:")[0].splitlines())) <= columns


def test_what_has_no_form_in_json_is_a_fault_of_ours_and_says_what_it_was() -> None:
    with pytest.raises(TypeError, match="type object is unsupported"):
        json_line({"a": object()})


def test_start_up_imports_nothing_that_only_some_commands_need() -> None:
    program = (
        "import sys; from telepath_async.cli import app; "
        "print([name for name in ('rich.table', 'rich.progress', 'sqlalchemy', 'pyarrow', "
        "'yaml', 'urllib.request', 'telepath_async.sandbox', 'telepath_async.jobs', "
        "'telepath_async.sync') if name in sys.modules])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert shown.stdout == "[]\n"


@pytest.mark.parametrize(
    "arguments", [["--help"], ["trunks", "list", "-h"], ["calls", "list", "--page-size", "many"]]
)
def test_help_and_a_refusal_need_no_aiohttp(arguments: list[str]) -> None:
    assert said_without_aiohttp(f"main({arguments})", {})


def test_completion_completes_and_needs_no_aiohttp() -> None:
    words = {"COMP_WORDS": "telepath trunks cr", "COMP_CWORD": "2"}
    said = said_without_aiohttp(
        "\ntry: main([])\nexcept SystemExit: pass", {"_TELEPATH_COMPLETE": "complete_bash", **words}
    )
    assert said.split() == ["create", "create-many"]


def said_without_aiohttp(call: str, environment: dict[str, str]) -> str:
    program = f"import sys; from telepath_async.cli import main; {call}\n"
    program += "assert 'telepath_async.cli.app' in sys.modules and 'aiohttp' not in sys.modules"
    shown = subprocess.run(
        [sys.executable, "-c", program],
        env={"PATH": "/bin", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    return shown.stdout or shown.stderr
