"""Test `telepath analytics overview` and `watch`: each alert is delivered once.

It comes again only when it could not be passed on.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from telepath_async.cli import analytics, shell
from telepath_async.cli.exits import AUTH, FAILED, OK, PARTLY
from telepath_async.jobs import commands
from telepath_async.sandbox import Sandbox
from tests.cli.conftest import Telepath, assert_refused, full_disk, signalled

SLOW = ("analytics", "watch", "--max-ai-latency-ms", "1", "--window", "60d", "--once")


def test_the_overview_is_shown(telepath: Telepath) -> None:
    (figures,) = telepath("analytics", "overview").lines
    assert figures["total_calls"] == 250
    shown = telepath("analytics", "overview", "--table", "--since", "60d")
    assert "ms on average" in shown.out
    assert "%" in shown.out


def test_figures_that_are_missing_are_left_out(telepath: Telepath, sandbox: Sandbox) -> None:
    sandbox.fail_next(status=200, body={"total_calls": 3})
    assert telepath("analytics", "overview", "--table").out.split() == ["calls", "3"]


def test_an_alert_is_told_once_with_the_calls_that_explain_it(
    telepath: Telepath, tmp_path: Path
) -> None:
    state = tmp_path / "alerts.json"
    (alert,) = telepath(*SLOW, "--state", state).lines
    assert alert["kind"] == "crossed"
    assert alert["threshold"]["metric"] == "avg_ai_latency_ms"
    assert len(alert["worst_calls"]) == 5
    assert telepath(*SLOW, "--state", state).lines == []
    relaxed = telepath(*SLOW, "--max-ai-latency-ms", 100_000, "--state", state)
    assert [line["kind"] for line in relaxed.lines] == ["recovered"]
    assert list(tmp_path.iterdir()) == [state]


def test_where_no_state_can_be_kept_no_alert_is_sent(telepath: Telepath, tmp_path: Path) -> None:
    paged = tmp_path / "paged"
    arguments = ("--state", tmp_path / "missing" / "state", "--exec", f"touch {paged}")
    assert telepath(*SLOW, *arguments).code == FAILED
    assert not paged.exists()


def test_an_empty_state_is_a_first_poll(telepath: Telepath, tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    assert len(telepath(*SLOW, "--state", tmp_path / "state").lines) == 1


def test_an_alert_is_a_panel_for_people(telepath: Telepath, tmp_path: Path) -> None:
    state = tmp_path / "state"
    shown = telepath(*SLOW, "--table", "--min-success-rate", "99.9", "--state", state)
    assert shown.code == OK
    assert "crossed" in shown.out
    assert "avg_ai_latency_ms is" in shown.out
    assert "success_rate is" in shown.out
    assert "call_" in shown.out
    window = ("--window", "60d", "--once", "--table", "--state", state)
    relaxed = telepath(*SLOW[:2], "--min-success-rate", 2, *window)
    assert "recovered" in relaxed.out
    assert "call_" not in relaxed.out


def test_the_command_gets_the_alert_on_its_standard_input(
    telepath: Telepath, tmp_path: Path
) -> None:
    ended = telepath(
        *SLOW, "--max-carrier-lag-ms", "100000", "--exec", f"cat > {tmp_path}/alert.json"
    )
    assert ended.code == OK
    assert json.loads((tmp_path / "alert.json").read_text()) == ended.lines[0]


def test_an_alert_that_could_not_be_passed_on_is_sent_again(
    telepath: Telepath, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    failed = telepath(*SLOW, "--state", state, "--exec", "exit 3")
    assert failed.code == FAILED
    assert "on_alert failed for avg_ai_latency_ms" in failed.err
    assert "Traceback" not in failed.err
    assert telepath(*SLOW, "--state", state, "--exec", "true").code == OK
    assert telepath(*SLOW, "--state", state, "--exec", "exit 3").code == OK


@pytest.mark.parametrize("style", ["--table", "--json"])
def test_a_figure_that_the_server_does_not_give_is_reported_once_and_is_no_success(
    telepath: Telepath, sandbox: Sandbox, tmp_path: Path, style: str
) -> None:
    for expected in (True, False):
        sandbox.fail_next(status=200, body={"total_calls": 3, "latency": {"avg": 900}})
        polled = telepath(*SLOW, style, "--state", tmp_path / "state")
        assert polled.code == PARTLY
        assert ("no figure" in polled.out or "no_figure" in polled.out) is expected


def test_a_figure_in_quotes_is_read(telepath: Telepath, sandbox: Sandbox) -> None:
    sandbox.fail_next(status=200, body={"total_calls": 3, "avg_ai_latency_ms": "900"})
    (alert,) = telepath(*SLOW).lines
    assert (alert["kind"], alert["value"]) == ("crossed", 900.0)


def test_a_poll_that_fails_once_gives_its_exit_code(telepath: Telepath, sandbox: Sandbox) -> None:
    sandbox.fail_next(status=401)
    failed = telepath(*SLOW)
    assert failed.code == AUTH
    assert failed.err.startswith("warning: a poll of the latency failed: 401")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["analytics", "watch", "--once"], "nothing to watch"),
        ([*SLOW, "--exec", ""], "--exec is empty"),
        ([*SLOW[:4], "--interval", "0s"], "interval"),
        ([*SLOW[:4], "--window", "0s"], "window"),
        ([*SLOW[:4], "--window", "200000w"], "longer than 100 years"),
        ([*SLOW[:4], "--min-success-rate", "0.95"], "percent, not a fraction"),
        ([*SLOW[:4], "--min-success-rate", "101"], "--min-success-rate"),
    ],
)
def test_a_watch_that_makes_no_sense_is_refused(
    telepath: Telepath, sandbox: Sandbox, arguments: list[str], said: str
) -> None:
    assert_refused(telepath(*arguments), sandbox, said)


def test_a_watch_goes_on_until_it_is_stopped(
    telepath: Telepath, sandbox: Sandbox, tmp_path: Path
) -> None:
    def polled_twice() -> bool:
        return sum(request.path == "/v1/analytics/overview" for request in sandbox.requests) == 2

    with signalled(signal.SIGTERM, polled_twice):
        watched = telepath(*SLOW[:-1], "--interval", "1s")
    assert watched.code == 143
    assert "polling every 1 s; Ctrl-C ends it" in watched.err
    assert [line["kind"] for line in watched.lines] == ["crossed"]


def test_stopping_ends_the_command_that_was_run(
    telepath: Telepath, sandbox: Sandbox, tmp_path: Path
) -> None:
    started, ended = tmp_path / "started", tmp_path / "ended"
    hook = f"trap 'touch {ended}; exit 0' TERM; touch {started}; while :; do sleep 0.05; done"
    with signalled(signal.SIGINT, started.exists):
        assert telepath(*SLOW, "--exec", hook).code == 130
    assert ended.exists()


def test_a_command_that_does_not_end_is_killed(
    telepath: Telepath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "_SECONDS_TO_END", 0.05)
    started = tmp_path / "started"
    deaf = tmp_path / "deaf.py"
    deaf.write_text(
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "open(sys.argv[1], 'w').write(str(os.getpid()))\n"
        "time.sleep(60)\n"
    )
    hook = f"exec {sys.executable} {deaf} {started}"
    begun = time.monotonic()
    with signalled(signal.SIGINT, lambda: started.exists() and started.read_text()):
        assert telepath(*SLOW, "--exec", hook).code == 130
    assert time.monotonic() - begun < 50  # it would have slept for 60
    with pytest.raises(ProcessLookupError):
        os.kill(int(started.read_text()), 0)


def test_the_command_gets_the_alert_where_it_cannot_be_printed(
    telepath: Telepath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell, "write_ndjson", full_disk)
    ended = telepath(*SLOW[:-1], "--exec", f"cat >> {tmp_path}/alert.json")
    assert ended.code == FAILED
    assert "No space left on device" in ended.err
    assert (tmp_path / "alert.json").read_text().count("\n") == 1


def test_a_command_that_hangs_is_ended_and_the_alert_told_again(
    telepath: Telepath, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analytics, "_EXEC_SECONDS", 0.2)
    failed = telepath(*SLOW, "--exec", "sleep 60")
    assert failed.code == FAILED
    assert "on_alert failed for avg_ai_latency_ms" in failed.err
