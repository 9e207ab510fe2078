"""What the API accepts in a query and in a body.

Everything here raises `ApiProblem`, in the API's own words.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from .problem import ApiProblem, invalid_params
from .timestamps import unix
from .trunks import NOT_EXTRA, PROVIDERS, SETTINGS

_REQUIRED = ("name", "ai_provider", "sip_username", "sip_password")
REQUIRED_BY_PROVIDER = {
    "openai": ("openai_api_key",),
    "elevenlabs": ("elevenlabs_api_key", "elevenlabs_agent_id"),
    "custom": ("custom_endpoint",),
}
DEFAULT_PER_PAGE, MOST_PER_PAGE = 20, 100
LARGEST_OFFSET = 10**15 - 1
SORTS = ("created_at", "-created_at")  # the last is the default
SHORTEST_SIP_PASSWORD = 8
WEBSOCKET = "wss://"
_READ_ONLY = NOT_EXTRA - {"name", *SETTINGS}
SIP_USERNAME = re.compile(r"[A-Za-z0-9-]+")
E164 = re.compile(r"\+[1-9][0-9]{1,14}")

Json = dict[str, Any]


def json_object(body: bytes) -> Json:
    """Read a body that must be a JSON object."""
    try:
        value = json.loads(body)
        # A list must be able to hold it in its own brackets: no NaN, no infinity, not too deep.
        json.dumps([[[[value]]]], allow_nan=False)
    except (ValueError, RecursionError):
        raise invalid_params("Request body must be valid JSON") from None
    if not isinstance(value, dict):
        raise invalid_params("Request body must be a JSON object")
    return value


def page_limit(query: Mapping[str, str]) -> int:
    """Return `limit`."""
    limit = _whole_number(query.get("limit", str(DEFAULT_PER_PAGE)))
    if limit is None or not 1 <= limit <= MOST_PER_PAGE:
        raise invalid_params(f"Invalid limit parameter. Must be between 1 and {MOST_PER_PAGE}")
    return limit


def page_offset(query: Mapping[str, str]) -> int:
    """Return `offset`: 0 or more, 0 when absent."""
    offset = _whole_number(query.get("offset", "0"))
    if offset is None:
        raise invalid_params("Invalid offset parameter. Must be 0 or greater")
    return offset


def _whole_number(text: str) -> int | None:
    return (
        int(text)
        if text.isascii() and text.isdigit() and len(text) <= len(str(LARGEST_OFFSET))
        else None
    )


def moment(query: Mapping[str, str], name: str) -> float | None:
    """Return the ISO 8601 time under `name` as Unix seconds, or None when absent."""
    if name not in query:
        return None
    try:
        return unix(query[name])
    except (ValueError, OverflowError):
        raise invalid_params(f"Invalid {name} parameter. Must be an ISO 8601 timestamp") from None


def is_newest_first(query: Mapping[str, str]) -> bool:
    """Read `sort`: newest first is `-created_at`, and the default."""
    sort = query.get("sort", SORTS[-1])
    if sort not in SORTS:
        raise invalid_params(f"Invalid sort parameter. Must be {' or '.join(SORTS)}")
    return sort == SORTS[-1]


def phone_number(query: Mapping[str, str]) -> str:
    """Return `phone_number`; a plus sign sent bare arrives as a space, and is refused."""
    number = query.get("phone_number", "")
    if not E164.fullmatch(number):
        raise invalid_params(
            "phone_number must be a number in E.164 format, its plus sign encoded as %2B"
        )
    return number


def new_trunk(body: Json) -> Json:
    """Check the body of a create; return the trunk's fields under their neutral names."""
    for name in _REQUIRED:
        _require(body, name)
    _check_texts(body, (*_REQUIRED, *SETTINGS))
    if body["ai_provider"] not in PROVIDERS:
        raise invalid_params(f"ai_provider must be one of {', '.join(PROVIDERS)}")
    if not SIP_USERNAME.fullmatch(body["sip_username"]):
        message = "sip_username may only contain alphanumeric characters and hyphens"
        raise ApiProblem(400, "invalid_sip_username", message)
    if len(body["sip_password"]) < SHORTEST_SIP_PASSWORD:
        raise invalid_params(f"sip_password must be at least {SHORTEST_SIP_PASSWORD} characters")
    for name in REQUIRED_BY_PROVIDER[body["ai_provider"]]:
        _require(body, name)
    _check_provider_settings(body)
    fields = {name: value for name, value in body.items() if name not in _READ_ONLY}
    credentials = {name: body[name] for name in ("sip_username", "sip_password")}
    return fields | credentials | {"provider": body["ai_provider"]}


def trunk_changes(body: Json) -> Json:
    """Check the body of an update; return what it changes.

    Read-only fields change nothing, unknown ones are kept.
    """
    _check_texts(body, ("name", *SETTINGS))
    if body.get("name") == "":
        raise invalid_params("name must not be empty")
    _check_provider_settings(body)
    return {name: value for name, value in body.items() if name not in _READ_ONLY}


def _require(body: Json, name: str) -> None:
    if body.get(name) in (None, ""):
        raise ApiProblem(400, "missing_required_field", f"{name} is required")


def _check_texts(body: Json, names: tuple[str, ...]) -> None:
    for name in names:
        if name in body and not isinstance(body[name], str):
            raise invalid_params(f"{name} must be a string")


def _check_provider_settings(body: Json) -> None:
    if not body.get("custom_endpoint", WEBSOCKET).startswith(WEBSOCKET):
        raise invalid_params(f"custom_endpoint must be a {WEBSOCKET} URL")
    for name in ("openai_api_key", "elevenlabs_api_key"):
        if "invalid" in body.get(name, ""):
            message = f"The provided {name} could not be validated"
            raise ApiProblem(401, "invalid_provider_credentials", message)


def number_changes(body: Json) -> Json:
    """Check the body of a number's update; return what it changes.

    Unknown fields change nothing.
    """
    changes = {name: body[name] for name in _NUMBER_FIELDS if name in body}
    for name, value in changes.items():
        accepts, kind = _NUMBER_FIELDS[name]
        if not accepts(value):
            raise invalid_params(f"{name} must be {kind}")
    return changes


def _is_text_or_null(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _is_texts_or_null(value: Any) -> bool:
    return value is None or (
        isinstance(value, dict) and all(isinstance(text, str) for text in value.values())
    )


def _is_agent(value: Any) -> bool:
    if isinstance(value, dict):
        return isinstance(value.get("id", ""), str) and _is_text_or_null(value.get("name"))
    return _is_text_or_null(value)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


_NUMBER_FIELDS = {
    "label": (_is_text_or_null, "a string or null"),
    "outbound_only": (_is_flag, "true or false"),
    "description": (_is_text_or_null, "a string or null"),
    "example_context": (_is_texts_or_null, "an object of strings, or null"),
    "inbound_agent": (_is_agent, "an id, an agent object, or null"),
}
