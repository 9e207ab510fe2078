"""`python -m telepath_async.sandbox`, as a real process and in this one."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from telepath_async.sandbox.__main__ import main

ROOT = Path(__file__).parents[2]


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "telepath_async.sandbox", "--port", "0", *arguments]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, **pipes) as process:
        try:
            assert process.stdout
            yield process, "".join(process.stdout.readline() for _ in range(3))
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_told_to_stop(number: signal.Signals) -> None:
    with running("--style", "cursor", "--api-key", "sk_live_mine", "--calls", "3") as (
        process,
        printed,
    ):
        base_url = re.findall(r"base URL: (\S+)", printed)[0]
        assert "sk_live_mine" in printed
        assert (
            f"curl -H 'Authorization: Bearer sk_live_mine' '{base_url}/trunks?limit=1'" in printed
        )
        request = urllib.request.Request(
            f"{base_url}/calls", headers={"Authorization": "Bearer sk_live_mine"}
        )
        with urllib.request.urlopen(request) as response:
            assert response.status == 200
        process.send_signal(number)
        _, errors = process.communicate(timeout=10)
        assert (process.returncode, errors) == (0, "")


def test_main_serves_until_a_signal_and_restores_the_handlers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    def stop_when_up() -> None:
        while signal.getsignal(signal.SIGTERM) is before[1]:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    stopper = threading.Thread(target=stop_when_up)
    stopper.start()
    assert main(["--port", "0", "--calls", "0"]) == 0
    stopper.join()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert "base URL: http://127.0.0.1:" in capsys.readouterr().out


def test_a_port_in_use_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        assert main(["--port", str(port), "--calls", "0"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(
        rf"cannot listen on 127\.0\.0\.1:{port}: .*address already in use.*\n", err, re.IGNORECASE
    )


def test_a_bad_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--trunks", "-1"])
    assert stopped.value.code == 2
    assert "trunks must be 0 or more" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--openapi", "--port=0"])
def test_a_reader_that_has_left_ends_it_quietly(option: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "telepath_async.sandbox", option]
    ended = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, cwd=ROOT, timeout=30)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (141, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="of Linux")
def test_a_full_disk_is_one_clear_line() -> None:
    full = open("/dev/full", "w")  # noqa: SIM115  # what it holds cannot be flushed
    with redirect_stdout(full), pytest.raises(SystemExit, match=r"^standard output: No space"):
        main(["--openapi"])
    full.close()  # it leads to nowhere now
