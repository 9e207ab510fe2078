"""What a sandbox remembers of each request."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import attrs


@attrs.define
class RecordedRequest:
    """One request as it arrived, and the status that it was answered with.

    `path` is raw (undecoded, without the query); `headers` is a case-insensitive multi-dict; `at`
    is the event loop's monotonic time in seconds at which the request had been read. `status` is
    None until the answer goes out, and stays None when the connection was dropped instead.
    """

    method: str
    path: str
    raw_query: str
    headers: Mapping[str, str]
    body: bytes
    at: float
    status: int | None = None

    @property
    def query(self) -> list[tuple[str, str]]:
        """The query's pairs, decoded, in the order sent."""
        return parse_qsl(self.raw_query, keep_blank_values=True) if self.raw_query else []

    @property
    def json(self) -> Any:
        """The body read as JSON. Raises ValueError when it is not JSON."""
        return json.loads(self.body)
