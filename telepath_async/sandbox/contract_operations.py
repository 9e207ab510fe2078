"""Describe the operations of the OpenAPI document: parameters, bodies, answers, errors."""

from typing import Any

import attrs

from . import contract_examples as examples
from .contract_schemas import DIRECTION, TRUNK_STATUS, answer_schema, ref, text
from .dialect import Dialect
from .problem import ApiProblem, invalid_params, plain_problem
from .selection import Selection, row_key
from .validation import DEFAULT_PER_PAGE, E164, LARGEST_OFFSET, MOST_PER_PAGE, SORTS

Json = dict[str, Any]

_BAD_LIMIT = invalid_params(f"Invalid limit parameter. Must be between 1 and {MOST_PER_PAGE}")
_MISSING = ApiProblem(400, "missing_required_field", "sip_password is required")
_BAD_USERNAME = ApiProblem(
    400, "invalid_sip_username", "sip_username may only contain alphanumeric characters and hyphens"
)
_BAD_BODY = invalid_params("Request body must be valid JSON")
_BAD_PROVIDER_KEY = ApiProblem(
    401, "invalid_provider_credentials", "The provided openai_api_key could not be validated"
)
_TAKEN = ApiProblem(409, "conflict", "A trunk with sip_username 'agent-prod-01' already exists")


def operations(dialect: Dialect) -> Json:
    """Return the document's `paths`."""
    build = _Builder(dialect)
    return {
        "/trunks": {"get": _list_trunks(build), "post": _create_trunk(build)},
        "/trunks/{trunk_id}": {"patch": _update_trunk(build)},
        "/trunks/{trunk_id}/rotate-sip-password": {"post": _rotate(build, "rotateSipPassword")},
        "/trunks/{trunk_id}/rotate-password": {
            "post": _rotate(build, "rotatePassword") | {"deprecated": True}
        },
        "/calls": {"get": _list_calls(build)},
        "/calls/{call_id}": {"get": _get_call(build)},
        "/analytics/overview": {"get": _analytics_overview(build)},
        "/numbers/update": {"post": _update_phone_number(build)},
    }


def shared_responses(dialect: Dialect) -> Json:
    """Return the refusals that mean the same everywhere."""
    build = _Builder(dialect)
    throttled = build.refusal(
        "Over the rate limit.",
        ApiProblem(429, "rate_limit_exceeded", "Rate limit exceeded. Try again in 7 s"),
    )
    throttled["headers"]["Retry-After"] = {"$ref": "#/components/headers/Retry-After"}
    return {
        "Unauthorized": build.refusal("The API key is missing or wrong.", dialect.bad_key()),
        "ContentTooLarge": build.refusal(
            "The body is over 1 MiB.", plain_problem(413, "The request body is too large")
        ),
        "TooManyRequests": throttled,
        "InternalServerError": build.refusal(
            "The server failed.", plain_problem(500, "Something went wrong")
        ),
    }


_SHARED = {
    "401": {"$ref": "#/components/responses/Unauthorized"},
    "413": {"$ref": "#/components/responses/ContentTooLarge"},
    "429": {"$ref": "#/components/responses/TooManyRequests"},
    "500": {"$ref": "#/components/responses/InternalServerError"},
}


@attrs.frozen
class _Builder:
    """Writes the parts of an operation that differ between the styles."""

    dialect: Dialect

    def operation(self, name: str, tag: str, summary: str, responses: Json, **rest: Any) -> Json:
        """Return an operation with its own responses and the shared ones."""
        responses = dict(sorted((_SHARED | responses).items()))
        return {
            "operationId": name,
            "tags": [tag],
            "summary": summary,
            **rest,
            "responses": responses,
        }

    def one(self, description: str, schema: str, example: Json) -> Json:
        """Return the answer that shows one object."""
        return _response(
            description, answer_schema(self.dialect, schema), {"seed": self.dialect.one(example)}
        )

    def page(self, noun: str, schema: str, item: Json) -> Json:
        """Return the answer that shows the first of two pages, as the server would write it."""
        rows = Selection.of([row_key(0, serial) for serial in range(2)])
        body = self.dialect.page(noun, rows, {"limit": "1"}, lambda _: item)
        return _response(
            "A page, newest first unless asked otherwise.", ref(schema), {"seed": body}
        )

    def refusal(self, description: str, *problems: ApiProblem) -> Json:
        """Return the answer to what the server will not do."""
        return _response(
            description,
            ref("Error"),
            {problem.code: self.dialect.error(problem) for problem in problems},
        )

    def page_parameters(self) -> list[Json]:
        """Return the parameters that move through a list."""
        limit = {
            "type": "integer",
            "minimum": 1,
            "maximum": MOST_PER_PAGE,
            "default": DEFAULT_PER_PAGE,
        }
        return [_query("limit", "The most items in a page.", limit), self._place()]

    def _place(self) -> Json:
        if self.dialect.style == "offset":
            offset = {"type": "integer", "minimum": 0, "maximum": LARGEST_OFFSET, "default": 0}
            return _query("offset", "How many items to skip.", offset)
        return _query(
            "cursor",
            "`next_cursor` of the page before, unchanged.",
            {"type": "string", "format": "cursor"},
        )

    def range_parameters(self) -> list[Json]:
        """Return the parameters that select calls by their start; both ends are included."""
        moment = {"type": "string", "format": "date-time"}
        since, until = self.dialect.since_parameter, self.dialect.until_parameter
        zone = "A time without a zone is UTC."
        return [
            _query(since, f"Calls that started then or later. {zone}", moment),
            _query(until, f"Calls that started then or earlier. {zone}", moment),
        ]

    def bad_moment(self) -> ApiProblem:
        """Return the refusal of a date."""
        return invalid_params(
            f"Invalid {self.dialect.since_parameter} parameter. Must be an ISO 8601 timestamp"
        )

    def trunk_id(self) -> Json:
        """Return the path parameter of a trunk."""
        return _path("trunk_id", examples.trunk_id(self.dialect))


def _list_trunks(build: _Builder) -> Json:
    item = build.dialect.listed_trunk(examples.trunk(build.dialect), examples.TRUNK_METRICS)
    sort = {"type": "string", "enum": list(SORTS), "default": SORTS[-1]}
    return build.operation(
        "listTrunks",
        "Trunks",
        "List trunks",
        {
            "200": build.page("trunks", "TrunkPage", item),
            "400": build.refusal("A parameter is out of range.", _BAD_LIMIT),
        },
        parameters=[
            *build.page_parameters(),
            _query("status", "Only trunks of this status.", TRUNK_STATUS),
            _query("sort", "By date of creation; the minus sign means newest first.", sort),
        ],
    )


def _create_trunk(build: _Builder) -> Json:
    shown = build.dialect.new_trunk(examples.trunk(build.dialect))
    return build.operation(
        "createTrunk",
        "Trunks",
        "Create a trunk",
        {
            "201": build.one("The trunk.", "Trunk", shown),
            "400": build.refusal(
                "A field is missing or wrong.", _MISSING, _BAD_USERNAME, _BAD_BODY
            ),
            "401": _bad_keys(build),
            "409": build.refusal("The `sip_username` is taken.", _TAKEN),
        },
        requestBody=_body("NewTrunk", examples.NEW_TRUNKS),
    )


def _update_trunk(build: _Builder) -> Json:
    shown = build.dialect.updated_trunk(examples.trunk(build.dialect) | examples.TRUNK_CHANGES)
    schema = "UpdatedTrunk" if build.dialect.style == "offset" else "Trunk"
    unknown = build.dialect.unknown_trunk_to_update(examples.trunk_id(build.dialect))
    return build.operation(
        "updateTrunk",
        "Trunks",
        "Change some fields of a trunk",
        {
            "200": build.one("The trunk.", schema, shown),
            "400": build.refusal("A field is wrong.", _BAD_BODY),
            "401": _bad_keys(build),
            "404": build.refusal("There is no such trunk.", unknown),
        },
        parameters=[build.trunk_id()],
        requestBody=_body("TrunkChanges", {"seed": examples.TRUNK_CHANGES}),
    )


def _rotate(build: _Builder, name: str) -> Json:
    return build.operation(
        name,
        "Trunks",
        "Replace a trunk's SIP password",
        {
            "200": build.one(
                "The new credentials.", "SipCredentials", examples.credentials(build.dialect)
            ),
            "404": build.refusal(
                "There is no such trunk.",
                build.dialect.unknown_trunk(examples.trunk_id(build.dialect)),
            ),
        },
        description="The old password is invalid at once. Two documentation pages spell the path "
        "differently.",
        parameters=[build.trunk_id()],
    )


def _list_calls(build: _Builder) -> Json:
    return build.operation(
        "listCalls",
        "Calls",
        "List calls",
        {
            "200": build.page("calls", "CallPage", examples.call(build.dialect)),
            "400": build.refusal("A parameter is out of range.", _BAD_LIMIT),
        },
        parameters=[
            *build.page_parameters(),
            _query("trunk_id", "Only calls of this trunk.", text(examples.trunk_id(build.dialect))),
            _query("status", "Only calls of this status.", text(*build.dialect.call_statuses)),
            _query("direction", "Only calls of this direction.", DIRECTION),
            *build.range_parameters(),
        ],
    )


def _get_call(build: _Builder) -> Json:
    call_id = examples.call_id(build.dialect)
    return build.operation(
        "getCall",
        "Calls",
        "Show a call with its turns, SIP trace and media quality",
        {
            "200": build.one(
                "The call.", "CallDetails", build.dialect.call_details(examples.call(build.dialect))
            ),
            "404": build.refusal(
                "There is no such call.",
                ApiProblem(404, "call_not_found", f"Call '{call_id}' not found"),
            ),
        },
        parameters=[_path("call_id", call_id)],
    )


def _analytics_overview(build: _Builder) -> Json:
    return build.operation(
        "getAnalyticsOverview",
        "Analytics",
        "Show averages over calls",
        {
            "200": build.one("The averages.", "AnalyticsOverview", examples.OVERVIEW),
            "400": build.refusal("A parameter is wrong.", build.bad_moment()),
        },
        parameters=[
            _query("trunk_id", "Only calls of this trunk.", text(examples.trunk_id(build.dialect))),
            *build.range_parameters(),
        ],
    )


def _update_phone_number(build: _Builder) -> Json:
    number = text(examples.NUMBER["number"], pattern=f"^{E164.pattern}$")
    unknown = plain_problem(404, f"Phone number '{examples.NUMBER['number']}' not found")
    return build.operation(
        "updatePhoneNumber",
        "Numbers",
        "Change some settings of a phone number",
        {
            "201": _response("The number.", ref("PhoneNumber"), {"seed": examples.NUMBER}),
            "400": build.refusal("A parameter or a field is wrong.", _BAD_BODY),
            "404": build.refusal("There is no such number.", unknown),
        },
        parameters=[
            _query("phone_number", "In E.164 format; the plus sign is sent as `%2B`.", number)
            | {"required": True}
        ],
        requestBody=_body("NumberChanges", {"seed": examples.NUMBER_CHANGES}) | {"required": False},
    )


def _bad_keys(build: _Builder) -> Json:
    return build.refusal(
        "The API key, or the AI provider's own key, is wrong.",
        build.dialect.bad_key(),
        _BAD_PROVIDER_KEY,
    )


def _response(description: str, schema: Json, shown: Json) -> Json:
    names = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "X-Request-Id")
    headers = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
    return {"description": description, "headers": headers, "content": _json(schema, shown)}


def _body(schema: str, shown: Json) -> Json:
    return {"required": True, "content": _json(ref(schema), shown)}


def _json(schema: Json, shown: Json) -> Json:
    return {
        "application/json": {
            "schema": schema,
            "examples": {name: {"value": value} for name, value in shown.items()},
        }
    }


def _query(name: str, description: str, schema: Json) -> Json:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _path(name: str, example: str) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": text(example, minLength=1)}
