"""Requests to endpoints that this SDK does not know; see `TelepathClient.request`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ..checks import shown
from ..errors import UsageError
from ..protocol.body import write_json
from ..protocol.messages import Request
from ..protocol.redaction import secret_values
from ..protocol.url import path_segment, query_of
from ..secret import Secret, SecretNumber

_REPEATABLE: Final = {
    "GET": True, "HEAD": True, "PUT": True, "DELETE": True, "PATCH": False, "POST": False,
}  # fmt: skip


def any_request(
    method: str, path: str, params: Mapping[str, Any] | None, json: Mapping[str, Any] | None
) -> Request:
    """Return the request; `params` and `json` are redacted. Raises UsageError."""
    verb = method.upper() if isinstance(method, str) else ""
    if verb not in _REPEATABLE:
        raise UsageError(f"method must be one of {', '.join(_REPEATABLE)}, not {shown(method)}")
    if not isinstance(path, str) or not path.startswith("/"):
        raise UsageError(f"path must begin with a slash, such as '/trunks', not {shown(path)}")
    encoded = "".join(f"/{path_segment('path', segment)}" for segment in path[1:].split("/"))
    if not isinstance(params, Mapping | None):
        raise UsageError(
            f"params must be a mapping of names to values, not {type(params).__name__}"
        )
    for name in params or ():
        if not isinstance(name, str) or not name or not name.isprintable():
            raise UsageError(
                f"params must be a mapping whose keys are printable text, and {shown(name)} is not"
            )
    return Request(
        method=verb,
        path=encoded,
        template=encoded,
        query=query_of(**{name: _revealed(value) for name, value in (params or {}).items()}),
        body=None if json is None else write_json(json),
        repeatable=_REPEATABLE[verb],
        secrets=secret_values([params, json]),
    )


def _revealed(value: Any) -> Any:
    """Return what a parameter hides, but for bytes: `query_of` refuses them."""
    if isinstance(value, SecretNumber):
        return value.number()
    return value.reveal() if type(value) is Secret else value
