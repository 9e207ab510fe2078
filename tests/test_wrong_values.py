"""Arguments of a wrong type or size: a UsageError at the call, whatever they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from telepath_async import TelepathClient, UsageError
from telepath_async.export import export_calls
from telepath_async.jobs import Threshold
from telepath_async.worker import load_accounts


def huge() -> Any:
    """Return a number of more digits than Python writes; pytest's plugins show what is global."""
    return 10**5000


FILTERS = [("trunks", "status"), ("trunks", "sort")] + [
    ("calls", name) for name in ("trunk_id", "status", "direction")
]


@pytest.fixture
def telepath() -> TelepathClient:
    return TelepathClient("sk_live_x", base_url="http://127.0.0.1:1/v1")


@pytest.mark.parametrize(("of", "name"), FILTERS)
@pytest.mark.parametrize("value", [5, b"active", ["active"], True])
def test_a_filter_that_is_not_text_is_refused(
    telepath: TelepathClient, of: str, name: str, value: Any
) -> None:
    with pytest.raises(UsageError, match=rf"{name} must be text, not {type(value).__name__}"):
        getattr(telepath, of).list(**{name: value})


async def test_a_trunk_of_an_overview_that_is_not_text_is_refused(telepath: TelepathClient) -> None:
    with pytest.raises(UsageError, match="trunk_id must be text, not int"):
        await telepath.analytics.overview(trunk_id=5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "call",
    [
        lambda telepath: telepath.request("GET", "/trunks", params={"limit": huge()}),
        lambda telepath: telepath.request("GET", "/trunks", params={huge(): 1}),
        lambda telepath: telepath.request("PATCH", "/trunks/x", json={"a": [huge()]}),
        lambda telepath: telepath.request("PATCH", "/trunks/x", json={huge(): 1}),
        lambda telepath: telepath.request(huge(), "/trunks"),
        lambda telepath: telepath.request("GET", huge()),
        lambda telepath: telepath.trunks.list(status=huge()),
        lambda telepath: telepath.trunks.find(huge()),
        lambda telepath: telepath.trunks.update("x", extra={"a": huge()}),
        lambda telepath: telepath.numbers.update(huge(), label="x"),
        lambda telepath: export_calls(telepath, huge()),
        lambda telepath: export_calls(telepath, "calls.csv", format=huge()),
    ],
)
async def test_a_number_of_thousands_of_digits_is_refused(
    telepath: TelepathClient, call: Callable[[TelepathClient], Any]
) -> None:
    with pytest.raises(UsageError):
        await call(telepath)


def test_options_of_thousands_of_digits_are_refused(telepath: TelepathClient) -> None:
    with pytest.raises(UsageError, match="headers must not hold"):
        telepath.with_options(headers={huge(): "x"})
    with pytest.raises(UsageError, match="if_exists must be"):
        telepath.trunks.create_many([], if_exists=huge())
    with pytest.raises(UsageError, match="metric must be"):
        Threshold(huge(), 5)


@pytest.mark.parametrize("text", [f"x = {'9' * 5000}", f"x = {'[' * 50_000}"])
def test_an_accounts_file_that_tomllib_gives_up_is_not_toml(tmp_path: Path, text: str) -> None:
    path = tmp_path / "accounts.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match="it is not TOML"):
        load_accounts(path)
