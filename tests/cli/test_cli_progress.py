"""Progress bars: on a terminal's standard error, and nowhere else."""

from __future__ import annotations

import sys

import pytest

from telepath_async import RateLimit, RequestStarted
from telepath_async.cli.progress import Bar, Meter, progress_bar
from telepath_async.sandbox import Sandbox
from tests.cli.conftest import Telepath


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(type(sys.stderr), "isatty", lambda self: True)


def test_without_a_terminal_there_is_no_bar(telepath: Telepath) -> None:
    with progress_bar("list", "calls", meter=Meter(), telepath=None) as bar:
        assert type(bar) is Bar
    assert telepath("calls", "list").err == ""


def test_lines_and_a_bar_do_not_share_a_terminal(
    terminal: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with progress_bar("list", "calls", meter=Meter(), telepath=None, lines_on_terminal=True) as bar:
        assert type(bar) is Bar


def test_the_bar_tells_rows_rate_share_of_the_limit_and_the_total_where_it_is_known(
    terminal: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    for total, shown in ((30_000, "1,200/30,000 calls"), (None, "1,200 calls")):
        with progress_bar("list", "calls", meter=Meter(), telepath=None) as bar:
            bar.show(1_200, total)
        out, err = capsys.readouterr()
        assert out == ""
        assert shown in err
        assert "% of limit" in err
        assert "/s" in err


class Seen:
    """What the meter needs of a client."""

    def __init__(self, limit: int | None) -> None:
        self.rate_limit = (
            None if limit is None else RateLimit(limit=limit, remaining=1, reset_at=None)
        )


def test_the_share_is_of_what_the_key_may_send(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("telepath_async.cli.progress.time.monotonic", lambda: now)
    meter = Meter(began=now)
    for _ in range(600):
        meter(RequestStarted(method="GET", template="/calls", call=1, attempt=1))
    now = 160.0
    assert meter.share(Seen(1_200)) == 0.5  # type: ignore[arg-type]
    assert meter.share(Seen(None)) == 0.1  # type: ignore[arg-type]
    assert meter.share(None) == 0.1


@pytest.mark.usefixtures("terminal")
def test_every_long_command_shows_its_bar(
    telepath: Telepath, sandbox: Sandbox, tmp_path: object
) -> None:
    assert "calls" in telepath("calls", "list", "--table", "--all").err
    assert "sync" in telepath("calls", "sync", f"sqlite:///{tmp_path}/calls.db").err
    rotated = telepath(
        "jobs", "rotate", "--all", "--journal", f"{tmp_path}/j", "--apply", "cat > /dev/null"
    )
    assert "5/5 trunks" in rotated.err
