"""The OpenAPI 3.1 document of the API, one for each style.

Here it is put together; its parts live in the modules beside this one.
"""

from typing import Any

from .contract_operations import operations, shared_responses
from .contract_schemas import schemas
from .dialect import DIALECTS, Style

Json = dict[str, Any]

_ABOUT = """\
Connect AI voice agents to the telephone network, and see how their calls went.

- **Shape.** {shape}
- **Rate limit.** 6,000 requests a minute for each API key, over all endpoints, unless \
`X-RateLimit-Limit` has another figure. Every answer carries the three `X-RateLimit-*` headers; \
over the limit it is a 429 with `Retry-After`.
- **Times** are ISO 8601 in UTC. Latencies end in `_ms`, durations in `_seconds`; \
rates are percent.
- **Unknown** query parameters are ignored. A known path with another method gets a 405 \
with `Allow`.
- **Texts with a list of values** are open: more values may follow.
"""

_SHAPES = {
    "offset": "Objects stand bare; lists are paged by `limit` and `offset`.",
    "cursor": "Everything stands under `data`; lists are paged by `limit` and `cursor`.",
}

_TAGS = {
    "Trunks": "SIP trunks, each wired to one AI provider.",
    "Calls": "The call log.",
    "Analytics": "Averages over calls.",
    "Numbers": "Phone numbers. Another vendor's endpoint: bare objects in both styles.",
}

_HEADERS: dict[str, tuple[str, Json]] = {
    "X-RateLimit-Limit": ("Requests allowed in a window.", {"type": "integer", "minimum": 1}),
    "X-RateLimit-Remaining": ("Requests left in this window.", {"type": "integer", "minimum": 0}),
    "X-RateLimit-Reset": ("When the window ends, in Unix seconds.", {"type": "integer"}),
    "X-Request-Id": ("Names this request to support.", {"type": "string"}),
    "Retry-After": ("Seconds to wait.", {"type": "integer", "minimum": 1}),
}


def openapi(style: Style = "offset", *, server: str = "https://api.telepathvoice.com/v1") -> Json:
    """Return the OpenAPI 3.1 document of the API in one style, with `server` as its base URL."""
    dialect = DIALECTS[style]()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"Telepath Voice API ({style} style)",
            "version": "1",
            "description": _ABOUT.format(shape=_SHAPES[style]),
        },
        "servers": [{"url": server}],
        "security": [{"apiKey": []}],
        "tags": [{"name": name, "description": description} for name, description in _TAGS.items()],
        "paths": operations(dialect),
        "components": {
            "schemas": schemas(dialect),
            "responses": shared_responses(dialect),
            "headers": {name: _header(*about) for name, about in _HEADERS.items()},
            "securitySchemes": {
                "apiKey": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key: `sk_live_…`",
                }
            },
        },
    }


def _header(description: str, schema: Json) -> Json:
    return {"description": description, "required": True, "schema": schema}
