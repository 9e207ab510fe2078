"""What is logged: JSON lines, without secrets and without what has been said already."""

from __future__ import annotations

import json
import logging

import pytest

from telepath_async import UsageError
from telepath_async.worker.log import JobFailed, JsonFormatter, Mask, is_news, log_event, logger

MASK = Mask.of(["pw", "pw-long", ""])


def record(name: str, message: str, error: BaseException | None = None) -> logging.LogRecord:
    return logging.LogRecord(
        name, logging.ERROR, "", 0, message, (), error and (type(error), error, None)
    )


def test_secrets_are_masked_the_longest_first() -> None:
    assert MASK.text("pw-long and pw") == "********** and **********"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (UsageError("the pw is wrong"), "UsageError: the ********** is wrong"),
        (JobFailed("two\nlines"), "JobFailed: two"),
        (OSError(2, "no such pw-long"), "FileNotFoundError: [Errno 2] no such **********"),
        (ValueError(), "ValueError"),
        (ValueError("x" * 1000), f"ValueError: {'x' * 488}"),
    ],
)
def test_an_error_is_told_in_one_masked_line(error: Exception, told: str) -> None:
    assert MASK.error(error) == told


def test_an_event_is_a_json_line_without_what_is_none(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger.name):
        log_event("job", account="acme", error=None, rows=0)
    line = json.loads(JsonFormatter(MASK).format(caplog.records[0]))
    assert line.pop("time").endswith("+00:00")
    assert line == {"event": "job", "account": "acme", "rows": 0}


def test_our_lines_are_masked_too() -> None:
    assert JsonFormatter(MASK).format(record(logger.name, '{"x": "pw"}')) == '{"x": "**********"}'


def test_a_library_s_line_is_json_without_its_traceback() -> None:
    try:
        raise OSError("no way to pw")
    except OSError as error:
        line = json.loads(JsonFormatter(MASK).format(record("saq", "Upkeep failed\nhere", error)))
    assert {name: line[name] for name in ("event", "library", "level", "message", "error")} == {
        "event": "library", "library": "saq", "level": "error", "message": "Upkeep failed",
        "error": "OSError: no way to **********",
    }  # fmt: skip
    assert "error" not in json.loads(JsonFormatter(MASK).format(record("saq", "Hello")))


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


def test_a_secret_is_masked_where_a_line_is_cut_off_and_in_every_spelling() -> None:
    mask = Mask.of(["sk_live_SECRETSECRET", 'pä"ss'])
    assert "SECRET" not in mask.error(RuntimeError("x" * 470 + " sk_live_SECRETSECRETSECRET"))
    assert (
        json.loads(JsonFormatter(mask).format(record("saq", 'it is pä"ss\nand more')))["message"]
        == "it is **********"
    )
    assert json.loads(JsonFormatter(mask).format(record("saq", "")))["message"] == ""
