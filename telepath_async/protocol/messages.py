"""`Request` and `Response`: the two values that the session and the transport exchange.

What stands in their text is written and read elsewhere: paths and queries in `url.py`, JSON in
`body.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import define, evolve, field, frozen

from ..secret import Secret
from .body import read_json, write_json
from .ratelimit import RateLimit, read_rate_limit
from .url import Query, query_text


@define(kw_only=True, repr=False)
class Request:
    """One call of an endpoint.

    `path` is encoded and begins with a slash; `template` is the same path with the names of its
    parameters, fit for logs. `repeatable`: whether sending it twice does no harm. `secrets`: what
    an error must not show if the server echoes it. `call`: its number in this process, where
    somebody listens; `attempts`: how many there have been. `unsent`: whether none of them is under
    way, or may have been carried out; `withdrawn`: not to be tried again.
    """

    method: str
    path: str
    template: str
    query: Query = ()
    body: bytes | None = None
    repeatable: bool = True
    secrets: tuple[Secret, ...] = ()
    call: int = 0
    attempts: int = 0
    unsent: bool = True
    withdrawn: bool = False

    def __repr__(self) -> str:
        return f"<Request {self.endpoint}>"  # path, query and body may hold what no log should

    @property
    def endpoint(self) -> str:
        """`GET /calls/{id}`: for messages and events."""
        return f"{self.method} {self.template}"

    @property
    def target(self) -> str:
        """Path and query, encoded."""
        return f"{self.path}?{query_text(self.query)}" if self.query else self.path


@frozen(kw_only=True, repr=False)
class Response:
    """An answer, and the `endpoint` that gave it.

    `headers`: names in any case; `body`: bytes, decompressed. A pickle leaves both out: they may
    hold secrets.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    endpoint: str

    def __repr__(self) -> str:
        # headers and body may hold what no log should
        return f"<Response {self.status} of {self.endpoint}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _without_content, (self.status, self.endpoint)

    def __copy__(self) -> Response:
        return self

    def __deepcopy__(self, memo: object) -> Response:
        return self

    @property
    def rate_limit(self) -> RateLimit | None:
        """The key's rate limit by its headers, or None."""
        return read_rate_limit(self.headers)

    @property
    def request_id(self) -> str | None:
        """What the vendor's support asks for, or None."""
        return self.headers.get("X-Request-Id")

    def or_if_empty(self, known: Mapping[str, Any]) -> Response:
        """Return this answer; where it has no body (204), one with what is known of its object."""
        return self if self.body.strip() else evolve(self, body=write_json(known))

    def json(self) -> Any:
        """Return the body's JSON. Raises ResponseError when it is not JSON."""
        return read_json(self)


def _without_content(status: int, endpoint: str) -> Response:
    return Response(status=status, headers={}, body=b"", endpoint=endpoint)
