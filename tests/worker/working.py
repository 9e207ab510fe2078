"""Run workers in children that can be killed.

Importing once makes many kills cheap.

    python working.py ARGUMENTS…

It obeys lines on standard input. `start N`: fork worker N with these arguments, and print its pid.
`kill N`, `stop N`: SIGKILL, SIGTERM. `wait N`: let it end. After `kill` and `wait`, print how it
ended: its exit code, or minus the signal. What workers log goes to standard error, and a line for
each job that begins. The times in which they find each other dead are scaled down to a tenth,
unless REAL_TIMES is set.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from typing import Any

from telepath_async.cli import main
from telepath_async.worker import accounts_fields, broker, dispatch, redis_queue
from telepath_async.worker.log import log_event
from telepath_async.worker.runner import Runner
from telepath_async.worker.work import Run

IMPORTED_LATE = (
    "aiosqlite", "asyncpg", "psycopg_pool", "redis.asyncio", "saq.queue.postgres",
    "sqlalchemy.dialects.sqlite",
)  # fmt: skip

# A schedule of seconds, which a file cannot have: nobody waits for minutes in a test.
accounts_fields.CRON_NAMES = (*accounts_fields.CRON_NAMES, "* * * * * */2")  # type: ignore[misc,assignment]
if not os.environ.get("REAL_TIMES"):
    broker.HEARTBEAT_SECONDS = 2  # type: ignore[misc]
    broker.SECONDS_BETWEEN_BEATS = 0.5  # type: ignore[misc]
    broker.SWEEP_SECONDS = 1  # type: ignore[misc]
    broker.SECONDS_TO_ANSWER_A_SWEEP = 1.0  # type: ignore[misc]
    broker.SECONDS_TO_WAIT_FOR_A_JOB = 1.0  # type: ignore[misc]
    redis_queue.SECONDS_TO_BEGIN = 2.0  # type: ignore[misc]
    dispatch.SECONDS_TO_LOOK_AGAIN = 1.0  # type: ignore[misc]


def tell_what_begins() -> None:
    run = Runner.run

    async def told(self: Runner, key: str, part: str | None = None, on_run: Any = None) -> str:
        def begun(begins: Run) -> None:
            log_event("begun", key=key, pid=os.getpid())
            if on_run is not None:
                on_run(begins)

        return await run(self, key, part, begun)

    Runner.run = told  # type: ignore[method-assign]


if __name__ == "__main__":
    for module in IMPORTED_LATE:
        importlib.import_module(module)
    tell_what_begins()
    children: dict[str, int] = {}
    print("ready", flush=True)
    for line in sys.stdin:
        word, number = line.split()
        if word == "start":
            children[number] = os.fork()
            if children[number] == 0:
                os.dup2(2, 1)
                sys.exit(main(["worker", *sys.argv[1:]]))
            print(children[number], flush=True)
        elif word == "stop":
            os.kill(children[number], signal.SIGTERM)
        else:
            if word == "kill":
                os.kill(children[number], signal.SIGKILL)
            print(os.waitstatus_to_exitcode(os.waitpid(children[number], 0)[1]), flush=True)
