"""A process that runs workers in children that can be killed: importing once makes many kills cheap.

    python working.py ARGUMENTS…

It obeys lines on standard input. `start N`: fork worker N with these arguments. `kill N`, `stop N`: SIGKILL, SIGTERM. `wait N`:
let it end. After `kill` and `wait`, print how it ended: its exit code, or minus the signal. What workers log goes to
standard error. The times of 20 s, 5 s, … in which the workers find each other dead are scaled down to a tenth.
"""

from __future__ import annotations

import os
import signal
import sys

from telepath_async.cli.worker import group
from telepath_async.worker import broker, dispatch, redis_queue
from telepath_async.worker.commands import Commands  # what a worker imports late

if not os.environ.get("REAL_TIMES"):
    broker._HEARTBEAT_SECONDS = 2  # type: ignore[misc]
    broker._SECONDS_BETWEEN_BEATS = 0.5  # type: ignore[misc]
    broker._SWEEP_SECONDS = 1  # type: ignore[misc]
    broker._SECONDS_TO_ANSWER_A_SWEEP = 1.0  # type: ignore[misc]
    broker._SECONDS_TO_WAIT_FOR_A_JOB = 1.0  # type: ignore[misc]
    redis_queue._SECONDS_TO_BEGIN = 2.0  # type: ignore[misc]
    dispatch._SECONDS_TO_LOOK_AGAIN = 1.0  # type: ignore[misc]


if __name__ == "__main__":
    assert Commands
    children: dict[str, int] = {}
    for line in sys.stdin:
        word, number = line.split()
        if word == "start":
            children[number] = os.fork()
            if children[number] == 0:
                os.dup2(2, 1)
                group(sys.argv[1:], prog_name="worker")
        elif word == "stop":
            os.kill(children[number], signal.SIGTERM)
        else:
            if word == "kill":
                os.kill(children[number], signal.SIGKILL)
            print(os.waitstatus_to_exitcode(os.waitpid(children[number], 0)[1]), flush=True)
