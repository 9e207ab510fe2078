"""A sandbox that counts rows which it does not serve: every list by offset is uncertain."""

from __future__ import annotations

from typing import Any

import pytest

from telepath_async.sandbox.dialect import OffsetDialect


def overstate_total(patch: pytest.MonkeyPatch, *, by: int, walks: int | None = None) -> None:
    """Let `pagination.total` be too large, in the first `walks` only (None: always)."""
    plain, left = OffsetDialect.page, walks

    def page(dialect: OffsetDialect, noun: str, rows: Any, query: Any, render: Any) -> Any:
        nonlocal left
        if left is not None and "offset" not in query:
            left -= 1
        body = plain(dialect, noun, rows, query, render)
        body["pagination"]["total"] += by if left is None or left >= 0 else 0
        return body

    patch.setattr(OffsetDialect, "page", page)
