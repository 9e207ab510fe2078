"""One function for each endpoint, and the table that finds it.

A handler returns a status and a body.
"""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

import attrs

from .analytics import overview, trunk_metrics
from .dialect import Dialect, Render
from .numbers import update_number
from .problem import ApiProblem, invalid_params, plain_problem
from .selection import Selection
from .trunks import Trunk
from .validation import (
    is_newest_first,
    json_object,
    moment,
    new_trunk,
    number_changes,
    page_offset,
    phone_number,
    trunk_changes,
)
from .world import World

Json = dict[str, Any]
Answer = tuple[int, Json]


@attrs.frozen
class Invocation:
    """One request, as far as a handler needs it; `id` is empty where the path has none."""

    world: World
    dialect: Dialect
    id: str
    query: Mapping[str, str]
    body: bytes


Handler = Callable[[Invocation], Answer]

_NO_METRICS = {"calls_today": 0, "success_rate": 0.0, "avg_latency_ms": 0}


def list_trunks(call: Invocation) -> Answer:
    """GET /trunks."""
    trunks, show = call.world.trunks, call.dialect.listed_trunk
    rows = trunks.select(call.query.get("status"))
    if "sort" in call.query:
        rows = attrs.evolve(rows, newest_first=is_newest_first(call.query))
    else:
        rows = call.world.ordered(rows, trunks.name_of)
    metrics = trunk_metrics(call.world.calls, call.world.now)

    def render(key: int) -> Json:
        trunk = trunks.at(key)
        return show(trunk, metrics.get(trunk["id"], _NO_METRICS))

    return 200, _page(call, "trunks", rows, render)


def create_trunk(call: Invocation) -> Answer:
    """POST /trunks."""
    fields = new_trunk(call.dialect.create_body(json_object(call.body)))
    username = fields["sip_username"]
    if call.world.trunks.by_username(username):
        raise ApiProblem(409, "conflict", f"A trunk with sip_username '{username}' already exists")
    return 201, call.dialect.one(call.dialect.new_trunk(call.world.trunks.add(**fields)))


def update_trunk(call: Invocation) -> Answer:
    """PATCH /trunks/{id}."""
    if call.id not in call.world.trunks:
        raise call.dialect.unknown_trunk_to_update(call.id)
    trunk = call.world.trunks.update(call.id, trunk_changes(json_object(call.body)))
    return 200, call.dialect.one(call.dialect.updated_trunk(trunk))


def rotate_sip_password(call: Invocation) -> Answer:
    """POST /trunks/{id}/rotate-sip-password."""
    if call.id not in call.world.trunks:
        raise call.dialect.unknown_trunk(call.id)
    return 200, call.dialect.one(_credentials(call.world.trunks.rotate(call.id)))


def _credentials(trunk: Trunk) -> Json:
    shown = {name: trunk[name] for name in ("id", "sip_username", "sip_password")}
    return shown | {"rotated_at": trunk["updated_at"]}


def list_calls(call: Invocation) -> Answer:
    """GET /calls."""
    calls, query = call.world.calls, call.query
    rows = calls.select(query.get("trunk_id"), query.get("status"), query.get("direction"))
    rows = call.world.ordered(rows.between(*_dates(call)), calls.name_of)
    return 200, _page(call, "calls", rows, calls.at)


def get_call(call: Invocation) -> Answer:
    """GET /calls/{id}."""
    record = call.world.calls.get(call.id)
    if record is None:
        raise ApiProblem(404, "call_not_found", f"Call '{call.id}' not found")
    return 200, call.dialect.one(call.dialect.call_details(record))


def analytics_overview(call: Invocation) -> Answer:
    """GET /analytics/overview."""
    return 200, call.dialect.one(
        overview(call.world.calls, call.query.get("trunk_id"), *_dates(call))
    )


def update_phone_number(call: Invocation) -> Answer:
    """POST /numbers/update: another vendor's page, hence a bare object in both styles."""
    number = call.world.numbers.get(phone_number(call.query))
    if number is None:
        raise plain_problem(404, f"Phone number '{call.query['phone_number']}' not found")
    update_number(number, number_changes(json_object(call.body or b"{}")))
    return 201, number


def _page(call: Invocation, noun: str, rows: Selection, render: Render) -> Json:
    most = call.world.max_offset
    if most is not None and call.dialect.style == "offset" and page_offset(call.query) > most:
        raise invalid_params(f"Invalid offset parameter. Must be at most {most}")
    return call.dialect.page(noun, rows, call.query, render)


def _dates(call: Invocation) -> tuple[float | None, float | None]:
    dialect = call.dialect
    return moment(call.query, dialect.since_parameter), moment(call.query, dialect.until_parameter)


# None stands for an id.
ROUTES: dict[tuple[str | None, ...], dict[str, Handler]] = {
    ("trunks",): {"GET": list_trunks, "POST": create_trunk},
    ("trunks", None): {"PATCH": update_trunk},
    ("trunks", None, "rotate-sip-password"): {"POST": rotate_sip_password},
    ("trunks", None, "rotate-password"): {"POST": rotate_sip_password},
    ("calls",): {"GET": list_calls},
    ("calls", None): {"GET": get_call},
    ("analytics", "overview"): {"GET": analytics_overview},
    ("numbers", "update"): {"POST": update_phone_number},
}


def path_segments(path: str) -> tuple[str, ...]:
    """Split a raw path after `/v1/` and decode its segments; an encoded slash stays in its own."""
    below = path.removeprefix("/v1/")
    return () if below == path else tuple(map(unquote, below.split("/")))


def find_handler(method: str, segments: tuple[str, ...]) -> tuple[Handler, str]:
    """Return the handler, and the id in the path. Raises a 404 or a 405."""
    methods, resource_id = ROUTES.get(segments), ""
    if methods is None and len(segments) > 1 and segments[1]:
        methods, resource_id = ROUTES.get((segments[0], None, *segments[2:])), segments[1]
    if methods is None:
        raise plain_problem(404, "No such endpoint")
    if method not in methods:
        raise plain_problem(405, f"{method} is not allowed here", {"Allow": ", ".join(methods)})
    return methods[method], resource_id
