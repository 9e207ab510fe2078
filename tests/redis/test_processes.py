"""Test real processes on a real Redis that is killed, stopped and started anew.

They are never above the limit, and use nearly all of it.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.redis.fleet import Fleet, fleet, words

LIMIT, PERIOD = 900, 3.0

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs SIGSTOP"),
]


def test_four_processes_share_one_limit(tmp_path: Path) -> None:
    with fleet(tmp_path, LIMIT, PERIOD) as ours:
        time.sleep(3.0)
        began, before = len(ours.grants()), words(ours.server)
        time.sleep(PERIOD)
        grants = len(ours.grants()) - began
        assert ours.held()
        # A loaded machine wakes processes late; benchmarks/bench_shared.py shows a quiet one.
        assert grants > 0.75 * LIMIT
        assert words(ours.server) - before <= 0.2 * grants


def test_processes_that_are_killed_while_they_hold_leases_do_not_break_the_limit(
    tmp_path: Path,
) -> None:
    with fleet(tmp_path, LIMIT, PERIOD) as ours:
        for index in range(4):
            time.sleep(0.8)
            ours.kill(index)
            ours.processes[index] = ours.spawn()
        time.sleep(1.5)
        assert ours.held()


def kill_twice(ours: Fleet) -> None:
    for _ in range(2):
        time.sleep(1.5)
        ours.server.kill()
        time.sleep(2.5)
        ours.server.restart()


def stop(ours: Fleet) -> None:
    time.sleep(1.5)
    ours.server.process.send_signal(signal.SIGSTOP)
    time.sleep(3.5)
    ours.server.process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("go_away", [kill_twice, stop])
def test_a_redis_that_goes_away_and_comes_back_does_not_break_the_limit(
    tmp_path: Path, go_away: Callable[[Fleet], None]
) -> None:
    with fleet(tmp_path, LIMIT, PERIOD) as ours:
        go_away(ours)
        time.sleep(3.5)
        assert ours.held()
        states = [state for _, state in ours.grants()]
        assert set(states) == {"local", "shared"}
        assert states[-1] == "shared"
