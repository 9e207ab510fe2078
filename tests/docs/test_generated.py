"""What docs/ has of the code is what the code says today."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable

import pytest

from .generated import DOCS, GENERATED

PUBLIC = [
    "", ".dashboard", ".dlt", ".export", ".insights", ".jobs", ".redis", ".sandbox", ".sync",
    ".worker",
]  # fmt: skip


@pytest.mark.parametrize(("name", "text"), GENERATED.items(), ids=GENERATED)
def test_a_page_that_is_made_from_the_code_is_up_to_date(
    name: str, text: Callable[[], str]
) -> None:
    assert (DOCS / name).read_text() == text(), "run: python -m tests.docs.generated"


def test_every_public_name_is_in_the_reference() -> None:
    pages = "".join(page.read_text() for page in (DOCS / "reference").glob("*.md"))
    described = set(re.findall(r"^::: (\S+)$", pages, re.MULTILINE))
    for module in (f"telepath_async{name}" for name in PUBLIC):
        names = importlib.import_module(module).__all__
        assert {f"{module}.{name}" for name in names} <= described
