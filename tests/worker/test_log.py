"""What is logged: JSON lines, without secrets and without what has been said already."""

from __future__ import annotations

import json
import logging

import pytest

from telepath_async.protocol.redaction import Redactor
from telepath_async.secret import Secret
from telepath_async.worker.log import JobFailed, JsonFormatter, is_news, log_event, logger

REDACTOR = Redactor([Secret("pw"), Secret("pw-long")])


def record(name: str, message: str, error: BaseException | None = None) -> logging.LogRecord:
    return logging.LogRecord(
        name, logging.ERROR, "", 0, message, (), error and (type(error), error, None)
    )


def test_an_event_is_a_json_line_without_what_is_none(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger.name):
        log_event("job", account="acme", error=None, rows=0)
    line = json.loads(JsonFormatter(REDACTOR).format(caplog.records[0]))
    assert line.pop("time").endswith("+00:00")
    assert line == {"event": "job", "account": "acme", "rows": 0}


def test_our_lines_are_masked_too() -> None:
    assert (
        JsonFormatter(REDACTOR).format(record(logger.name, '{"x": "pw"}')) == '{"x": "**********"}'
    )


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


def test_what_has_been_said_is_not_said_again() -> None:
    assert not is_news(record("saq", "Error processing job", JobFailed("x")))
    assert not is_news(
        record(
            "saq",
            "Some tasks did not finish within the shutdown grace period, requesting cancellation",
        )
    )
    assert is_news(record("saq", "Upkeep task failed unexpectedly", OSError()))
    assert is_news(record("saq", "Swept"))


def test_a_library_s_line_of_several_is_cut_to_its_first() -> None:
    formatter = JsonFormatter(Redactor([Secret('pä"ss')]))
    line = json.loads(formatter.format(record("saq", 'it is pä"ss\nand more')))
    assert line["message"] == "it is **********"
    assert json.loads(formatter.format(record("saq", "")))["message"] == ""
