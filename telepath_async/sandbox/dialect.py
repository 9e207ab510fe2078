"""The API's two shapes: field names, envelopes, paging and error bodies.

No state, no decisions about data.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

from . import details
from .cursors import decode_cursor, encode_cursor
from .problem import ApiProblem
from .selection import Selection
from .trunks import extra_fields
from .validation import page_limit, page_offset

Json = dict[str, Any]
Style = Literal["offset", "cursor"]
Render = Callable[[int], Json]


class Dialect(Protocol):
    """The requests and answers of one style of the API."""

    style: Style
    trunk_id_prefix: str
    call_id_prefix: str
    call_statuses: tuple[str, str, str]
    since_parameter: str
    until_parameter: str

    def one(self, item: Json) -> Json:
        """Wrap a single object."""
        ...

    def page(self, noun: str, rows: Selection, query: Mapping[str, str], render: Render) -> Json:
        """Return the page of `rows` that `query` asks for.

        Raises a 400 for a bad position in the list.
        """
        ...

    def create_body(self, body: Json) -> Json:
        """Return a create's body with the provider under `ai_provider`."""
        ...

    def new_trunk(self, trunk: Json) -> Json:
        """Show a trunk just created."""
        ...

    def updated_trunk(self, trunk: Json) -> Json:
        """Show a trunk just updated."""
        ...

    def listed_trunk(self, trunk: Json, metrics: Json) -> Json:
        """Show a trunk in a list."""
        ...

    def call_details(self, call: Json) -> Json:
        """Show everything about a call."""
        ...

    def bad_key(self) -> ApiProblem:
        """The API key is missing or wrong."""
        ...

    def unknown_trunk(self, trunk_id: str) -> ApiProblem:
        """There is no such trunk."""
        ...

    def unknown_trunk_to_update(self, trunk_id: str) -> ApiProblem:
        """There is no such trunk, in the words of the page on updates."""
        ...

    def error(self, problem: ApiProblem) -> Json:
        """Write an error's body."""
        ...


# The page of List Trunks shouts these, and leaves `status` out.
_LOUD_CODES = {
    "unauthorized": "INVALID_API_KEY",
    "invalid_params": "INVALID_PARAMS",
    "trunk_not_found": "TRUNK_NOT_FOUND",
    "call_not_found": "CALL_NOT_FOUND",
}


class OffsetDialect(Dialect):
    """Bare objects and offsets: as the pages of List, Create and Update Trunk show it."""

    style = "offset"
    trunk_id_prefix = "conn_"
    call_id_prefix = "call_"
    call_statuses = ("connected", "disconnected", "failed")
    since_parameter = "start_date"
    until_parameter = "end_date"

    def one(self, item: Json) -> Json:
        return item

    def page(self, noun: str, rows: Selection, query: Mapping[str, str], render: Render) -> Json:
        limit, offset = page_limit(query), page_offset(query)
        items = [render(key) for key in rows.page(offset, limit)]
        return {noun: items, "pagination": {"limit": limit, "offset": offset, "total": len(rows)}}

    def create_body(self, body: Json) -> Json:
        return body

    def new_trunk(self, trunk: Json) -> Json:
        return {
            **_fields(trunk, "id", "name", "status"),
            "ai_provider": trunk["provider"],
            "sip_username": trunk["sip_username"],
            "sip_endpoint": f"{trunk['sip_username']}@sip.telepathvoice.com",
            "created_at": trunk["created_at"],
        }

    def updated_trunk(self, trunk: Json) -> Json:
        return _fields(trunk, "id", "name", "status", "updated_at")

    def listed_trunk(self, trunk: Json, metrics: Json) -> Json:
        return (
            self.new_trunk(trunk)
            | {"updated_at": trunk["updated_at"], "metrics": metrics}
            | extra_fields(trunk)
        )

    def call_details(self, call: Json) -> Json:
        shown = _details(call)
        return {name: value for name, value in call.items() if name not in shown["metrics"]} | shown

    def bad_key(self) -> ApiProblem:
        return ApiProblem(401, "unauthorized", "The API key provided is invalid")

    def unknown_trunk(self, trunk_id: str) -> ApiProblem:
        return ApiProblem(404, "trunk_not_found", f"Trunk '{trunk_id}' not found")

    def unknown_trunk_to_update(self, trunk_id: str) -> ApiProblem:
        return ApiProblem(404, "not_found", f"Trunk '{trunk_id}' not found")

    def error(self, problem: ApiProblem) -> Json:
        if problem.code in _LOUD_CODES:
            return {"error": {"code": _LOUD_CODES[problem.code], "message": problem.message}}
        return _error(problem)


class CursorDialect(Dialect):
    """Everything under `data`, and cursors: as the API's overview shows it."""

    style = "cursor"
    trunk_id_prefix = "trunk_01"
    call_id_prefix = "call_01"
    call_statuses = ("completed", "disconnected", "failed")
    since_parameter = "from"
    until_parameter = "to"

    def one(self, item: Json) -> Json:
        return {"data": item}

    def page(self, noun: str, rows: Selection, query: Mapping[str, str], render: Render) -> Json:
        limit = page_limit(query)
        if "cursor" in query:
            rows = rows.after(decode_cursor(query["cursor"]))
        keys = rows.page(0, limit)
        more = len(rows) > limit
        next_cursor = encode_cursor(keys[-1]) if more else None
        return {"data": [render(key) for key in keys], "next_cursor": next_cursor, "has_more": more}

    def create_body(self, body: Json) -> Json:
        # The page on creates has `ai_provider`, the trunks shown in this style have `provider`.
        return {"ai_provider": body["provider"]} | body if "provider" in body else body

    def new_trunk(self, trunk: Json) -> Json:
        return {
            **_fields(trunk, "id", "name", "provider"),
            "sip_endpoint": "sip.telepathvoice.com",
            **_fields(trunk, "sip_username", "status", "created_at", "updated_at"),
            **extra_fields(trunk),
        }

    def updated_trunk(self, trunk: Json) -> Json:
        return self.new_trunk(trunk)

    def listed_trunk(self, trunk: Json, metrics: Json) -> Json:
        return self.new_trunk(trunk)

    def call_details(self, call: Json) -> Json:
        return call | _details(call) | {"timeline": details.timeline(call)}

    def bad_key(self) -> ApiProblem:
        return ApiProblem(401, "unauthorized", "Invalid or expired API key")

    def unknown_trunk(self, trunk_id: str) -> ApiProblem:
        return ApiProblem(
            404, "trunk_not_found", f"No trunk with ID '{trunk_id}' exists in your account."
        )

    def unknown_trunk_to_update(self, trunk_id: str) -> ApiProblem:
        return self.unknown_trunk(trunk_id)

    def error(self, problem: ApiProblem) -> Json:
        return _error(problem)


DIALECTS: dict[str, type[Dialect]] = {"offset": OffsetDialect, "cursor": CursorDialect}


def _fields(item: Json, *names: str) -> Json:
    return {name: item[name] for name in names}


def _details(call: Json) -> Json:
    return {
        "disconnect_reason": details.disconnect_reason(call),
        "metrics": details.metrics(call),
        "turns": details.turns(call),
        "sip_trace": details.sip_trace(call),
    }


def _error(problem: ApiProblem) -> Json:
    return {"error": {"code": problem.code, "message": problem.message, "status": problem.status}}
