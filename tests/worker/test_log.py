"""What is logged: JSON lines, without secrets and without what has been said already."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

import pytest

from telepath_async.protocol.redaction import Redactor
from telepath_async.secret import Secret
from telepath_async.worker.log import (
    Duplicates,
    JobFailed,
    JsonFormatter,
    LogEvent,
    LogHandler,
    log_event,
    logger,
)

REDACTOR = Redactor([Secret("pw"), Secret("pw-long")])


def record(name: str, message: Any, error: BaseException | None = None) -> logging.LogRecord:
    return logging.LogRecord(
        name, logging.ERROR, "", 0, message, (), error and (type(error), error, None)
    )


def test_an_event_is_a_json_line_without_what_is_none(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger.name):
        log_event("job", account="acme", error=None, rows=0)
    line = json.loads(JsonFormatter(REDACTOR).format(caplog.records[0]))
    assert line.pop("time").endswith("+00:00")
    assert line == {"event": "job", "account": "acme", "rows": 0}


@pytest.mark.parametrize("secret", ["1", 'a"b', "back\\slash", "é\u202e", "2026", ":", "true"])
def test_a_line_is_json_without_the_secret_whatever_the_secret_is(secret: str) -> None:
    event = LogEvent("job", {"error": f"no way to {secret}!", "rows": 1, "up": True})
    line = JsonFormatter(Redactor([Secret(secret)])).format(record(logger.name, event))
    values = json.loads(line)
    assert values["error"] == "no way to **********!"
    assert (values["event"], values["rows"], values["up"]) == ("job", 1, True)


def test_what_a_stranger_sends_drives_no_terminal_that_shows_the_log() -> None:
    event = LogEvent("job", {"error": "\x1b[2J\x7f\x9b2J\u202e\n{}"})
    line = JsonFormatter(REDACTOR).format(record(logger.name, event))
    assert line.isprintable()
    assert json.loads(line)["error"] == " [2J  2J  {}"


def test_an_event_without_our_formatter_is_json_too() -> None:
    assert json.loads(str(LogEvent("job", {"rows": 1})))["rows"] == 1


class Full(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError("No space left on device")


def test_a_log_that_cannot_be_written_is_told_once_and_shows_no_value(
    capsys: pytest.CaptureFixture[str],
) -> None:
    handler = LogHandler(Full())
    for _ in range(3):
        handler.handle(record(logger.name, LogEvent("job", {"error": "pw"})))
    told = capsys.readouterr().err
    assert told == "error: the log cannot be written: No space left on device\n"


def test_a_library_s_line_is_json_without_its_traceback() -> None:
    try:
        raise OSError("no way to pw")
    except OSError as error:
        line = json.loads(
            JsonFormatter(REDACTOR).format(record("saq", "Upkeep failed\nhere", error))
        )
    assert {name: line[name] for name in ("event", "library", "level", "message", "error")} == {
        "event": "library", "library": "saq", "level": "error", "message": "Upkeep failed",
        "error": "OSError: no way to **********",
    }  # fmt: skip
    assert "error" not in json.loads(JsonFormatter(REDACTOR).format(record("saq", "Hello")))


def test_what_has_been_logged_is_not_logged_again() -> None:
    is_new = Duplicates().filter
    assert not is_new(record("saq", "Error processing job", JobFailed("x")))
    assert not is_new(
        record(
            "saq",
            "Some tasks did not finish within the shutdown grace period, requesting cancellation",
        )
    )
    assert is_new(record("saq", "Swept"))
    assert is_new(record("saq", "Swept"))


def test_a_failure_that_goes_on_is_logged_once_a_minute() -> None:
    is_new = Duplicates().filter

    def failed_at(seconds: float, message: str = "Upkeep failed", error: Any = OSError) -> bool:
        failure = record("saq", message, error("gone"))
        failure.created = 1_000 + seconds
        return is_new(failure)

    assert failed_at(0)
    assert not failed_at(1)
    assert failed_at(2, "Fetching failed")
    assert failed_at(3, error=ValueError)
    assert not failed_at(59.9)
    assert failed_at(60)
    assert not failed_at(61)


def test_a_library_s_line_of_several_is_cut_to_its_first() -> None:
    formatter = JsonFormatter(Redactor([Secret('pä"ss')]))
    line = json.loads(formatter.format(record("saq", 'it is pä"ss\nand more')))
    assert line["message"] == "it is **********"
    assert json.loads(formatter.format(record("saq", "")))["message"] == ""
