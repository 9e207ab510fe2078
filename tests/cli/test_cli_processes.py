"""The command as a process of its own: pipes that close, signals, and a terminal."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from telepath_async.sandbox import Sandbox
from tests.cli.conftest import checkpoint_in, rows, served
from tests.cli.processes import ROOT, TELEPATH, started


@pytest.fixture
def slow() -> Iterator[Sandbox]:
    """A history that takes a while to read."""
    with served(style="cursor", trunks=2, calls=8_000, latency=0.02) as sandbox:
        yield sandbox


def test_lines_stream_and_a_reader_that_leaves_ends_the_list_quietly(slow: Sandbox) -> None:
    with started(slow, "calls", "list") as process:
        assert process.stdout
        assert process.stderr
        first = json.loads(process.stdout.readline())
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(30) == 141
    assert first["id"] == next(iter(slow.calls))
    assert len(slow.requests) < 60  # the whole of it takes 80 and more


def test_a_reader_that_leaves_ends_a_batch_with_a_hint_how_to_go_on(
    slow: Sandbox, tmp_path: Path
) -> None:
    fields = "custom", "s3cur3P@ssw0rd", "wss://agent.example"
    rows = "\n".join(f"N{n},{fields[0]},many-{n},{fields[1]},{fields[2]}" for n in range(500))
    (tmp_path / "many.csv").write_text(
        f"name,ai_provider,sip_username,sip_password,custom_endpoint\n{rows}\n"
    )
    with started(slow, "trunks", "create-many", str(tmp_path / "many.csv")) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        assert "--if-exists skip" in process.stderr.read()
        assert process.wait(30) == 141
    assert len(slow.trunks) < 500


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["calls", "get", "call_nobody"], 4),
        (["calls", "get"], 2),
        (["calls", "list", "--table"], 0),
    ],
    ids=["an error", "a usage error", "a note"],
)
def test_messages_that_nobody_can_read_change_no_exit_code(
    slow: Sandbox, arguments: list[str], code: int
) -> None:
    with Path("/dev/full").open("w") as full, started(slow, *arguments, stderr=full) as process:
        process.communicate(timeout=30)
        assert process.returncode == code


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_utf_8_gets_its_table(
    slow: Sandbox, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    call = next(iter(slow.calls))
    with started(slow, "calls", "get", call, "--table", encoding=encoding) as process:
        out, err = process.communicate(timeout=30)
        assert (process.returncode, "UnicodeEncodeError" in err) == (0, False)
    assert call in out
    assert "from \\u2192 to" in out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_list_that_is_interrupted_goes_on_where_it_was(
    slow: Sandbox, number: signal.Signals
) -> None:
    with started(slow, "calls", "list") as process:
        assert process.stdout
        first = process.stdout.readline()
        process.send_signal(number)
        assert process.stderr
        rest, err = process.stdout.read(), process.stderr.read()
        assert process.wait(30) == 128 + number
    printed = [json.loads(line)["id"] for line in (first + rest).splitlines()]
    assert err.count("\n") == 1
    assert err.startswith(f"note: {len(printed):,} calls were printed")
    with started(slow, "calls", "list", "--resume", checkpoint_in(err)) as process:
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")
    assert printed + [json.loads(line)["id"] for line in out.splitlines()] == list(slow.calls)


def test_a_sync_that_is_interrupted_keeps_what_is_committed_and_goes_on(
    slow: Sandbox, tmp_path: Path
) -> None:
    file = tmp_path / "calls.db"
    with started(slow, "calls", "sync", f"sqlite:///{file}") as process:
        while len(slow.requests) < 10:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out) == (130, "")
    what = "what was committed stays; run the same command again, and it goes on from there"
    assert err == f"note: {what}\n"
    kept = rows(file)
    assert 0 < kept < 8_000
    with started(slow, "calls", "sync", f"sqlite:///{file}") as process:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0
    assert json.loads(out)["inserted"] == 8_000 - kept
    assert rows(file) == 8_000


@contextmanager
def on_a_terminal(
    sandbox: Sandbox, *arguments: str, **variables: str
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The process, and the keyboard and screen of its terminal."""
    ours, theirs = pty.openpty()
    environment = {
        **os.environ,
        "TERM": "xterm",
        "COLUMNS": "80",
        "TELEPATH_BASE_URL": sandbox.base_url,
        **variables,
    }
    with subprocess.Popen(
        [*TELEPATH, *arguments], cwd=ROOT, env=environment, stdin=theirs, stdout=theirs,
        stderr=theirs, text=True, start_new_session=True,
        # Opening the terminal makes it that of the new session.
        preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),
    ) as process:  # fmt: skip
        os.close(theirs)
        try:
            yield process, ours
        finally:
            process.kill()
            os.close(ours)


def read_until(screen: int, wanted: str, seen: str = "") -> str:
    end = time.monotonic() + 30
    while wanted not in seen:
        assert select.select([screen], [], [], max(0.0, end - time.monotonic()))[0], (
            f"no {wanted!r} in {seen!r}"
        )
        try:
            seen += os.read(screen, 65_536).decode()
        except OSError:  # the process has ended
            break
    assert wanted in seen, seen
    return seen


def test_secrets_are_asked_for_on_a_terminal_and_do_not_show() -> None:
    with served(trunks=0, calls=0) as sandbox:
        create = "trunks create --name Front --provider openai --sip-username front"
        with on_a_terminal(sandbox, *create.split()) as (process, terminal):
            seen = ""
            for asked, typed in (
                ("OpenAI API key: ", "sk-typed-key"),
                ("SIP password: ", "typed-pa55word"),
                ("SIP password, once more: ", "typed-pa55word"),
                ("Telepath API key: ", sandbox.api_key),
            ):
                seen = read_until(terminal, asked, seen)
                os.write(terminal, f"{typed}\n".encode())
            seen = read_until(terminal, "front@sip", seen)
            assert process.wait(30) == 0
        (trunk,) = sandbox.trunks.values()
        typed_in = ("sk-typed-key", "typed-pa55word")
        assert (trunk["openai_api_key"], trunk["sip_password"]) == typed_in
        assert not any(secret in seen for secret in (*typed_in, sandbox.api_key))


def test_an_interrupt_at_the_prompt_is_130_and_shows_no_traceback() -> None:
    with (
        served(trunks=0, calls=0) as sandbox,
        on_a_terminal(sandbox, "analytics", "overview") as (process, terminal),
    ):
        seen = read_until(terminal, "Telepath API key: ")
        os.write(terminal, b"\x03")
        assert process.wait(30) == 130
        assert "Traceback" not in seen
        assert sandbox.requests == []


def test_a_terminal_gets_a_table() -> None:
    with (
        served(trunks=3, calls=0) as sandbox,
        on_a_terminal(sandbox, "trunks", "list", TELEPATH_API_KEY=sandbox.api_key) as terminal,
    ):
        process, screen = terminal
        seen = read_until(screen, "provider")
        assert process.wait(30) == 0
        assert "{" not in seen
