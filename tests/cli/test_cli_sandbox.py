"""`telepath sandbox` and `telepath demo`."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
import time
import urllib.request
from contextlib import closing

import pytest

from telepath_async import demo
from telepath_async.cli.exits import FAILED, OK, USAGE
from tests.cli.conftest import Telepath


def test_the_sandbox_says_what_to_set_and_serves_until_it_is_stopped(run: Telepath) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    answers: list[int] = []

    def ask_and_stop() -> None:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/calls", headers={"Authorization": "Bearer sk_live_mine"}
        )
        for _ in range(600):
            try:
                with urllib.request.urlopen(request) as response:
                    answers.append(response.status)
                break
            except OSError:
                time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=ask_and_stop)
    thread.start()
    served = run(
        "sandbox", "--port", port, "--api-key", "sk_live_mine", "--style", "cursor", "--calls", 3
    )
    thread.join()
    assert answers == [200]
    assert served.code == OK
    assert (
        served.out == f"export TELEPATH_BASE_URL=http://127.0.0.1:{port}/v1\n"
        "export TELEPATH_API_KEY=sk_live_mine\n"
    )


def test_a_port_in_use_is_one_clear_line(run: Telepath) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        failed = run("sandbox", "--port", taken.getsockname()[1], "--calls", 0)
    assert failed.code == FAILED
    assert re.fullmatch(r"error: .*address already in use.*\n", failed.err, re.IGNORECASE)


def test_a_sandbox_that_makes_no_sense_is_refused(run: Telepath) -> None:
    refused = run("sandbox", "--trunks", -1)
    assert refused.code == USAGE
    assert "trunks must be 0 or more" in refused.err


@pytest.mark.parametrize(("good", "code"), [(True, OK), (False, FAILED)])
def test_the_demo_says_by_its_exit_code_whether_all_went_as_it_must(
    run: Telepath, monkeypatch: pytest.MonkeyPatch, good: bool, code: int
) -> None:
    async def main(console: object) -> bool:
        return good

    monkeypatch.setattr(demo, "main", main)
    assert run("demo").code == code
