"""Run four processes on one key for five scaled minutes, three times.

Once undisturbed, once with a Redis that is killed, once with killed processes.

    python -m tests.redis.soak [--minutes 5] [--scale 10]

A minute takes 60 / SCALE seconds, and has 18,000 / SCALE places. It fails when one window had more
than that; undisturbed, also when less than 0.95 of it was used, or more than 0.2 round trips a
request were needed.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.redis.fleet import Fleet, fleet, words

_SECONDS_TO_SETTLE = 4.0


def undisturbed(ours: Fleet, seconds: float) -> None:
    time.sleep(seconds)


def restarts(ours: Fleet, seconds: float) -> None:
    """Let Redis be gone for a tenth of the time, twice; it comes back empty."""
    for _ in range(2):
        time.sleep(seconds * 0.3)
        ours.server.kill()
        time.sleep(seconds * 0.1)
        ours.server.restart()
    time.sleep(seconds * 0.2)


def kills(ours: Fleet, seconds: float) -> None:
    """Kill one of the processes every two seconds, and begin another in its place."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, 2.0))
        victim = random.randrange(4)
        ours.kill(victim)
        ours.processes[victim] = ours.spawn()


def measure(disturb: Callable[[Fleet, float], None], minutes: float, scale: float) -> bool:
    """Run, print, and return whether all held."""
    limit, period = int(18_000 / scale), 60.0 / scale
    with tempfile.TemporaryDirectory() as folder, fleet(Path(folder), limit, period) as ours:
        time.sleep(_SECONDS_TO_SETTLE)
        before, spoken, since = len(ours.grants()), words(ours.server), time.monotonic()
        disturb(ours, minutes * period)
        seconds, places = time.monotonic() - since, len(ours.grants()) - before
        trips = (words(ours.server) - spoken) / places
        most = ours.most()
    share = places / seconds / limit * period
    calm = disturb is undisturbed
    print(
        f"{disturb.__name__:<12} {places:>7,} places in {seconds:.0f} s: {share:.3f} of "
        f"the limit; most in a window {most:,} ",
        end="",
    )
    print(f"of {limit:,}" + (f"; {trips:.3f} round trips a request" if calm else ""), flush=True)
    return most <= limit and (not calm or (share >= 0.95 and trips <= 0.2))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--scale", type=float, default=10.0)
    options = parser.parse_args()
    held = [
        measure(disturb, options.minutes, options.scale)
        for disturb in (undisturbed, restarts, kills)
    ]
    sys.exit(0 if all(held) else 1)
